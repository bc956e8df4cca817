"""A scratch clone of this repository in which the real DVC runs on a few hundred real digits."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.conftest import REPOSITORY, files_for_git

# The first of params.yaml, whose confusion matrix evaluate's own plot shows, and one each of convolutions, dense layers
# and all that is newer. The tests of networks and of stages.train hold what is true of every variant.
SOME = ("original", "small", "mlp", "fast")


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
        return self.run("git", *arguments).stdout

    def read(self, path: str) -> str:
        return (self.root / path).read_text(encoding="utf-8")

    def copy(self, destination: Path) -> Clone:
        """The same again, with a DVC cache of its own."""
        return Clone(shutil.copytree(self.root, destination, symlinks=True))

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The working tree as git sees it, cut down to SOME variants and a second of training each, nothing run yet."""
    root = tmp_path_factory.mktemp("clone")
    copy_tree(root)
    shrink(root / "params.yaml", variants=SOME)
    yaml = YAML()
    pipeline = yaml.load((root / "dvc.yaml").read_text(encoding="utf-8"))
    kept = {f"confusion of {name}" for name in (*SOME, "tuned")}
    pipeline["plots"] = [plot for plot in pipeline["plots"] if set(plot) <= kept]
    with (root / "dvc.yaml").open("w", encoding="utf-8") as stream:
        yaml.dump(pipeline, stream)
    return start_repository(root)


def start_repository(root: Path) -> Clone:
    """Make a folder a git repository with one commit of all that is in it."""
    scratch = Clone(root)
    scratch.git("init", "--quiet")
    scratch.git("config", "user.name", "Test")
    scratch.git("config", "user.email", "test@example.org")
    scratch.commit("A small run")
    return scratch


def copy_tree(destination: Path) -> None:
    """Copy what git tracks, and what it would track."""
    for name in files_for_git():
        (destination / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, destination / name)


def shrink(params: Path, limit: int | None = 300, variants: Sequence[str] = ()) -> None:
    """Make params.yaml ask for few images and one epoch a variant, in DVC's own style; `variants` alone if named."""
    yaml = YAML()
    values = yaml.load(params.read_text(encoding="utf-8"))
    values["limit"] = limit
    values["search"]["trials"] = 2
    for section in ("fixed", "final"):
        values["search"][section]["epochs"] = 1
    for name in list(values["variants"]):
        values["variants"][name]["epochs"] = 1
        if variants and name not in variants:
            del values["variants"][name]
    with params.open("w", encoding="utf-8") as stream:
        yaml.dump(values, stream)
