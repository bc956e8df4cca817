"""`dvc repro` with several networks at once, and with what this machine has made before.

DVC runs stages one by one (treeverse/dvc #755), and several of its runs block each other unless each is of one stage
(#11054). So each training or search is a run of its stage alone, so many at a time; all else runs as DVC would run it.
A training has as many threads as ever, so that its bytes are the same however many run.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from dask.system import CPU_COUNT
from distributed.system import MEMORY_LIMIT
from dvc.exceptions import DvcException
from dvc.repo import Repo
from ruamel.yaml import YAML

from glyphline import paths
from glyphline.config import check_dataset, load_params
from glyphline.errors import GlyphlineError
from glyphline.evaluation.numbers import plural

LOCK = Path("dvc.lock")
FIRST = "preprocess"  # all that a training depends on
SEARCH = "tune@"
NETWORKS = ("train@", SEARCH, "train_winner@")
# What TensorFlow takes with a network, beside the images. A search takes as much for each of its workers.
TRAINING_BYTES = int(1.1 * 2**30)
GRACE_SECONDS = 10  # from asking a process to end to ending it
AGAIN = "run it again to go on"


def repro(jobs: int | None) -> list[str]:
    """Bring everything in the working directory's repository up to date, so many networks at once.

    jobs: None for as many as there are cores; fewer run where they would need more memory than there is. A line that a
    training or a search prints has its name before it. Returns the files of dvc.lock and metrics/ that are not those of
    the last commit. Raises GlyphlineError, which names it, when a stage fails: the other networks are finished first.
    So it does for SIGINT and SIGTERM, when all that was started has ended.
    """
    if jobs is not None and jobs < 1:
        raise GlyphlineError(f"--jobs: expected 1 or more trainings at once, but it is {jobs}")
    params = load_params(paths.PARAMS)
    check_dataset(params)  # --single-item, below, does not run the stage `check`
    try:
        asyncio.run(_repro(jobs, params.workers))
    except asyncio.CancelledError:
        raise GlyphlineError(f"interrupted; {AGAIN}") from None
    command = ["git", "status", "--porcelain", "-z", "--untracked-files=all", "--", str(LOCK), "metrics"]
    status = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return sorted(entry[3:] for entry in status.split("\0") if entry)


def trainings_at_once(jobs: int | None, cores: int, memory: int, images_bytes: int, helpers: int) -> int:
    """How many networks to train or search at once: so many as asked for, or one a core, as far as memory allows.

    memory: bytes. helpers: the workers of all searches but the first of each.
    """
    fitting = (memory - helpers * TRAINING_BYTES) // (TRAINING_BYTES + images_bytes)
    return max(1, min(jobs or cores, fitting))


async def _repro(jobs: int | None, workers: int) -> None:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    _forget_what_is_elsewhere()
    await _dvc_repro(FIRST)
    networks = _stale_networks()
    if networks:
        images = paths.PREPARED / "train" / "images.npy"
        memory = min(MEMORY_LIMIT, psutil.virtual_memory().available)
        helpers = (workers - 1) * sum(stages[0].startswith(SEARCH) for stages in networks)
        at_once = min(len(networks), trainings_at_once(jobs, CPU_COUNT, memory, images.stat().st_size, helpers))
        names = ", ".join(name for stages in networks for name in stages)
        print(f"{plural(len(networks), 'network')}, {at_once} at once: {names}", flush=True)
        free = asyncio.Semaphore(at_once)
        if failed := [name for name in await asyncio.gather(*(_train(stages, free) for stages in networks)) if name]:
            why = f"failed as said above (if nothing is, dvc repro {failed[0]} says why)"
            raise GlyphlineError(f"{', '.join(failed)}: {why}; the other networks are done; {AGAIN}")
    await _dvc_repro()
    _sort_lock()


def _forget_what_is_elsewhere() -> None:
    """Take stages out of dvc.lock whose outputs were made on another machine.

    DVC looks for such outputs in its cache, and when they are not there it runs the stage, though the run cache may
    have what the same stage gave on this machine. For a stage that is not in dvc.lock DVC does ask the run cache.
    """
    with _repository() as repo:
        elsewhere = {
            stage.name
            for stage in _stages(repo)
            for out in stage.outs
            if out.use_cache and out.hash_info and out.changed_cache() and out.workspace_status()
        }
    _rewrite_lock(lambda stages: {name: entry for name, entry in stages.items() if name not in elsewhere})


def _stale_networks() -> list[list[str]]:
    """The stages of each network that DVC would run, one after the other: its training, or its search and training.

    Searches come first, then the most expensive, as far as their last metrics tell; new ones before others.
    """
    with _repository() as repo:
        names = [stage.name for stage in _stages(repo) if stage.name.startswith(NETWORKS)]
        stale = {target.rpartition(":")[2] for target in repo.status(names)}
    networks: dict[str, list[str]] = {}
    for name in names:
        _, _, network = name.partition("@")
        if name in stale or SEARCH + network in stale:  # whose winner may be another
            networks.setdefault(network, []).append(name)

    def cost(network: str) -> tuple[bool, float]:
        searched = networks[network][0].startswith(SEARCH)
        try:
            metrics = json.loads(paths.train_metrics(network).read_bytes())
            return searched, float(metrics["multiply_adds"] * metrics["epochs"] * metrics.get("seeds", {}).get("n", 1))
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return searched, float("inf")

    return [networks[network] for network in sorted(networks, key=cost, reverse=True)]


def _repository() -> Repo:
    try:
        return Repo()
    except DvcException as error:
        raise GlyphlineError(f"{error}; run it in a repository of Glyphline") from None


def _stages(repo: Repo) -> list[Any]:
    """Those of dvc.yaml. A data set of one's own is a stage of DVC's too, one without a name."""
    return [stage for stage in repo.index.stages if hasattr(stage, "name")]


async def _dvc_repro(*stages: str) -> None:
    if await _exit_status("dvc", "repro", *stages):
        raise GlyphlineError(f"dvc repro failed as said above; {AGAIN}")


async def _train(stages: list[str], free: asyncio.Semaphore) -> str | None:
    """Run the stages of a network; returns the one that failed."""
    async with free:
        for name in stages:
            # Wait for DVC's lock: else a stage that ends while another is being recorded is not recorded.
            command = ("dvc", "--wait-for-lock", "repro", "--quiet", "--single-item", name)
            if await _exit_status(*command, prefix=f"{name}: "):
                return name
    return None


async def _exit_status(*command: str, prefix: str = "") -> int:
    """Run a command and return its exit status. With a prefix, each line that it prints is printed after that."""
    pipes: dict[str, Any] = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.STDOUT} if prefix else {}
    # A process group of its own, to end it with all that it has started.
    process = await asyncio.create_subprocess_exec(*command, start_new_session=True, limit=2**20, **pipes)
    try:
        if process.stdout:
            async for line in process.stdout:
                text = line.decode(errors="replace")
                print(text if text.startswith(prefix) else prefix + text, end="", flush=True)
        return await process.wait()
    finally:
        with suppress(ProcessLookupError):
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGINT)
                with suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), GRACE_SECONDS)
                os.killpg(process.pid, signal.SIGKILL)


def _sort_lock() -> None:
    """Give dvc.lock the stages of dvc.yaml in its order: DVC adds them as they end, and keeps those that are gone."""
    with _repository() as repo:
        order = [stage.name for stage in _stages(repo)]
    _rewrite_lock(lambda stages: {name: stages[name] for name in order if name in stages})


def _rewrite_lock(change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    yaml = YAML()
    if not LOCK.is_file():
        return
    content = yaml.load(LOCK.read_bytes())
    stages = change(content["stages"])
    if list(stages) != list(content["stages"]):
        content["stages"] = stages
        partial = LOCK.with_name("dvc.lock.partial")
        with partial.open("wb") as stream:
            yaml.dump(content, stream)
        partial.replace(LOCK)
