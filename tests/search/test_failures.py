"""Trials that fail, and what a search needs and does not find."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

from glyphline.errors import GlyphlineError
from glyphline.search import cluster, loop
from glyphline.search.versions import versions
from stages import tune
from tests.conftest import Write
from tests.search.conftest import LONGEST, World, finish, kill_group, same_outputs, start, wait_for

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


def refusal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The one sentence with which tune ends in a folder."""
    monkeypatch.chdir(folder)
    with pytest.raises(GlyphlineError) as caught:
        tune.main()
    assert len(str(caught.value).splitlines()) == 1
    assert not (folder / "metrics").exists()
    return str(caught.value)


def test_trials_that_fail_are_recorded_and_the_search_goes_on(searchable: World) -> None:
    folder = searchable(seed=9, **MISHAPS)
    finish(start(folder, "stages.tune"))
    trials = pd.read_csv(folder / "metrics/search/trials.csv", keep_default_na=False)
    assert list(trials["state"]) == ["failed", "failed", "failed", "complete", "failed"]
    reasons = ["diverged in epoch 1", "out of memory", "diverged in epoch 1", "", "not a network: convolution "]
    for reason, expected in zip(trials["failure"], reasons, strict=True):
        assert reason.startswith(expected) if expected else reason == ""
    assert list(trials["dense"]) == ["[8]", "[16000, 16000]", "[8]", "[8]", trials["dense"].iloc[4]]


def test_a_search_of_which_every_trial_fails_is_one_sentence(
    searchable: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = searchable(trials=2, space={"filters": {"choices": [[2] * 14]}})
    said = refusal(folder, monkeypatch)
    assert said.startswith("params.yaml: search: every trial failed, the first: not a network: convolution ")


def trial_process(searching: int) -> psutil.Process:
    """The one process in which the trials of a search on one worker are trained."""
    (found,) = [
        each
        for each in psutil.Process(searching).children(recursive=True)
        if any("glyphline.search.trial" in word for word in each.cmdline())
    ]
    return found


def test_a_killed_trial_and_a_killed_worker_with_the_only_copy_of_the_data_lose_nothing(
    alone: Path, searchable: World
) -> None:
    folder = searchable()
    process = start(folder, "stages.tune")
    wait_for(process, "1 of 4 done")
    trial_process(process.pid).kill()
    wait_for(process, "its process was killed, as happens for want of memory; once more")
    wait_for(process, "2 of 4 done")
    worker = trial_process(process.pid).parent()
    assert worker is not None
    worker.kill()
    assert "sending the data again" in finish(process)
    assert same_outputs(alone, folder)


def test_a_scheduler_that_cannot_be_reached_is_one_sentence(searchable: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "ANSWER_SECONDS", 1)
    folder = searchable(scheduler="tcp://127.0.0.1:9")
    said = refusal(folder, monkeypatch)
    assert said.startswith("params.yaml: search.scheduler: tcp://127.0.0.1:9 does not answer within 1 s")


def test_no_part_of_dask_can_tell_of_a_lost_connection_by_a_traceback(
    searchable: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "ANSWER_SECONDS", 1)
    refusal(searchable(scheduler="tcp://127.0.0.1:9"), monkeypatch)
    # Which part finds the connection lost first depends on timing. The collector of garbage knows of none.
    parts = [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "distributed"]
    loud = {name for name in parts if logging.getLogger(name).isEnabledFor(logging.ERROR)}
    assert {"distributed.batched", "distributed.client", "distributed.comm.tcp"} <= set(parts)
    assert loud <= {"distributed.gc"}


def test_a_scheduler_that_dies_is_one_sentence(searchable: World, tmp_path: Path) -> None:
    where = ["--host", "127.0.0.1", "--no-dashboard"]
    scheduler = start(tmp_path, "distributed.cli.dask_scheduler", *where, "--port", "0")
    address = wait_for(scheduler, "Scheduler at:").split()[-1]
    worker = start(tmp_path, "distributed.cli.dask_worker", address, *where, "--nthreads", "1")
    try:
        folder = searchable(scheduler=address)
        process = start(folder, "stages.tune")
        wait_for(process, "1 of 4 done")
        kill_group(scheduler)
        output, _ = process.communicate(timeout=LONGEST)
    finally:
        kill_group(scheduler)
        kill_group(worker)
    assert process.returncode == 1
    assert output.splitlines()[-1].startswith("the connection to the scheduler is lost")
    assert "Traceback" not in output, output


def test_a_certificate_that_is_missing_or_none_is_one_sentence(
    searchable: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"tls_ca_file": "params.yaml", "tls_certificate": "cert.pem", "tls_key": "params.yaml"}
    folder = searchable(scheduler="tls://127.0.0.1:9", **files)
    assert refusal(folder, monkeypatch).startswith(
        "params.yaml: search.tls_certificate: cert.pem: there is no such file"
    )
    (folder / "cert.pem").write_text("no certificate", encoding="ascii")
    assert "PEM" in refusal(folder, monkeypatch)


def test_a_worker_of_other_versions_is_one_sentence(searchable: World, monkeypatch: pytest.MonkeyPatch) -> None:
    other = versions() | {"keras": "3.0.0"}
    monkeypatch.setattr(loop, "versions", lambda: other)
    said = refusal(searchable(), monkeypatch)
    assert said.startswith("the worker at tcp://127.0.0.1:")
    assert f"has keras {versions()['keras']} instead of 3.0.0; " in said


def test_a_search_without_its_section_is_one_sentence(
    world: Path, write_params: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_params()
    assert refusal(world, monkeypatch).startswith("params.yaml: search: this section is missing")
