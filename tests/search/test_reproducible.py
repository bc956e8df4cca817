"""One table, however the search is run: real `tune` processes, real schedulers and workers, real SIGKILLs."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest
from distributed import Security

from glyphline.search.study import STARTUP_TRIALS
from tests.search.conftest import (
    SEARCH,
    TRIALS,
    World,
    finish,
    kill_group,
    same_outputs,
    set_search,
    start,
    wait_for,
    wait_until,
)

COUNT = SEARCH["trials"]


def test_two_workers_give_the_bytes_of_one_and_nothing_listens_to_the_network(alone: Path, searchable: World) -> None:
    folder = searchable(workers=2)
    process = start(folder, "stages.tune")
    wait_for(process, "1 of 4 done")
    tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    hosts = {
        connection.laddr.ip
        for each in tree
        for connection in each.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    finish(process)
    assert same_outputs(alone, folder)
    assert hosts == {"127.0.0.1"}


def test_a_search_that_is_killed_goes_on_from_there_even_to_more_trials(alone: Path, searchable: World) -> None:
    folder = searchable(workers=2, trials=COUNT - 1)
    first = start(folder, "stages.tune")
    wait_for(first, "1 of 3 done")
    children = psutil.Process(first.pid).children(recursive=True)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    wait_until(lambda: not any(child.is_running() for child in children), "the workers and their trials are gone")
    assert not (folder / TRIALS).exists()

    set_search(folder, workers=2)
    again = finish(start(folder, "stages.tune"))
    assert "trials were done before" in again
    assert len(pd.read_csv(folder / "runs/trials.csv")) < COUNT, "a trial that was done ran again"
    assert same_outputs(alone, folder)


LOOKING_AROUND = {"sampler": "tpe", "stopping": "successive_halving", "trials": STARTUP_TRIALS + 2}


def test_tpe_and_successive_halving_are_reproducible_on_one_worker_and_learn_from_the_trials_before(
    searchable: World,
) -> None:
    first, second = (searchable(**LOOKING_AROUND) for _ in range(2))
    for folder in (first, second):
        assert "looks at other trials" not in finish(start(folder, "stages.tune"))
    assert same_outputs(first, second)

    at_random = searchable(**LOOKING_AROUND | {"sampler": "random"})
    finish(start(at_random, "stages.tune"))
    table, other = (pd.read_csv(folder / TRIALS) for folder in (first, at_random))
    assert list(table["learning_rate"] != other["learning_rate"]) == [False] * STARTUP_TRIALS + [True] * 2
    assert "stopped" in set(table["state"]), "no trial was left behind"


def test_on_two_workers_tpe_and_successive_halving_say_that_they_are_not_reproducible(searchable: World) -> None:
    said = finish(start(searchable(workers=2, **LOOKING_AROUND | {"trials": 2}), "stages.tune"))
    for key, value in (("sampler", "tpe"), ("stopping", "successive_halving")):
        assert f"search.{key}: {value} looks at other trials, and which have ended depends on timing" in said


@pytest.fixture
def certificates(tmp_path: Path) -> dict[str, str]:
    """A certificate that signs itself, as the three files that params.yaml names."""
    temporary = Security.temporary()
    contents = {
        "tls_ca_file": temporary.tls_ca_file,
        "tls_certificate": temporary.tls_client_cert,
        "tls_key": temporary.tls_client_key,
    }
    for key, content in contents.items():
        (tmp_path / f"{key}.pem").write_text(content, encoding="ascii")
    return {key: str(tmp_path / f"{key}.pem") for key in contents}


@pytest.fixture
def scheduler(tmp_path: Path, certificates: dict[str, str]) -> Iterator[tuple[str, list[subprocess.Popen[str]]]]:
    """A real scheduler at tls:// and two real workers with one thread each, in folders of their own."""
    security = [
        "--tls-ca-file",
        certificates["tls_ca_file"],
        "--tls-cert",
        certificates["tls_certificate"],
        "--tls-key",
        certificates["tls_key"],
    ]
    where = ["--host", "127.0.0.1", "--no-dashboard"]
    processes = [start(tmp_path, "distributed.cli.dask_scheduler", *where, "--port", "0", *security)]
    try:
        address = wait_for(processes[0], "Scheduler at:").split()[-1]
        for number in (1, 2):
            folder = tmp_path / f"worker{number}"
            folder.mkdir()
            nanny = "--nanny" if number == 1 else "--no-nanny"
            options = [*where, "--nthreads", "1", nanny, "--local-directory", str(folder), *security]
            processes.append(start(folder, "distributed.cli.dask_worker", address, *options))
        for process in processes[1:]:
            wait_for(process, "Registered to")
        yield address, processes[1:]
    finally:
        for process in processes:
            kill_group(process)


def test_a_cluster_that_loses_a_worker_gives_the_same_bytes(
    alone: Path, searchable: World, scheduler: tuple[str, list[subprocess.Popen[str]]], certificates: dict[str, str]
) -> None:
    address, (_, doomed) = scheduler
    assert address.startswith("tls://")
    folder = searchable(scheduler=address, **certificates)
    process = start(folder, "stages.tune")
    wait_for(process, "1 of 4 done")
    trial_processes = psutil.Process(doomed.pid).children()
    assert trial_processes, "the worker that is to die has a trial"
    os.kill(doomed.pid, signal.SIGKILL)
    finish(process)
    wait_until(lambda: not any(child.is_running() for child in trial_processes), "its trial is gone with it")
    assert same_outputs(alone, folder)
