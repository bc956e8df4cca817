"""Real networks, trained and exported, and a server of them in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.conftest import REPOSITORY, Labelled
from tests.predict.test_pictures import drawn

PROGRAM = """
import sys
from glyphline.cli import main
from glyphline.serve import application, command
{}
status = main()
assert "tensorflow" not in sys.modules
sys.exit(status)
"""


@dataclass(frozen=True)
class Server:
    """A server that runs. address: without a slash at its end."""

    address: str
    process: subprocess.Popen[str]

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def client(self, **headers: str) -> httpx2.Client:
        return httpx2.Client(base_url=self.address, headers=headers, timeout=60)


@contextmanager
def serving(
    exports: Path,
    *arguments: str,
    limits: str = "",
    said: str = "",
    status: int = 0,
    variables: dict[str, str] | None = None,
) -> Iterator[Server]:
    """`glyphline serve` in the folder that holds exports/. Afterwards it has to end so, and to have said `said`.

    limits: statements that change some, for tests not to wait long.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(limits), "serve", "--port", "0", *arguments],
        cwd=exports.parent,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **(variables or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+:\d+", line := process.stdout.readline())
        assert found, (line, process.communicate())
        yield Server(found[0], process)
        process.send_signal(signal.SIGTERM)
        _, heard = process.communicate(timeout=60)
        assert process.returncode == status
        assert said in heard if said else not heard, heard
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture(scope="session")
def server(exports: Path) -> Iterator[Server]:
    """A server of `fast` and `mlp` on this machine. Not to be stopped or overloaded."""
    with serving(exports) as running:
        yield running


@pytest.fixture(scope="session")
def pictures(digits: Labelled, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Ten digits, one of each class, drawn large and dark on light."""
    folder = tmp_path_factory.mktemp("pictures")
    for label in range(10):
        drawn(digits[0][digits[1] == label][0]).save(folder / f"{label}.png")
    return [folder / f"{label}.png" for label in range(10)]
