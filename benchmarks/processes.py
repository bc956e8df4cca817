"""Processes to be measured: seconds from start to end, peak memory, what they printed, and on which machine."""

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
from glyphline.stage import machine

REPOSITORY = Path(__file__).parents[1]


@dataclass(frozen=True)
class Measured:
    """seconds: from start to end. peak_bytes: the most memory the process had at once, without its children."""

    seconds: float
    peak_bytes: int
    output: str


def machine_line(record: Mapping[str, object] | None = None) -> str:
    """A line to print with every figure: the machine of a run record, or else this one."""
    words = "{processor} ({flags}), {cores} cores; Python {python}, TensorFlow {tensorflow}, Keras {keras}"
    return words.format_map({"flags": "flags not recorded"} | dict(record or machine()))


def measure(command: Sequence[str], folder: Path) -> Measured:
    """Run a command in a folder, with this repository's modules in reach. Raises RuntimeError when it fails."""
    given = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    search_path = os.pathsep.join([str(REPOSITORY), *(str(Path(part).absolute()) for part in given)])
    environment = {**os.environ, "PYTHONPATH": search_path, "TF_CPP_MIN_LOG_LEVEL": "2"}
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


def in_turns(commands: Mapping[str, Sequence[str]], folder: Path, rounds: int) -> dict[str, list[Measured]]:
    """Run each command once a round, by name; in every second round the last one first."""
    if rounds < 1:
        sys.exit(f"--rounds: expected 1 or more, but it is {rounds}")
    measured: dict[str, list[Measured]] = {name: [] for name in commands}
    for count in range(rounds):
        for name in list(commands)[:: -1 if count % 2 else 1]:
            measured[name].append(measure(commands[name], folder))
            print(f"round {count + 1}: {name}: {measured[name][-1].seconds:.1f} s", flush=True)
    return measured


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module with this Python."""
    return [sys.executable, "-m", module, *arguments]


def prepare(folder: Path, changes: Mapping[str, object]) -> None:
    """Make a folder with the repository's params.yaml, some top keys changed, and have the stages prepare its data."""
    write_params(folder, changes)
    for stage in ("check", "download", "preprocess"):
        measure(python(f"stages.{stage}"), folder)


def equally(changes: Mapping[str, object]) -> dict[str, object]:
    """The changes with what puts others beside Glyphline on the same footing.

    Of MNIST 50,000 images are to train on and 10,000 to validate on, and a training has every core.
    """
    return {**changes, "preprocess": {"validation_fraction": 1 / 6}, "threads": machine()["cores"]}


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
