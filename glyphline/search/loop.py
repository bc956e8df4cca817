"""The search itself: hand trials to the cluster, hear how they fare, stop them, note how they end."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import distributed
import optuna
from distributed.scheduler import KilledWorker
from optuna.trial import TrialState
from pydantic import ValidationError

from glyphline.model.variant import Variant
from glyphline.search.cluster import WORKER_SECONDS, ClusterError, share
from glyphline.search.progress import Progress
from glyphline.search.settings import Search
from glyphline.search.space import suggest
from glyphline.search.study import FAILURE, STOPPED, unfinished
from glyphline.search.table import COMPLETE, FAILED, STOPPED_EARLY
from glyphline.search.trial import Job, Report, Splits
from glyphline.search.versions import VersionsDifferError, versions
from glyphline.search.worker import KILLED, Ended, run_trial

TICK = 1.0  # seconds after which the loop looks around if nothing happens
ATTEMPTS = 2  # at a trial whose process is killed: once may be bad luck
ACCURACY = "validation_accuracy"


@dataclass
class _Running:
    trial: optuna.Trial
    job: Job
    future: distributed.Future
    epochs: int  # that the study knows
    started: float  # time.perf_counter()
    attempt: int = 1


class Loop:
    """One search on one cluster. The study has its trials when `run` is over, but for those that `accidents` names."""

    def __init__(
        self, client: distributed.Client, study: optuna.Study, search: Search, seed: int, splits: Splits
    ) -> None:
        self.accidents: dict[int, str] = {}  # why a trial failed, by its number, where that may pass
        self.seconds: dict[int, float] = {}  # by number, of the trials that ended here
        self.training_seconds: dict[int, float] = {}  # of those, in epochs that ended
        self._client, self._study, self._search, self._seed, self._splits = client, study, search, seed, splits
        self._token = uuid.uuid4().hex[:8]  # two searches on one scheduler keep apart
        self._versions = versions()
        self._inbox: SimpleQueue[tuple[int, Report] | None] = SimpleQueue()
        self._running: dict[int, _Running] = {}
        self._resumed = [trial for trial in unfinished(study) if trial.number < search.trials]
        self._seen_workers = time.monotonic()
        self._waiting = False
        self._progress = Progress(search.trials, search.fixed.epochs, self._done_before())
        for each in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)):
            self._progress.known(each.number, max(each.intermediate_values.values(), default=None))

    def _done_before(self) -> int:
        trials = self._study.get_trials(deepcopy=False)[: self._search.trials]
        return sum(trial.state.is_finished() for trial in trials)

    def run(self) -> None:
        """Run all trials to their ends. Raises ClusterError, VersionsDifferError."""
        self._client.subscribe_topic(self._token, self._hear)
        self._data = share(self._client, self._splits)
        self._warn(self._threads())
        try:
            while self._running or self._are_more():
                threads = self._threads()
                self._look_after_workers(threads)
                self._start_what_fits(threads - len(self._running))
                self._wait()
                for running in list(self._running.values()):
                    if running.future.status != "pending":
                        self._settle(running)
        finally:
            for running in self._running.values():
                running.future.cancel()
            self._client.unsubscribe_topic(self._token)
            self._progress.close()

    def _threads(self) -> int:
        """How many trials the cluster can run at once."""
        try:
            return sum(self._client.nthreads().values())
        except OSError:
            raise self._scheduler_lost() from None

    def _warn(self, threads: int) -> None:
        for key, value in (("sampler", self._search.sampler), ("stopping", self._search.stopping)):
            if value in ("tpe", "successive_halving") and threads > 1:
                self._progress.note(
                    f"search.{key}: {value} looks at other trials, and which have ended depends on timing: on "
                    f"{threads} workers another run may find other trials; search.workers=1 is reproducible"
                )

    def _hear(self, event: tuple[float, Any]) -> None:
        # In Dask's thread: the loop's own thread does the rest.
        self._inbox.put((event[1]["trial"], event[1]["report"]))

    def _wait(self) -> None:
        """Until something happens or TICK is over, and take in all reports that have come."""
        try:
            message = self._inbox.get(timeout=TICK)
            while True:
                if message is not None:
                    number, report = message
                    if number in self._running and self._take_in(self._running[number], [report]):
                        self._running[number].future.cancel()
                        self._end(self._running[number], stopped=True)
                message = self._inbox.get_nowait()
        except Empty:
            return

    def _are_more(self) -> bool:
        return bool(self._resumed) or len(self._study.get_trials(deepcopy=False)) < self._search.trials

    def _start_what_fits(self, room: int) -> None:
        while room > 0 and self._are_more():
            room -= self._start(self._resumed.pop(0) if self._resumed else self._study.ask())

    def _start(self, trial: optuna.Trial) -> bool:
        """Send a trial to the cluster, unless it is at its end already; whether it was sent."""
        drawn = suggest(trial, self._search.space)
        known = self._study.get_trials(deepcopy=False)[trial.number].intermediate_values
        try:
            variant = Variant.model_validate(self._search.fixed.model_dump() | drawn)
        except ValidationError as error:
            reason = error.errors()[0]["msg"].removeprefix("Value error, ")
            self._fail(trial, f"not a network: {reason}", may_pass=False)
            return False
        job = Job(trial.number, variant, self._seed)
        if known and len(known) < variant.epochs and trial.should_prune():
            self._tell(trial, stopped=True)  # the search ended between the two
            return False
        self._running[trial.number] = _Running(trial, job, self._submit(job), len(known), time.perf_counter())
        return True

    def _submit(self, job: Job) -> distributed.Future:
        future = self._client.submit(
            run_trial,
            job,
            self._data,
            self._token,
            self._versions,
            self._search.trial_memory_gib,
            key=f"trial-{self._token}-{job.number}-{uuid.uuid4().hex[:4]}",
            pure=False,
        )
        future.add_done_callback(lambda _: self._inbox.put(None))
        return future

    def _take_in(self, running: _Running, reports: list[Report]) -> bool:
        """Tell the study what it does not know yet, in the order of the epochs; whether the trial is to stop there.

        A trial that starts again elsewhere reports its first epochs again: they are the same, and passed over.
        """
        for report in reports:
            self.training_seconds[running.trial.number] = round(report["seconds"], 3)
            if report["epoch"] != running.epochs + 1:
                continue
            running.epochs += 1
            running.trial.report(report[ACCURACY], running.epochs)
            self._progress.epoch(running.trial.number, running.epochs)
            if running.epochs < running.job.variant.epochs and running.trial.should_prune():
                return True
        return False

    def _settle(self, running: _Running) -> None:
        """A trial's future is not pending any more."""
        number = running.trial.number
        if running.future.status == "finished":
            ended: Ended = running.future.result()
            if self._take_in(running, ended.reports):
                self._end(running, stopped=True)
            elif ended.outcome.failure == KILLED and running.attempt < ATTEMPTS:
                self._progress.note(f"trial {number}: {ended.outcome.failure}; once more")
                self._again(running)
            elif ended.outcome.failure is not None:
                self._leave(running)
                self._fail(running.trial, ended.outcome.failure, ended.outcome.may_pass)
            else:
                self._end(running, stopped=False)
        elif running.future.status == "error":
            error = running.future.exception()
            if isinstance(error, KilledWorker):
                self._leave(running)
                self._fail(running.trial, "its workers were killed, as happens for want of memory", may_pass=True)
            elif isinstance(error, ModuleNotFoundError):
                raise VersionsDifferError(
                    f"a worker lacks the package {error.name}; set up the same commit there with make setup, and "
                    "start it from there"
                ) from None
            else:
                raise error
        else:  # lost: no worker has the data any more, or the scheduler is gone
            if self._client.status != "running":
                raise self._scheduler_lost()
            if self._data.status != "finished":
                self._progress.note("the workers with the data are gone; sending the data again")
                self._data = share(self._client, self._splits)
            self._again(running)

    def _again(self, running: _Running) -> None:
        running.attempt += 1
        running.future = self._submit(running.job)

    def _end(self, running: _Running, stopped: bool) -> None:
        self._leave(running)
        self._tell(running.trial, stopped)

    def _leave(self, running: _Running) -> None:
        del self._running[running.trial.number]
        self.seconds[running.trial.number] = round(time.perf_counter() - running.started, 3)

    def _tell(self, trial: optuna.Trial, stopped: bool) -> None:
        """Note a trial's end in the study: its value is its best validation accuracy."""
        accuracies = self._accuracies(trial.number)
        if stopped:
            trial.set_user_attr(STOPPED, True)
        if stopped and self._search.stopping == "successive_halving":
            self._study.tell(trial, state=TrialState.PRUNED)
        else:  # on a plateau it has come as far as it can
            self._study.tell(trial, max(accuracies.values()))
        state = STOPPED_EARLY if stopped else COMPLETE
        self._progress.ended(trial.number, state, max(accuracies.values()), len(accuracies))

    def _fail(self, trial: optuna.Trial, reason: str, may_pass: bool) -> None:
        """Note a trial's failure: in the study, unless the next search may fare better."""
        if may_pass:
            self.accidents[trial.number] = reason
        else:
            trial.set_user_attr(FAILURE, reason)
            self._study.tell(trial, state=TrialState.FAIL)
        self._progress.ended(trial.number, FAILED, None, len(self._accuracies(trial.number)), reason)

    def _accuracies(self, number: int) -> Mapping[int, float]:
        return self._study.get_trials(deepcopy=False)[number].intermediate_values

    def _look_after_workers(self, threads: int) -> None:
        now = time.monotonic()
        if threads:
            self._seen_workers, self._waiting = now, False
        elif now - self._seen_workers > WORKER_SECONDS:
            raise ClusterError(
                f"there has been no worker for {WORKER_SECONDS} s; start some and run dvc repro again: "
                "the trials that are done are kept"
            )
        elif not self._waiting:
            self._waiting = True
            self._progress.note("no worker is left; waiting for one")

    def _scheduler_lost(self) -> ClusterError:
        return ClusterError(
            "the connection to the scheduler is lost; when it is up again run dvc repro: the trials that are done are "
            "kept"
        )
