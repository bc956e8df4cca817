"""The search itself: submit trials to the cluster, take in their epochs, stop them, record how they end."""

from __future__ import annotations

import contextlib
import signal
import time
import uuid
import warnings
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import distributed
import optuna
import pandas as pd
from distributed.scheduler import KilledWorker
from pydantic import ValidationError

from glyphline import paths
from glyphline.model.variant import Variant
from glyphline.search.cluster import WORKER_SECONDS, ClusterError, VersionsDifferError, scatter, versions
from glyphline.search.progress import Progress
from glyphline.search.rungs import sizes
from glyphline.search.settings import Search
from glyphline.search.space import merged, suggest
from glyphline.search.study import Study
from glyphline.search.trial import Job, Outcome, Report, Splits
from glyphline.search.worker import KILLED, run_trial

TICK = 1.0  # seconds after which the loop looks around if nothing happens
ATTEMPTS = 2  # at a trial whose process is killed: once may be bad luck


def run_trials(
    client: distributed.Client, study: Study, splits: Splits, name: str, trial_memory_gib: float | None
) -> None:
    """Run the trials that are left of the search of this name, and write how long each took.

    Raises ClusterError, VersionsDifferError.
    """
    loop = _Loop(client, study, splits, name, trial_memory_gib)
    loop.run()
    seconds = pd.DataFrame.from_dict(loop.seconds, orient="index", columns=["seconds", "training_seconds"])
    paths.RUNS.mkdir(exist_ok=True)
    seconds.sort_index().to_csv(paths.trial_seconds(name), index_label="trial")


def timing_warnings(name: str, search: Search, threads: int) -> list[str]:
    """What of the search of this name is not reproducible on so many threads, a sentence each."""
    said = []
    if search.minutes is not None:
        said.append(
            f"searches.{name}.minutes: how many trials these are depends on how fast the machine is: another run may "
            "find other trials; trials without minutes is reproducible"
        )
    if search.sampler == "tpe" and threads > 1:
        said.append(
            f"searches.{name}.sampler: tpe looks at other trials, and which have ended depends on timing: on {threads} "
            "workers another run may find other trials; workers=1 is reproducible"
        )
    return said


@dataclass
class _Running:
    trial: optuna.Trial
    job: Job
    future: distributed.Future
    epochs: int  # that the study has
    started: float  # time.perf_counter()
    training_seconds: float = 0  # up to the last epoch
    attempt: int = 1


class _Loop:
    def __init__(
        self,
        client: distributed.Client,
        study: Study,
        splits: Splits,
        name: str,
        trial_memory_gib: float | None,
    ) -> None:
        self._client, self._study, self._search, self._splits = client, study, study.search, splits
        self._name, self._trial_memory_gib = name, trial_memory_gib
        self._topic = uuid.uuid4().hex[:8]  # two searches on one scheduler keep apart
        self._inbox: SimpleQueue[Report | None] = SimpleQueue()  # None: look around
        self._interrupted = False
        self._running: dict[int, _Running] = {}  # by the trial's number
        self._without_workers_since: float | None = None  # time.monotonic()
        self._progress = Progress(self._search, study.metric, self._threads())
        self.seconds: dict[int, tuple[float, float]] = {}  # of each trial, and of its epochs

    def run(self) -> None:
        """Run all trials to their ends."""
        # Dask calls this in a thread of its own; the loop's thread does the rest.
        self._client.subscribe_topic(self._topic, lambda event: self._inbox.put(Report(*event[1]["report"])))
        default = signal.getsignal(signal.SIGINT)
        try:
            self._data = scatter(self._client, self._splits)
            signal.signal(signal.SIGINT, lambda *_: self._interrupt(default))
            for warning in timing_warnings(self._name, self._search, self._threads()):
                self._progress.note(warning)
            for height in self._search.heights:
                for number in (before := self._study.there(height)):
                    self._progress.before(self._study.row(number), height)
                if before:
                    where, of = self._progress.where(height), self._rung(height)
                    self._progress.note(f"{where}{len(before)} of {of} trials were done before")
            while self._running or self._study.has_trials_left:
                if self._interrupted:
                    raise KeyboardInterrupt
                threads = self._threads()
                self._check_workers(threads)
                self._progress.threads = max(1, threads)
                if self._study.count is None and self._progress.out_of_time(self._study.drawn + 1):
                    self._study.stop_drawing()
                while len(self._running) < threads and (trial := self._study.next_trial(self._running)):
                    self._start(trial, self._study.target(trial.number))
                self._take_in_reports()
                for running in list(self._running.values()):
                    if running.future.status != "pending":
                        self._settle(running)
        finally:
            signal.signal(signal.SIGINT, default)
            for running in self._running.values():
                running.future.cancel()
            self._client.unsubscribe_topic(self._topic)
            self._progress.close()

    def _interrupt(self, default: Any) -> None:
        """Let the loop end at its next turn: raised here, KeyboardInterrupt would be lost inside a destructor."""
        signal.signal(signal.SIGINT, default)  # a second time, at once
        self._interrupted = True
        self._inbox.put(None)

    def _threads(self) -> int:
        """How many trials the cluster can run at once."""
        try:
            return sum(self._client.nthreads().values())
        except OSError:
            raise _scheduler_lost() from None

    def _check_workers(self, threads: int) -> None:
        now = time.monotonic()
        if threads:
            self._without_workers_since = None
        elif self._without_workers_since is None:
            self._without_workers_since = now
            self._progress.note("no worker is left; waiting for one")
        elif now - self._without_workers_since > WORKER_SECONDS:
            raise ClusterError(
                f"there has been no worker for {WORKER_SECONDS} s; start some and run dvc repro again: "
                "the trials that are done are kept"
            )

    def _start(self, trial: optuna.Trial, end: int) -> None:
        """Submit a trial, to be trained up to an epoch, unless it is at its end already."""
        drawn = suggest(trial, self._search.space)
        try:
            variant = Variant.model_validate(merged(self._search.fixed.model_dump(), drawn))
            variant.check_fits(self._splits.train.image_shape[0])
        except ValueError as error:
            first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            reason = first.removeprefix("Value error, ")
            self._fail(trial, end, f"not a network: {reason}", transient=False)
            return
        epochs = len(self._study.scores(trial.number))
        if self._study.should_stop(trial) or epochs == self._search.fixed.epochs:
            # The search was killed between its last epoch and its end.
            self._end(trial, end, stopped=epochs < self._search.fixed.epochs)
            return
        start, metric = self._study.checkpoint(trial.number), self._study.metric
        job = Job(trial.number, variant, self._study.seed, end, start, metric)
        self._running[trial.number] = _Running(trial, job, self._submit(job), epochs, time.perf_counter())

    def _submit(self, job: Job) -> distributed.Future:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that a checkpoint is large
            future = self._client.submit(
                run_trial,
                job,
                self._data,
                self._topic,
                versions(),
                self._trial_memory_gib,
                key=f"trial-{self._topic}-{job.number}-{uuid.uuid4().hex[:4]}",
                pure=False,
            )
        future.add_done_callback(lambda _: self._inbox.put(None))
        return future

    def _take_in_reports(self) -> None:
        """Wait until something happens or TICK is over, take in the reports that have come, and stop trials."""
        timeout = TICK
        with contextlib.suppress(Empty):
            while True:
                report = self._inbox.get(timeout=timeout)
                timeout = 0
                running = self._running.get(report.trial) if report else None
                if report and running and self._take_in(running, report):
                    running.future.cancel()
                    self._end(running.trial, running.job.end, stopped=True)

    def _take_in(self, running: _Running, report: Report) -> bool:
        """Tell the study of an epoch that it does not know yet; whether the trial is to stop there.

        A trial that starts again elsewhere reports its first epochs again: they are the same, and passed over.
        """
        seconds, running.training_seconds = report.seconds - running.training_seconds, report.seconds
        if report.epoch != running.epochs + 1:
            return False
        running.epochs = report.epoch
        running.trial.report(report.validation_score, report.epoch)
        self._progress.epoch(report.trial, report.epoch, seconds)
        return self._study.should_stop(running.trial)

    def _settle(self, running: _Running) -> None:
        """Go on with a trial whose future is not pending any more: it has ended, or it is submitted again."""
        trial, future = running.trial, running.future
        if future.status == "finished":
            self._take_in_result(running, *future.result())
        elif future.status == "error":
            error = future.exception()
            if isinstance(error, KilledWorker):
                self._fail(
                    trial, running.job.end, "its workers were killed, as happens for want of memory", transient=True
                )
            elif isinstance(error, ModuleNotFoundError):
                raise VersionsDifferError(
                    f"a worker lacks the package {error.name}; set up the same commit there with make setup, and "
                    "start it from there"
                ) from None
            else:
                raise error
        else:  # lost: no worker has the data any more, or the scheduler is gone
            if self._client.status != "running":
                raise _scheduler_lost()
            if self._data.status != "finished":
                self._progress.note("the workers with the data are gone; sending the data again")
                self._data = scatter(self._client, self._splits)
            self._submit_again(running)

    def _take_in_result(self, running: _Running, reports: list[Report], outcome: Outcome) -> None:
        trial, end = running.trial, running.job.end
        if any(self._take_in(running, report) for report in reports):  # up to the one that stops it
            self._end(trial, end, stopped=True)
        elif outcome.failure == KILLED and running.attempt < ATTEMPTS:
            self._progress.note(f"trial {trial.number}: {outcome.failure}; once more")
            self._submit_again(running)
        elif outcome.failure is not None:
            self._fail(trial, end, outcome.failure, outcome.transient)
        elif outcome.checkpoint is not None:
            self._study.pause(trial, outcome.checkpoint)
            self._ended(trial.number, end)
        else:
            self._end(trial, end, stopped=False)

    def _submit_again(self, running: _Running) -> None:
        running.attempt += 1
        running.future = self._submit(running.job)

    def _end(self, trial: optuna.Trial, end: int, stopped: bool) -> None:
        self._study.end(trial, stopped)
        self._ended(trial.number, end)

    def _fail(self, trial: optuna.Trial, end: int, reason: str, transient: bool) -> None:
        self._study.fail(trial, reason, transient)
        self._ended(trial.number, end)

    def _ended(self, number: int, end: int) -> None:
        """Say that a trial has come to the epoch that it was to come to, or ended before."""
        running = self._running.pop(number, None)
        if running:
            before = self.seconds.get(number, (0, 0))
            took = time.perf_counter() - running.started, running.training_seconds
            self.seconds[number] = (round(before[0] + took[0], 3), round(before[1] + took[1], 3))
        done = len(self._study.there(end))
        self._progress.ended(self._study.row(number), end, done, self._rung(end), self._study.count)

    def _rung(self, height: int) -> int:
        """How many trials the rung of this height has."""
        heights = self._search.heights
        return sizes(self._study.count or self._study.drawn, heights)[heights.index(height)]


def _scheduler_lost() -> ClusterError:
    return ClusterError(
        "the connection to the scheduler is lost; when it is up again run dvc repro: the trials that are done are kept"
    )
