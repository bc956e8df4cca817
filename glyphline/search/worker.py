"""What a Dask worker does with a trial: pass it to a process of its own, and its reports on to the search."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path
from queue import Empty, SimpleQueue

import distributed
import psutil

from glyphline.search.cluster import check_versions, versions
from glyphline.search.trial import Job, Outcome, Report, Splits, Stop

LOOK = 0.25  # seconds between looks at a trial's memory, and at whether it is still wanted
PATIENCE = 10  # seconds that a process is given to end
KILLED = "its process was killed, as happens for want of memory"


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
        # Where memory runs out, Linux is to end this process rather than the worker or what else there is.
        oom_score = Path(f"/proc/{self._process.pid}/oom_score_adj")
        if oom_score.is_file():
            oom_score.write_text("1000", encoding="ascii")

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
                    return Outcome("out of memory", transient=True)
                if not asked_to_stop and not wanted():
                    self._connection.send(Stop(job.number))
                    asked_to_stop = True
        except (EOFError, OSError, psutil.NoSuchProcess):
            self.end()
            return Outcome(KILLED, transient=True)

    @property
    def alive(self) -> bool:
        """Whether there is a process still."""
        return not self._connection.closed

    def end(self) -> None:
        """End the process, at once."""
        self._connection.close()
        self._process.kill()
        self._process.wait(PATIENCE)


_idle: SimpleQueue[TrialProcess] = SimpleQueue()  # at most one a thread: starting TensorFlow takes seconds


def run_trial(
    job: Job, splits: Splits, topic: str, expected: dict[str, str], trial_memory_gib: float | None
) -> tuple[list[Report], Outcome]:
    """Run a trial, as a task of Dask's: each report is also an event of the topic. Raises VersionsDifferError.

    A trial may take the memory that it is given here, else its share of the worker's limit.
    """
    worker = distributed.get_worker()
    check_versions(versions(), expected, f"the worker at {worker.address}")
    key = worker.get_current_task()
    reports: list[Report] = []

    def on_report(report: Report) -> None:
        reports.append(report)
        worker.log_event(topic, {"report": report})

    def wanted() -> bool:
        # Dask cancels a task whose result nobody waits for: the search stopped the trial, or ended itself.
        task = worker.state.tasks.get(key)
        return task is not None and task.state == "executing"

    limit = worker.memory_manager.memory_limit
    memory_bytes = trial_memory_gib * 2**30 if trial_memory_gib else limit / worker.state.nthreads if limit else None
    try:
        process = _idle.get_nowait()
    except Empty:
        process = TrialProcess()
    outcome = process.run(job, splits, on_report, wanted, memory_bytes)
    if process.alive:
        _idle.put(process)
    return reports, outcome
