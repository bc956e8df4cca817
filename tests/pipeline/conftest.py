"""A scratch clone of this repository in which the real DVC runs on a few hundred real digits."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML

REPOSITORY = Path(__file__).parents[2]
SMALL_RUN = {"limit": 300, "epochs": 1}


@dataclass(frozen=True)
class Clone:
    """A git repository of its own, with its own DVC cache."""

    root: Path

    def run(self, *command: str, check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the clone; its two outputs come back as one text in `stdout`."""
        executables = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        result = subprocess.run(
            command,
            cwd=self.root,
            env={**os.environ, "PATH": executables, "TF_CPP_MIN_LOG_LEVEL": "2", **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if check and result.returncode:
            pytest.fail(f"{' '.join(command)} exited with {result.returncode}:\n{result.stdout}")
        return result

    def dvc(self, *arguments: str, check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        return self.run("dvc", *arguments, check=check, **variables)

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments).stdout

    def read(self, path: str) -> str:
        return (self.root / path).read_text(encoding="utf-8")

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The working tree as git sees it, every variant cut down to a second of training, nothing run yet."""
    scratch = Clone(tmp_path_factory.mktemp("clone"))
    copy_tree(scratch.root)
    shrink(scratch.root / "params.yaml")
    scratch.git("init", "--quiet")
    scratch.git("config", "user.name", "Test")
    scratch.git("config", "user.email", "test@example.org")
    scratch.commit("A small run")
    return scratch


def copy_tree(destination: Path) -> None:
    """Copy what git tracks, and what it would track, so that uncommitted work is tested too."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listing.stdout.split("\0")):
        source = REPOSITORY / name
        if source.is_file():
            (destination / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, destination / name)


def shrink(params: Path) -> None:
    """Make params.yaml ask for few images and one epoch a variant, in DVC's own style."""
    yaml = YAML()
    values = yaml.load(params.read_text(encoding="utf-8"))
    values["limit"] = SMALL_RUN["limit"]
    for variant in values["variants"].values():
        variant["epochs"] = SMALL_RUN["epochs"]
    with params.open("w", encoding="utf-8") as stream:
        yaml.dump(values, stream)
