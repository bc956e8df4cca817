"""The study: what each trial draws, when it is stopped, how it ended, and the files that all of them give."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.exceptions import StorageInternalError
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import OperationalError

from glyphline import paths
from glyphline.errors import GlyphlineError, ParamsError
from glyphline.model.training import Checkpoint
from glyphline.search.cluster import versions
from glyphline.search.rungs import targets
from glyphline.search.settings import Search
from glyphline.search.space import distributions, merged, suggest
from glyphline.search.table import FAILED, STOPPED, row, trials_table, winner
from glyphline.search.trial import METRICS

STARTUP_TRIALS = 5  # of TPE, at random: half of the default number of trials


class SeededSampler(BaseSampler):
    """Draws each parameter by a sampler seeded with (seed, number of the trial, name of the parameter).

    So a trial draws the same whenever it is asked for and whatever was drawn before, unless `make`'s sampler itself
    looks at other trials.
    """

    def __init__(self, seed: int, make: Callable[[int], BaseSampler]) -> None:
        self._seed = seed
        self._make = make

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        entropy = [self._seed, trial.number, zlib.crc32(param_name.encode())]
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        return self._make(seed).sample_independent(study, trial, param_name, param_distribution)


class PlateauPruner(BasePruner):
    """Ends a trial that has not risen above its best value for `patience` steps, whatever other trials do.

    Optuna's PatientPruner goes on for ever where the value stays exactly the same, as the accuracy of a network does
    that always answers one class.
    """

    def __init__(self, patience: int) -> None:
        self._patience = patience

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        values = [value for _, value in sorted(trial.intermediate_values.items())]
        return len(values) - values.index(max(values)) > self._patience if values else False


def sampler(search: Search, seed: int) -> BaseSampler:
    """The sampler that search.sampler names."""
    if search.sampler == "tpe":
        return SeededSampler(seed, lambda derived: TPESampler(n_startup_trials=STARTUP_TRIALS, seed=derived))
    return SeededSampler(seed, lambda derived: RandomSampler(seed=derived))


def pruner(search: Search) -> BasePruner:
    """The rule that ends a trial by its own scores."""
    return PlateauPruner(search.patience) if search.stopping == "plateau" else NopPruner()


def digest(search: Search, seed: int, data: Sequence[str], versions: dict[str, str]) -> str:
    """Of all that a trial's course depends on, but not how many trials there are, how far they go or where they run."""
    depends = search.model_dump(include={"sampler", "stopping", "patience", "fixed", "space"})
    everything = json.dumps([depends, seed, data, versions], sort_keys=True)
    return hashlib.sha256(everything.encode()).hexdigest()[:16]


class Study:
    """The trials of a search, kept in a SQLite file, with checkpoints beside it: new, or as they were left.

    There are `search.trials` of them, or with `search.minutes` so many as were drawn when `stop_drawing` was called. A
    trial that was under way when the search ended is unfinished in the file and goes on, as does one that failed for a
    reason that may pass: `transient_failures` has these reasons, by the trial's number. One that a rung left behind
    stays unfinished too: among more trials it may go on.
    """

    def __init__(self, path: Path, search: Search, seed: int, metric: str = "accuracy") -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.search, self.seed, self.metric = search, seed, metric
        self.transient_failures: dict[int, str] = {}
        self._checkpoints = path.with_suffix("")
        self._study = optuna.create_study(
            storage=f"sqlite:///{path}",
            study_name="search",
            load_if_exists=True,
            direction="maximize",
            sampler=sampler(search, seed),
            pruner=pruner(search),
        )
        self._count_key = f"trials in {search.minutes} minutes"
        self.count: int | None = (
            search.trials if search.minutes is None else self._study.user_attrs.get(self._count_key)
        )

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)[: self.count]

    def _targets(self, trials: Sequence[FrozenTrial]) -> list[int]:
        heights = self.search.heights if len(trials) == self.count else self.search.heights[:1]
        ended = {*self.transient_failures, *(trial.number for trial in trials if trial.state == TrialState.FAIL)}
        scores = [[score for _, score in sorted(trial.intermediate_values.items())] for trial in trials]
        return targets(scores, ended, heights)

    def scores(self, number: int) -> dict[int, float]:
        """A trial's validation scores so far (0-1), by epoch."""
        return self._trials()[number].intermediate_values

    def stop_drawing(self) -> None:
        """Let there be no more trials than there are."""
        self.count = len(self._trials())
        self._study.set_user_attr(self._count_key, self.count)

    @property
    def drawn(self) -> int:
        """How many trials there are so far."""
        return len(self._trials())

    @property
    def draws(self) -> bool:
        """Whether there are trials still to draw."""
        return self.count is None or self.drawn < self.count

    def next_trial(self, busy: Collection[int] = ()) -> optuna.Trial | None:
        """A trial to be trained up to its target; busy: those that are. None where others have to end first."""
        if (trial := self._waiting(busy)) is not None:
            return optuna.Trial(self._study, trial._trial_id)
        return self._study.ask() if self.draws else None

    def target(self, number: int) -> int:
        """The epoch up to which a trial is trained, as far as is known."""
        return self._targets(self._trials())[number]

    def _waiting(self, busy: Collection[int]) -> FrozenTrial | None:
        trials = self._trials()
        for trial, end in zip(trials, self._targets(trials), strict=True):
            idle = not trial.state.is_finished() and trial.number not in {*busy, *self.transient_failures}
            # After its last epoch a trial is finished, unless the search was killed just then.
            if idle and (len(trial.intermediate_values) < end or end == self.search.heights[-1]):
                return trial
        return None

    @property
    def has_trials_left(self) -> bool:
        """Whether `next_trial` would give one."""
        return self.draws or self._waiting(()) is not None

    def should_stop(self, trial: optuna.Trial) -> bool:
        """Whether the stopping rule ends a trial before its last epoch."""
        return 0 < len(self.scores(trial.number)) < self.search.fixed.epochs and trial.should_prune()

    def checkpoint(self, number: int) -> Checkpoint | None:
        """Where a trial stood when it last ended a rung, if it is known."""
        path = self._checkpoint(number)
        return Checkpoint.load(path) if path.is_file() else None

    def _checkpoint(self, number: int) -> Path:
        return self._checkpoints / f"{number}.npz"

    def pause(self, trial: optuna.Trial, checkpoint: Checkpoint) -> None:
        """Record the end of a trial's rung; the checkpoints of trials that are left behind go."""
        checkpoint.save(self._checkpoint(trial.number))
        trials = self._trials()
        ends = self._targets(trials)
        for each, end in zip(trials, ends, strict=True):
            if end < max(ends):
                self._checkpoint(each.number).unlink(missing_ok=True)

    def end(self, trial: optuna.Trial, stopped: bool) -> None:
        """Record a trial's end. Its value is its best validation score."""
        if stopped:
            trial.set_user_attr(STOPPED, True)
        self._study.tell(trial, max(self.scores(trial.number).values()))

    def fail(self, trial: optuna.Trial, reason: str, transient: bool) -> None:
        """Record a trial's failure; a transient one only here, so that the next search tries again."""
        if transient:
            self.transient_failures[trial.number] = reason
        else:
            trial.set_user_attr(FAILED, reason)
            self._study.tell(trial, state=TrialState.FAIL)

    def row(self, number: int) -> dict[str, Any]:
        """A trial that has come to the end of a rung, as a row of the table."""
        trials = self._trials()
        end, last = self._targets(trials)[number], self.search.heights[-1]
        return row(trials[number], self.search.space, end, last, self.transient_failures.get(number))

    def there(self, height: int) -> list[int]:
        """The numbers of the trials that have come to the end of the rung of this height, or that ended before it."""
        trials = self._trials()
        return [
            trial.number
            for trial, end in zip(trials, self._targets(trials), strict=True)
            if end >= height
            and (
                len(trial.intermediate_values) >= height
                or trial.state.is_finished()
                or trial.number in self.transient_failures
            )
        ]

    def table(self) -> pd.DataFrame:
        """All trials, when they have ended."""
        return trials_table([self.row(trial.number) for trial in self._trials()], self.search.space)

    def write(self, name: str) -> None:
        """Write the table, the winner and the space of the search of this name; its checkpoints go.

        Raises GlyphlineError where every trial failed.
        """
        shutil.rmtree(self._checkpoints, ignore_errors=True)
        table = self.table()
        best = winner(table)
        if best is None:
            reason = table["failure"].iloc[0]
            raise GlyphlineError(f"{paths.PARAMS}: searches.{name}: every trial failed, the first: {reason}")
        found = {key: self.row(best)[key] for key in ("trial", "validation_score", "best_epoch")}
        found["variant"] = merged(self.search.fixed.model_dump(), suggest(self._trials()[best], self.search.space))
        space = {name: distribution_to_json(each) for name, each in distributions(self.search.space).items()}
        for path in (paths.trials(name), paths.space(name)):
            path.parent.mkdir(parents=True, exist_ok=True)
        paths.space(name).write_text(json.dumps(space, indent=2) + "\n", encoding="utf-8")
        table.to_csv(paths.trials(name), index=False)
        paths.winner(name).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        score = f"validation {self.metric.replace('_', ' ')} {found['validation_score']:.4f}"
        print(f"{paths.winner(name)}: trial {best} of {len(table)}, {score}")


@contextmanager
def open_study(search: Search, seed: int, data: str, metric: str) -> Iterator[Study]:
    """The study of a search on the data with this digest by this metric, for one process at a time: another waits.

    Raises ParamsError for a metric that no trial measures, GlyphlineError where its file cannot be read or written.
    """
    if metric not in METRICS:
        known = " or ".join(METRICS)
        raise ParamsError(
            f"{paths.PARAMS}: searches: a search goes by {known}, but the data set's leading_metric is {metric!r}; "
            "remove the searches, or let another metric lead"
        )
    path = paths.study(digest(search, seed, [data, metric], versions()))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # a search outlives its `dvc repro` where that is killed alone
            print("the same search is running already; waiting for its end", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield Study(path, search, seed, metric)
        except (OperationalError, StorageInternalError) as error:
            cause = error if isinstance(error, OperationalError) else error.__cause__
            raise GlyphlineError(f"{path}: {getattr(cause, 'orig', cause)}; what is done is kept") from None
