"""What the tests of what Glyphline guarantees have in common."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import growing_by_at_most
from tests.pipeline.conftest import Clone

Event = tuple[str, tuple[Any, ...]]
RUN = (
    *("exec", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "subprocess."),
    *("marshal.", "pickle.", "socket."),
)
LOADED = ("ctypes.", "code.__new__", "import", "function.__new__")
heard: list[Event] | None = None
MOST_GROWTH = 300 * 2**20  # bytes, of this process over a refusal

# Each stage, of those in loops one.
STAGES = (
    "check",
    "download",
    "preprocess",
    "train@mlp",
    "tune@tuned",
    "train_winner@tuned",
    "evaluate",
    "plot",
    "report",
)


def note(event: str, arguments: tuple[Any, ...]) -> None:
    if heard is not None and event.startswith((*RUN, *LOADED, "compile", "open")):
        heard.append((event, arguments))


@pytest.fixture
def growth() -> Iterator[None]:
    """Fail where the test takes much memory."""
    with growing_by_at_most(MOST_GROWTH):
        yield


@pytest.fixture
def audited() -> Iterator[list[Event]]:
    """What Python's audit hooks tell from here on of code, programs, connections and files."""
    global heard  # noqa: PLW0603 - a hook cannot be removed
    if heard is None:
        sys.addaudithook(note)
    heard = []
    yield heard
    heard = []


def results(clone: Clone) -> dict[str, bytes]:
    """dvc.lock and every file in every output that it names, by path; an empty folder has no file."""
    outs = [clone.root / out["path"] for stage in clone.stages().values() for out in stage.get("outs", [])]
    files = [file for out in outs for file in ([out] if out.is_file() else out.rglob("*")) if file.is_file()]
    return {str(file.relative_to(clone.root)): file.read_bytes() for file in [clone.root / "dvc.lock", *files]}


def differing(one: Clone, other: Clone) -> list[str]:
    """The paths in which the results of two repositories are not the same byte for byte."""
    left, right = results(one), results(other)
    return [path for path in sorted(left.keys() | right.keys()) if left.get(path) != right.get(path)]


def at_work(clone: Clone) -> list[str]:
    """The command lines of the processes that run in a clone."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            if Path(process.cwd()) == clone.root and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
    return found
