"""The study: which trials there are, how they ended, and where that is kept."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from glyphline.search.settings import Search

STARTUP_TRIALS = 5  # of TPE, at random: half of the default number of trials
FAILURE = "failure"  # the user attribute of a trial that says why it failed
STOPPED = "stopped"  # the one of a trial that was stopped before its last epoch


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


def open_study(path: Path, search: Search, seed: int) -> optuna.Study:
    """The study kept in the SQLite file `path`, new or as it was left: a trial that was under way is RUNNING in it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path.parent.mkdir(parents=True, exist_ok=True)
    return optuna.create_study(
        storage=f"sqlite:///{path}",
        study_name="search",
        load_if_exists=True,
        direction="maximize",
        sampler=sampler(search, seed),
        pruner=pruner(search),
    )


def digest(search: Search, seed: int, data: str, versions: dict[str, str]) -> str:
    """Of all that a trial's course depends on, but not how many trials there are or where they run."""
    depends = search.model_dump(include={"sampler", "stopping", "patience", "fixed", "space"})
    everything = json.dumps([depends, seed, data, versions], sort_keys=True)
    return hashlib.sha256(everything.encode()).hexdigest()[:16]


def is_done(study: optuna.Study, search: Search) -> bool:
    """Whether as many trials as were asked for have ended, none by an accident that may pass."""
    trials = study.get_trials(deepcopy=False)[: search.trials]
    return len(trials) == search.trials and all(trial.state.is_finished() for trial in trials)


def unfinished(study: optuna.Study) -> list[optuna.Trial]:
    """The trials that were under way when the search ended, or that ended by accident; by number."""
    frozen = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return [optuna.Trial(study, each._trial_id) for each in frozen]
