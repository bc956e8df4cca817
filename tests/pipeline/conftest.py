"""A scratch clone of this repository in which the real DVC runs on a few hundred real digits."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest
from ruamel.yaml import YAML

from tests.conftest import REPOSITORY

# Not those of params.yaml, on which no test of the pipeline depends: one of dense layers and one of convolutions, with
# further seeds.
VARIANTS = {
    "mlp": {"dense": [8], "optimizer": "adam", "learning_rate": 0.001, "batch_size": 32, "epochs": 1},
    "convnet": {
        "filters": [4, 4],
        "batch_normalization": True,
        "augmentation": {"shift": 2.0},
        "batch_size": 32,
        "epochs": 1,
        "seeds": 2,
    },
}
SEARCHES = ("tuned", "auto")
RUNNING = re.compile(r"^Running stage '([^']+)':", re.MULTILINE)


@dataclass(frozen=True)
class Clone:
    """A git repository of its own, with its own DVC cache."""

    root: Path

    def start(self, *command: str, apart: bool = False, **variables: str) -> subprocess.Popen[str]:
        """Start a command in the clone, its two outputs as one pipe; if `apart`, in a process group of its own."""
        executables = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.Popen(
            command,
            cwd=self.root,
            env={**os.environ, "PATH": executables, "TF_CPP_MIN_LOG_LEVEL": "2", **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=apart,
        )

    def run(self, *command: str, check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the clone; its two outputs come back as one text in `stdout`."""
        process = self.start(*command, apart=False, **variables)
        output, _ = process.communicate()
        result = subprocess.CompletedProcess(command, process.returncode, output)
        if check and result.returncode:
            pytest.fail(f"{' '.join(command)} exited with {result.returncode}:\n{result.stdout}")
        return result

    def dvc(self, *arguments: str, check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        return self.run("dvc", *arguments, check=check, **variables)

    def git(self, *arguments: str) -> str:
        """Run git, and return what it prints without the spaces around."""
        return self.run("git", *arguments).stdout.strip()

    def read(self, path: str) -> str:
        return (self.root / path).read_text(encoding="utf-8")

    def stages(self) -> dict[str, Any]:
        """What dvc.lock says of each stage: the digests of all that it read and wrote."""
        found: dict[str, Any] = YAML(typ="safe").load(self.read("dvc.lock"))["stages"]
        return found

    def copy(self, destination: Path) -> Self:
        """The same again, with a DVC cache of its own."""
        destination.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", self.root, destination], check=True)  # in a third of the time of shutil.copytree
        return type(self)(destination)

    def cloned(self, destination: Path) -> Clone:
        """What git clones of it: its commits, and none of DVC's data."""
        self.git("clone", "--quiet", str(self.root), str(destination))
        return Clone(destination)

    def commit(self, message: str = "Work") -> str:
        """Commit everything, and return the hash."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")


@pytest.fixture(scope="module")
def clone(finished: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy of the finished repository, which the tests of a module change one after the other."""
    return finished.copy(tmp_path_factory.mktemp("module") / "clone")


def lines_until(process: subprocess.Popen[str], text: str) -> Iterator[str]:
    """The lines of a process' output up to the first one with a text in it, or all if there is none."""
    assert process.stdout is not None
    for line in process.stdout:
        yield line
        if text in line:
            return


def build(folder: Path) -> None:
    """Run this repository's pipeline on a few hundred images and VARIANTS, in folder/clone, audited, and commit it."""
    root, audit = folder / "clone", folder / "audit"
    audit.mkdir(parents=True)
    copy_tree(root)
    shrink(root / "params.yaml", variants=VARIANTS, searches=SEARCHES)
    shutil.rmtree(root / "metrics")
    (root / "dvc.lock").unlink()
    clone = start_repository(root)
    said = clone.dvc("repro", GLYPHLINE_AUDIT=str(audit), PYTHONPATH=str(REPOSITORY / "tests/guarantees/audit")).stdout
    clone.commit("Run it")
    (folder / "said.txt").write_text(said, encoding="utf-8")


def thin_out(finished: Clone, folder: Path) -> None:
    """Copy the finished repository to folder/clone, leave its first variant and first search, and commit that anew."""
    clone = finished.copy(folder / "clone")
    clone.git("reset", "--quiet", "--soft", "HEAD~1")
    shrink(clone.root / "params.yaml", variants=("mlp",))
    clone.git("commit", "--quiet", "--message", "Fewer", "params.yaml")
    for gone in ("convnet", "auto"):
        for path in [
            found for place in ("metrics", "models", "data") for found in clone.root.glob(f"{place}/**/{gone}*")
        ]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    clone.run("glyphline", "repro")
    clone.commit("Run it")


def start_repository(root: Path) -> Clone:
    """Make a folder a git repository with one commit of all that is in it."""
    scratch = Clone(root)
    scratch.git("init", "--quiet")
    scratch.git("config", "user.name", "Test")
    scratch.git("config", "user.email", "test@example.org")
    scratch.commit("A small run")
    return scratch


def copy_tree(destination: Path) -> None:
    """Copy what git tracks, and what it would track if it were asked to: uncommitted work is tested too."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode:
        pytest.skip("this is no git repository")
    for name in listing.stdout.split("\0"):
        if name and (REPOSITORY / name).is_file():
            (destination / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, destination / name)


def shrink(
    params: Path,
    limit: int | None = 300,
    variants: Mapping[str, object] | Sequence[str] = (),
    searches: Sequence[str] = SEARCHES[:1],
) -> None:
    """Make params.yaml ask for few images, one epoch a variant and two trials of small networks a search.

    variants: others in their place, or the names of those that stay; all if left out. searches: those that stay.
    """
    yaml = YAML()
    values = yaml.load(params.read_text(encoding="utf-8"))
    values["limit"] = limit
    values["workers"] = 1
    values["searches"] = {name: values["searches"][name] | {"trials": 2} for name in searches}
    of_searches = [search[key] for search in values["searches"].values() for key in ("fixed", "final")]
    if isinstance(variants, Mapping):
        values["variants"] = dict(variants)
    elif variants:
        values["variants"] = {name: values["variants"][name] for name in values["variants"] if name in variants}
    for section in (*values["variants"].values(), *of_searches):
        section["epochs"] = 1
    for search in values["searches"].values():
        if search["stopping"] == "rungs":
            search["rungs"] = [1]
            search["fixed"]["epochs"] = 2
        if "filters" in search["space"]:
            search["space"]["filters"] = {"choices": [[4, 4, 4], [8, 8, 8]]}
    with params.open("w", encoding="utf-8") as stream:
        yaml.dump(values, stream)
