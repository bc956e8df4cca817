"""What a Dask worker does with a trial: pass it to a process of its own, and its reports on to the search."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import Pipe
from pathlib import Path

import distributed
import psutil

from glyphline.search.trial import Job, Outcome, Report, Splits, Stop
from glyphline.search.versions import check

LOOK = 0.25  # seconds between looks at a trial's memory, and at whether it is still wanted
PATIENCE = 10  # seconds that a process is given to end
KILLED = "its process was killed, as happens for want of memory"
_GIB = 2**30


@dataclass(frozen=True)
class Ended:
    """How a trial ended, with all it reported."""

    reports: list[Report]
    outcome: Outcome


class TrialProcess:
    """A process in which glyphline.search.trial serves, from here."""

    def __init__(self) -> None:
        self._connection, theirs = Pipe()
        package = Path(__file__).parents[2]
        search_path = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH")]))
        settings = {"PYTHONPATH": search_path, "OMP_NUM_THREADS": "1", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        self._process = psutil.Popen(
            [sys.executable, "-c", f"from glyphline.search.trial import serve; serve({theirs.fileno()})"],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ, **settings},
        )
        theirs.close()
        self._data: str | None = None
        _be_the_first_to_go(self._process.pid)

    def run(
        self,
        job: Job,
        splits: Splits,
        on_report: Callable[[Report], None],
        wanted: Callable[[], bool],
        memory_bytes: float | None,
    ) -> Outcome:
        """How the job ended; `alive` says whether the process is fit for another."""
        try:
            if self._data != splits.digest:
                self._connection.send(splits)
                self._data = splits.digest
            self._connection.send(job)
            asked_to_stop = False
            while True:
                if self._connection.poll(LOOK):
                    message = self._connection.recv()
                    if isinstance(message, Outcome):
                        return message
                    on_report(message)
                if memory_bytes is not None and self._process.memory_info().rss > memory_bytes:
                    self.end()
                    return Outcome("out of memory", may_pass=True)
                if not asked_to_stop and not wanted():
                    self._connection.send(Stop(job.number))
                    asked_to_stop = True
        except (EOFError, OSError, psutil.NoSuchProcess):
            self.end()
            return Outcome(KILLED, may_pass=True)

    @property
    def alive(self) -> bool:
        """Whether there is a process still."""
        return not self._connection.closed

    def end(self) -> None:
        """End the process, at once."""
        self._connection.close()
        self._process.kill()
        self._process.wait(PATIENCE)


def _be_the_first_to_go(pid: int) -> None:
    """Where memory runs out, Linux shall end this process rather than the worker or what else there is."""
    adjustment = Path(f"/proc/{pid}/oom_score_adj")
    if adjustment.is_file():
        adjustment.write_text("1000", encoding="ascii")


@dataclass
class _Idle:
    """The processes of this worker that have nothing to do. One a thread: starting TensorFlow takes seconds."""

    processes: list[TrialProcess] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


_idle = _Idle()


def _borrow() -> TrialProcess:
    with _idle.lock:
        return _idle.processes.pop() if _idle.processes else TrialProcess()


def _give_back(process: TrialProcess) -> None:
    with _idle.lock:
        _idle.processes.append(process)


def run_trial(job: Job, splits: Splits, topic: str, versions: dict[str, str], trial_memory_gib: float | None) -> Ended:
    """Run a trial, as a task of Dask's: each report is an event of the topic, as is the end of the whole its result.

    Raises VersionsDifferError.
    """
    worker = distributed.get_worker()
    check(versions, f"the worker at {worker.address}")
    key = worker.get_current_task()
    reports: list[Report] = []

    def on_report(report: Report) -> None:
        reports.append(report)
        worker.log_event(topic, {"trial": job.number, "report": report})

    def wanted() -> bool:
        # Dask cancels a task whose result nobody waits for: the search stopped the trial, or ended itself.
        task = worker.state.tasks.get(key)
        return task is not None and task.state == "executing"

    process = _borrow()
    outcome = process.run(job, splits, on_report, wanted, _memory_bytes(worker, trial_memory_gib))
    if process.alive:
        _give_back(process)
    return Ended(reports, outcome)


def _memory_bytes(worker: distributed.Worker, trial_memory_gib: float | None) -> float | None:
    """What a trial may take: what was asked for, else the worker's own limit, shared by its threads."""
    if trial_memory_gib is not None:
        return trial_memory_gib * _GIB
    limit: int | None = worker.memory_manager.memory_limit
    return limit / worker.state.nthreads if limit else None
