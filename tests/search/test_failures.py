"""Trials that fail, and what a search needs and does not find."""

from __future__ import annotations

import contextlib
import logging
import stat
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from distributed import Client, Security

from glyphline.search import cluster, loop
from glyphline.search.cluster import versions
from stages import tune
from tests import conftest
from tests.conftest import Write
from tests.search.conftest import NAME, TRIALS, World, finish, same_outputs, start, tune_on, wait_for

# With seed 9 the trials diverge, take too much memory, diverge, train, and leave nothing of the images, in this order.
MISHAPS: dict[str, Any] = {
    "trials": 5,
    "fixed": {"batch_size": 50, "epochs": 2, "optimizer": "sgd"},
    "space": {
        "dense": {"choices": [[8], [16000, 16000]]},
        "filters": {"choices": [[], [2] * 14]},
        "learning_rate": {"choices": [0.01, 1e38]},
    },
    "trial_memory_gib": 1.5,
}


def refusal(folder: Path, client: Client | None = None) -> str:
    """The one sentence with which tune ends in a folder, on this cluster or on its own."""
    with contextlib.chdir(folder):
        said = conftest.refusal(tune_on, client, folder) if client else conftest.refusal(tune.main, NAME)
    assert not (folder / "metrics").exists()
    return said


@pytest.mark.long
def test_trials_that_fail_are_recorded_and_the_search_goes_on(searchable: World, client: Client) -> None:
    folder = searchable(seed=9, **MISHAPS)
    tune_on(client, folder)
    trials = pd.read_csv(folder / TRIALS, keep_default_na=False)
    assert list(trials["state"]) == ["failed", "failed", "failed", "complete", "failed"]
    reasons = ["diverged in epoch 1", "out of memory", "diverged in epoch 1", "", "not a network: convolution "]
    for reason, expected in zip(trials["failure"], reasons, strict=True):
        assert reason.startswith(expected) if expected else reason == ""
    assert list(trials["dense"]) == ["[8]", "[16000, 16000]", "[8]", "[8]", trials["dense"].iloc[4]]


def test_a_search_of_which_every_trial_fails_is_one_sentence(searchable: World, client: Client) -> None:
    said = refusal(searchable(trials=2, space={"filters": {"choices": [[2] * 14]}}), client)
    assert said.startswith("params.yaml: searches.tuned: every trial failed, the first: not a network: convolution ")


def trial_process(searching: int) -> psutil.Process:
    """The one process in which the trials of a search on one worker are trained."""
    (found,) = [
        each
        for each in psutil.Process(searching).children(recursive=True)
        if any("glyphline.search.trial" in word for word in each.cmdline())
    ]
    return found


@pytest.mark.long
def test_a_killed_trial_and_a_killed_worker_with_the_only_copy_of_the_data_lose_nothing(
    undisturbed: Path, searchable: World
) -> None:
    folder = searchable()
    process = start(folder, "stages.tune", NAME)
    wait_for(process, "1 of 4 done")
    trial_process(process.pid).kill()
    wait_for(process, "its process was killed, as happens for want of memory; once more")
    wait_for(process, "2 of 4 done")
    worker = trial_process(process.pid).parent()
    assert worker is not None
    worker.kill()
    assert "sending the data again" in finish(process)
    assert same_outputs(undisturbed, folder)


def test_a_scheduler_that_cannot_be_reached_is_one_sentence_and_dask_adds_no_traceback(
    searchable: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "ANSWER_SECONDS", 1)
    monkeypatch.setenv("GLYPHLINE_SCHEDULER", "tcp://127.0.0.1:9")
    said = refusal(searchable())
    assert said.startswith("GLYPHLINE_SCHEDULER: tcp://127.0.0.1:9 does not answer within 1 s")
    # Which part finds a connection lost first depends on timing. The collector of garbage knows of none.
    parts = [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "distributed"]
    loud = {name for name in parts if logging.getLogger(name).isEnabledFor(logging.ERROR)}
    assert {"distributed.batched", "distributed.client", "distributed.comm.tcp"} <= set(parts)
    assert loud <= {"distributed.gc"}


TLS = {"GLYPHLINE_TLS_CA_FILE": "params.yaml", "GLYPHLINE_TLS_CERTIFICATE": "cert", "GLYPHLINE_TLS_KEY": "params.yaml"}


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"GLYPHLINE_SCHEDULER": "10.0.0.1:8786"}, "GLYPHLINE_SCHEDULER: a scheduler is tls://host:port or tcp://host"),
        ({"GLYPHLINE_SCHEDULER": "tls://10.0.0.1:1"}, "GLYPHLINE_SCHEDULER: tls:// and GLYPHLINE_TLS_CA_FILE, "),
        ({"GLYPHLINE_SCHEDULER": "tcp://10.0.0.1:1"} | TLS, "GLYPHLINE_SCHEDULER: tls:// and GLYPHLINE_TLS_CA_FILE, "),
        ({"GLYPHLINE_SCHEDULER": "tls://[::1]:1"} | TLS, "GLYPHLINE_TLS_CERTIFICATE: cert: there is no such file"),
        (
            {"GLYPHLINE_SCHEDULER": "tls://10.0.0.1:1"} | TLS | {"GLYPHLINE_TLS_CERTIFICATE": "params.yaml"},
            "GLYPHLINE_TLS_CA_FILE, GLYPHLINE_TLS_CERTIFICATE, GLYPHLINE_TLS_KEY: these are no certificates and key ",
        ),
    ],
)
def test_an_environment_that_names_no_cluster_is_one_sentence(
    environment: dict[str, str], said: str, searchable: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert refusal(searchable()).startswith(said)


def test_a_worker_of_this_machine_that_finds_the_search_ended_adds_no_traceback(client: Client) -> None:
    levels = client.run(lambda: [each.level for each in logging.getLogger("distributed").handlers])
    assert list(levels.values()) == [[logging.CRITICAL]], "of its one worker"


def test_nobody_else_on_this_machine_can_give_work_to_the_workers(client: Client) -> None:
    address = client.scheduler.address
    workers = client.scheduler_info()["workers"]
    assert all(each.startswith("tls://") for each in (address, *workers, *(each["nanny"] for each in workers.values())))
    for where, security in ((address.replace("tls", "tcp"), None), (address, Security.temporary())):
        with pytest.raises(OSError):  # noqa: PT011  # Dask raises several, by who notices first
            Client(where, security=security, timeout=1, set_as_default=False)


def test_nobody_else_on_this_machine_can_put_modules_in_the_way_of_the_workers(client: Client) -> None:
    for entries in (sys.path, *client.run(lambda: sys.path).values()):
        scratch = [Path(entry) for entry in entries if "dask-scratch-space" in entry]
        assert scratch, "Dask looks for modules in its temporary folder"
        for folder in scratch:
            (private,) = (each for each in folder.parents if each.name.startswith("glyphline-"))
            assert stat.S_IMODE(private.stat().st_mode) == 0o700


def test_a_worker_of_other_versions_is_one_sentence(
    searchable: World, monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    other = versions() | {"keras": "3.0.0"}
    monkeypatch.setattr(loop, "versions", lambda: other)
    said = refusal(searchable(), client)
    assert said.startswith("the worker at tls://127.0.0.1:")
    assert f"has keras {versions()['keras']} instead of 3.0.0; " in said


def test_a_search_that_params_yaml_does_not_have_is_one_sentence(world: Path, write_params: Write) -> None:
    write_params()
    assert refusal(world).startswith("params.yaml: searches.tuned: there is no such search")
