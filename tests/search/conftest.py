"""A small search on real digits, and the table that every way to run it must give."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

from glyphline.search.cluster import connected
from glyphline.search.settings import CLUSTER_VARIABLES
from stages import tune
from tests.conftest import REPOSITORY, Labelled, params_in
from tests.pipeline.conftest import Clone, lines_until
from tests.stages.test_train import prepare

NAME = "tuned"  # of the search
TRIALS = f"metrics/search/{NAME}/trials.csv"
WINNER = f"metrics/search/{NAME}/winner.json"
SEARCH: dict[str, Any] = {
    "trials": 4,
    "fixed": {"batch_size": 16, "epochs": 6, "filters": [2]},
    "patience": 2,
    "space": {
        "dense": {"count": {"low": 0, "high": 2}, "each": {"low": 8, "high": 32, "step": 8}},
        "dense_dropout": {"choices": [0.0, 0.25]},
        "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    },
}
LONGEST = 120  # seconds that a test waits for what takes a few

World = Callable[..., Path]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, digits: Labelled) -> Path:
    """data/prepared with 150 train and 50 validation digits."""
    folder = tmp_path_factory.mktemp("prepared")
    prepare(folder, digits)
    return folder / "data/prepared"


@pytest.fixture(scope="session")
def searchable(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> World:
    """Makes a folder in which tune can run; further keyword arguments replace keys of the search."""

    def make(seed: int = 7, workers: int = 1, **changes: Any) -> Path:
        folder = tmp_path_factory.mktemp("search")
        (folder / "data").mkdir()
        (folder / "data/prepared").symlink_to(prepared)
        set_search(folder, seed, workers, **changes)
        return folder

    return make


def set_search(
    folder: Path,
    seed: int = 7,
    workers: int = 1,
    trial_memory_gib: float | None = None,
    metric: str = "accuracy",
    **changes: Any,
) -> None:
    """Write a folder's params.yaml, the search with these keys replaced."""
    searches = {NAME: SEARCH | changes}
    params_in(folder, seed=seed, searches=searches, workers=workers, trial_memory_gib=trial_memory_gib)
    (folder / "data/raw").mkdir(exist_ok=True)
    (folder / "data/raw/dataset.json").write_text(json.dumps({"leading_metric": metric}), encoding="utf-8")


def start(folder: Path, module: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start a module in a folder and a process group of its own, its two outputs as one pipe."""
    environment = {"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"} | variables
    return Clone(folder).start(sys.executable, "-m", module, *arguments, apart=True, **environment)


def wait_for(process: subprocess.Popen[str], text: str) -> str:
    """Read a process' output up to a line that has `text` in it, and return that line."""
    output = list(lines_until(process, text))
    if not output or text not in output[-1]:
        pytest.fail(f"ended without {text!r}:\n{''.join(output)}")
    return output[-1]


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for a process to end well, and return the rest of its output."""
    output, _ = process.communicate(timeout=LONGEST)
    assert process.returncode == 0, output
    return output


def kill_group(process: subprocess.Popen[str]) -> None:
    """End a process and all that it started, at once."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=LONGEST)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Look every tenth of a second until the condition holds."""
    for _ in range(10 * LONGEST):
        if condition():
            return
        time.sleep(0.1)
    pytest.fail(f"waited in vain until {what}")


@pytest.fixture(scope="session", autouse=True)
def no_cluster_of_the_user_s() -> Iterator[None]:
    """What the environment says of clusters is for the tests to set."""
    with pytest.MonkeyPatch.context() as patch:
        for name in CLUSTER_VARIABLES.values():
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def client() -> Iterator[Client]:
    """A cluster of one worker, as tune starts it, for searches that end well."""
    with connected(workers=1) as connection:
        yield connection


def tune_on(client: Client, folder: Path) -> None:
    """Run tune in a folder, on a cluster that is there already: its worker keeps TensorFlow loaded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(tune, "connected", lambda workers: contextlib.nullcontext(client))
        tune.main(NAME)


@pytest.fixture(scope="session")
def undisturbed(searchable: World, client: Client) -> Path:
    """The folder of a search that ran on one worker, without any mishap."""
    folder = searchable()
    tune_on(client, folder)
    return folder


def same_outputs(folder: Path, other: Path) -> bool:
    """Whether two searches wrote the same bytes."""
    return all((folder / path).read_bytes() == (other / path).read_bytes() for path in (TRIALS, WINNER))
