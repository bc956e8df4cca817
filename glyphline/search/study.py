"""The study: what each trial draws, when it is stopped, how it ended, and the files that all of them give."""

from __future__ import annotations

import fcntl
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.exceptions import StorageInternalError
from optuna.pruners import BasePruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import OperationalError

from glyphline import paths
from glyphline.errors import GlyphlineError
from glyphline.search.cluster import versions
from glyphline.search.settings import Search
from glyphline.search.space import distributions, merged, suggest
from glyphline.search.table import FAILED, STOPPED, row, trials_table, winner

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
    """The stopping rule that search.stopping names."""
    if search.stopping == "plateau":
        return PlateauPruner(search.patience)
    return SuccessiveHalvingPruner() if search.stopping == "successive_halving" else NopPruner()


def digest(search: Search, seed: int, data: str, versions: dict[str, str]) -> str:
    """Of all that a trial's course depends on, but not how many trials there are or where they run."""
    depends = search.model_dump(include={"sampler", "stopping", "patience", "fixed", "space"})
    everything = json.dumps([depends, seed, data, versions], sort_keys=True)
    return hashlib.sha256(everything.encode()).hexdigest()[:16]


class Study:
    """The first `search.trials` trials of a search, kept in a SQLite file: new, or as they were left.

    A trial that was under way when the search ended is unfinished in the file and runs again, as does one that failed
    for a reason that may pass: `transient_failures` has these reasons, by the trial's number.
    """

    def __init__(self, path: Path, search: Search, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.search, self.seed = search, seed
        self.transient_failures: dict[int, str] = {}
        self._study = optuna.create_study(
            storage=f"sqlite:///{path}",
            study_name="search",
            load_if_exists=True,
            direction="maximize",
            sampler=sampler(search, seed),
            pruner=pruner(search),
        )
        self._unfinished = [
            optuna.Trial(self._study, trial._trial_id) for trial in self._trials() if not trial.state.is_finished()
        ]

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)[: self.search.trials]

    def accuracies(self, number: int) -> dict[int, float]:
        """A trial's validation accuracies so far (0-1), by epoch."""
        return self._trials()[number].intermediate_values

    @property
    def has_trials_left(self) -> bool:
        """Whether there are trials that `next_trial` has not given yet."""
        return bool(self._unfinished) or len(self._trials()) < self.search.trials

    def next_trial(self) -> optuna.Trial:
        """An unfinished trial, or else a new one."""
        return self._unfinished.pop(0) if self._unfinished else self._study.ask()

    def should_stop(self, trial: optuna.Trial) -> bool:
        """Whether the stopping rule ends a trial before its last epoch."""
        return 0 < len(self.accuracies(trial.number)) < self.search.fixed.epochs and trial.should_prune()

    def end(self, trial: optuna.Trial, stopped: bool) -> None:
        """Record a trial's end. Its value is its best validation accuracy."""
        if stopped:
            trial.set_user_attr(STOPPED, True)
        if stopped and self.search.stopping == "successive_halving":
            self._study.tell(trial, state=TrialState.PRUNED)
        else:  # on a plateau it has come as far as it can
            self._study.tell(trial, max(self.accuracies(trial.number).values()))

    def fail(self, trial: optuna.Trial, reason: str, transient: bool) -> None:
        """Record a trial's failure; a transient one only here, so that the next search tries again."""
        if transient:
            self.transient_failures[trial.number] = reason
        else:
            trial.set_user_attr(FAILED, reason)
            self._study.tell(trial, state=TrialState.FAIL)

    def row(self, number: int) -> dict[str, Any]:
        """A trial that has ended, as a row of the table."""
        return row(self._trials()[number], self.search.space, self.transient_failures.get(number))

    def rows(self) -> list[dict[str, Any]]:
        """Every trial that has ended, by number."""
        return [self.row(trial.number) for trial in self._trials() if trial.state.is_finished()]

    def table(self) -> pd.DataFrame:
        """All trials, when they have ended."""
        return trials_table(self._study, self.search.trials, self.search.space, self.transient_failures)

    def write(self, name: str) -> None:
        """Write the table, the winner and the space of the search of this name.

        Raises GlyphlineError where every trial failed.
        """
        table = self.table()
        best = winner(table)
        if best is None:
            reason = table["failure"].iloc[0]
            raise GlyphlineError(f"{paths.PARAMS}: searches.{name}: every trial failed, the first: {reason}")
        found = {key: self.row(best)[key] for key in ("trial", "validation_accuracy", "best_epoch")}
        found["variant"] = merged(self.search.fixed.model_dump(), suggest(self._trials()[best], self.search.space))
        space = {name: distribution_to_json(each) for name, each in distributions(self.search.space).items()}
        for path in (paths.trials(name), paths.space(name)):
            path.parent.mkdir(parents=True, exist_ok=True)
        paths.space(name).write_text(json.dumps(space, indent=2) + "\n", encoding="utf-8")
        table.to_csv(paths.trials(name), index=False)
        paths.winner(name).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        accuracy = f"validation accuracy {found['validation_accuracy']:.4f}"
        print(f"{paths.winner(name)}: trial {best} of {len(table)}, {accuracy}")


@contextmanager
def open_study(search: Search, seed: int, data: str) -> Iterator[Study]:
    """The study of a search on the data with this digest, for one process at a time: another waits.

    Raises GlyphlineError where its file cannot be read or written.
    """
    path = paths.study(digest(search, seed, data, versions()))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # a search outlives its `dvc repro` where that is killed alone
            print("the same search is running already; waiting for its end", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield Study(path, search, seed)
        except (OperationalError, StorageInternalError) as error:
            cause = error if isinstance(error, OperationalError) else error.__cause__
            raise GlyphlineError(f"{path}: {getattr(cause, 'orig', cause)}; what is done is kept") from None
