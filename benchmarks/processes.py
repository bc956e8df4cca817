"""Processes to be measured: seconds from start to end, peak memory, and what they printed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from glyphline import paths

REPOSITORY = Path(__file__).parents[1]


@dataclass(frozen=True)
class Measured:
    """seconds: from start to end. peak_bytes: the most memory the process had at once, without its children."""

    seconds: float
    peak_bytes: int
    output: str


def measure(command: Sequence[str], folder: Path, variables: Mapping[str, str] | None = None) -> Measured:
    """Run a command in a folder, with this repository's modules in reach. Raises RuntimeError when it fails."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "2", **(variables or {})}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        output = log.read()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{output}")
    return Measured(seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024), output)


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module with this Python."""
    return [sys.executable, "-m", module, *arguments]


def prepare(folder: Path, changes: Mapping[str, object]) -> None:
    """Make a folder with the repository's params.yaml, some top keys changed, and have the stages prepare its data."""
    write_params(folder, changes)
    for stage in ("check", "download", "preprocess"):
        measure(python(f"stages.{stage}"), folder)


def write_params(folder: Path, changes: Mapping[str, object]) -> None:
    """Make a folder with the repository's params.yaml, some top keys changed, and its data sets' records."""
    from ruamel.yaml import YAML

    yaml = YAML()
    params = yaml.load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    params.update(changes)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(REPOSITORY / paths.DATASETS, folder / paths.DATASETS, dirs_exist_ok=True)
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(params, file)
