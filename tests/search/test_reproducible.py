"""One table, however the search is run: real `tune` processes, real schedulers and workers, real SIGKILLs."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import psutil
import pytest
from distributed import Client, Security

from glyphline.search.settings import CLUSTER_VARIABLES, Search
from glyphline.search.space import suggest
from glyphline.search.study import STARTUP_TRIALS, sampler
from tests.search.conftest import (
    LONGEST,
    NAME,
    SEARCH,
    TRIALS,
    World,
    finish,
    kill_group,
    same_outputs,
    set_search,
    start,
    tune_on,
    wait_for,
    wait_until,
)

COUNT = SEARCH["trials"]


@pytest.mark.long
def test_two_workers_give_the_bytes_of_one_and_listen_to_no_network(undisturbed: Path, searchable: World) -> None:
    folder = searchable(workers=2)
    process = start(folder, "stages.tune", NAME)
    wait_for(process, " of 4 done")
    tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    hosts = {
        connection.laddr.ip
        for each in tree
        for connection in each.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    finish(process)
    assert same_outputs(undisturbed, folder)
    assert hosts == {"127.0.0.1"}


@pytest.mark.long
def test_a_search_that_is_killed_goes_on_from_there_even_to_more_trials(undisturbed: Path, searchable: World) -> None:
    folder = searchable(workers=2, trials=COUNT - 1)
    first = start(folder, "stages.tune", NAME)
    wait_for(first, " of 3 done")
    children = psutil.Process(first.pid).children(recursive=True)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    wait_until(lambda: not any(child.is_running() for child in children), "the workers and their trials are gone")
    assert not (folder / TRIALS).exists()

    set_search(folder, workers=2)
    again = finish(start(folder, "stages.tune", NAME))
    assert "trials were done before" in again
    assert len(pd.read_csv(folder / "runs/trials@tuned.csv")) < COUNT, "a trial that was done ran again"
    assert same_outputs(undisturbed, folder)


@pytest.mark.long
def test_ctrl_c_is_one_line_and_leaves_no_process(searchable: World) -> None:
    process = start(searchable(workers=2), "stages.tune", NAME)
    wait_for(process, " of 4 done")
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    output, _ = process.communicate(timeout=LONGEST)
    said = [line for line in output.splitlines() if not line.startswith("trial ")]
    assert said == ["tune@tuned: interrupted; run dvc repro to go on"]
    assert process.returncode == 1
    wait_until(lambda: not any(child.is_running() for child in children), "the workers and their trials are gone")


@pytest.mark.long
def test_tpe_is_reproducible_on_one_worker_and_learns_from_the_trials_before(
    searchable: World, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = {"sampler": "tpe", "trials": STARTUP_TRIALS + 2}
    first, second = (searchable(seed=7, **changes) for _ in range(2))
    for folder in (first, second):
        tune_on(client, folder)
    assert "looks at other trials" not in capsys.readouterr().out
    assert same_outputs(first, second)

    table = pd.read_csv(first / TRIALS)
    random = Search.model_validate(SEARCH)
    study = optuna.create_study(sampler=sampler(random, seed=7))
    at_random = [suggest(study.ask(), random.space)["learning_rate"] for _ in range(STARTUP_TRIALS + 2)]
    assert list(table["learning_rate"] != at_random) == [False] * STARTUP_TRIALS + [True] * 2


RUNGS: dict[str, Any] = {"stopping": "rungs", "rungs": [1, 3], "trials": 6, "fixed": {"batch_size": 16, "epochs": 6}}


@pytest.mark.long
def test_rungs_give_the_same_on_two_workers_after_a_kill_and_after_a_search_of_fewer_trials(
    searchable: World, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    calm = searchable(**RUNGS)
    tune_on(client, calm)
    table = pd.read_csv(calm / TRIALS)
    assert sorted(table["epochs"]) == [1, 1, 1, 1, 3, 6], "of six the best two go on, and of those the better"
    assert (table["state"] == "complete").tolist() == (table["epochs"] == 6).tolist()

    folder = searchable(workers=2, **RUNGS)
    process = start(folder, "stages.tune", NAME)
    wait_for(process, "rung 2 of 3, trial ")
    kill_group(process)
    assert not (folder / TRIALS).exists()
    assert list(folder.glob("runs/search/*/*.npz")), "what to go on from"
    capsys.readouterr()
    tune_on(client, folder)
    said = capsys.readouterr().out
    assert "rung 1 of 3, 6 of 6 trials were done before" in said
    assert "rung 1 of 3, trial" not in said
    assert same_outputs(calm, folder)
    assert not list(folder.glob("runs/search/*/*.npz")), "and nothing more"

    fewer = searchable(**RUNGS | {"trials": 4})
    tune_on(client, fewer)
    set_search(fewer, **RUNGS)
    tune_on(client, fewer)
    assert same_outputs(calm, fewer)


@pytest.mark.long
def test_a_search_of_some_minutes_says_that_it_is_not_reproducible_and_keeps_its_trials(
    searchable: World, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, known = searchable(minutes=0.001, trials=1), searchable(trials=1)
    tune_on(client, folder)
    assert (
        "searches.tuned.minutes: how many trials these are depends on how fast the machine " in capsys.readouterr().out
    )
    tune_on(client, known)
    assert same_outputs(folder, known), "one trial, as no time was left for another"
    before = (folder / TRIALS).stat().st_mtime_ns
    tune_on(client, folder)
    assert (folder / TRIALS).stat().st_mtime_ns > before
    assert same_outputs(folder, known), "and there is none the next time"


Cluster = tuple[dict[str, str], subprocess.Popen[str], list[subprocess.Popen[str]]]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A real scheduler at tls:// and two real workers with one thread each, in folders of their own.

    With the environment of a `tune` that uses them.
    """
    folder = tmp_path_factory.mktemp("cluster")
    temporary = Security.temporary()  # a certificate that signs itself
    files = dict(zip(["--tls-ca-file", "--tls-cert", "--tls-key"], ["ca.pem", "cert.pem", "key.pem"], strict=True))
    contents = [temporary.tls_ca_file, temporary.tls_client_cert, temporary.tls_client_key]
    for name, content in zip(files.values(), contents, strict=True):
        (folder / name).write_text(content, encoding="ascii")
    options = ["--host", "127.0.0.1", "--no-dashboard"]
    options += [word for option, name in files.items() for word in (option, str(folder / name))]
    processes = [start(folder, "distributed.cli.dask_scheduler", *options, "--port", "0")]
    try:
        address = wait_for(processes[0], "Scheduler at:").split()[-1]
        for nanny in ("--nanny", "--no-nanny"):
            (folder / nanny).mkdir()
            own = ["--nthreads", "1", nanny, "--local-directory", str(folder / nanny)]
            processes.append(start(folder / nanny, "distributed.cli.dask_worker", address, *options, *own))
        for process in processes[1:]:
            wait_for(process, "Registered to")
        values = [address, *(str(folder / name) for name in files.values())]
        yield dict(zip(CLUSTER_VARIABLES.values(), values, strict=True)), processes[0], processes[1:]
    finally:
        for process in processes:
            kill_group(process)


@pytest.mark.long
def test_a_cluster_that_loses_a_worker_gives_the_same(undisturbed: Path, searchable: World, cluster: Cluster) -> None:
    environment, _, (_, doomed) = cluster
    folder = searchable()
    process = start(folder, "stages.tune", NAME, **environment)
    wait_for(process, " of 4 done")
    trial_processes = psutil.Process(doomed.pid).children()
    assert trial_processes, "the worker that is to die has a trial"
    os.kill(doomed.pid, signal.SIGKILL)
    finish(process)
    wait_until(lambda: not any(child.is_running() for child in trial_processes), "its trial is gone with it")
    assert same_outputs(undisturbed, folder)


@pytest.mark.long
def test_a_scheduler_that_dies_is_one_sentence(searchable: World, cluster: Cluster) -> None:
    environment, scheduler, _ = cluster
    process = start(searchable(seed=8), "stages.tune", NAME, **environment)
    wait_for(process, " of 4 done")
    kill_group(scheduler)
    output, _ = process.communicate(timeout=LONGEST)
    assert process.returncode == 1
    assert output.splitlines()[-1].startswith("the connection to the scheduler is lost")
    assert "Traceback" not in output, output
