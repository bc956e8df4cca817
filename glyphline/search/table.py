"""The trials as a table, and its winner."""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Any

import optuna
import pandas as pd
from optuna.trial import FrozenTrial

from glyphline.model.training import DIGITS
from glyphline.search.space import Space, distributions

COMPLETE, STOPPED, FAILED = (
    "complete",
    "stopped",
    "failed",
)  # how a trial ends; a study keeps the latter two as attributes


def trials_table(study: optuna.Study, count: int, space: Space, transient_failures: Mapping[int, str]) -> pd.DataFrame:
    """One row for each of the first `count` trials, which have all ended.

    transient_failures: why a trial failed, by its number, where that may pass and so is not kept in the study.
    """
    trials = study.get_trials(deepcopy=False)[:count]
    rows = [row(trial, space, transient_failures.get(trial.number)) for trial in trials]
    # Without a type of their own, whole numbers that some trials lack would be written as 64.0.
    whole = [name for name in distributions(space) if all(type(each[name]) in (int, NoneType) for each in rows)]
    return pd.DataFrame(rows).astype(dict.fromkeys(["best_epoch", *whole], "Int64"))


def row(trial: FrozenTrial, space: Space, transient_failure: str | None = None) -> dict[str, Any]:
    """A trial that has ended: its state, its best validation accuracy (0-1) and epoch, its epochs, what was drawn."""
    failure = transient_failure or trial.user_attrs.get(FAILED, "")
    accuracies = trial.intermediate_values
    best = None if failure else max(sorted(accuracies), key=accuracies.__getitem__)  # the first of equals
    return {
        "trial": trial.number,
        "state": FAILED if failure else STOPPED if trial.user_attrs.get(STOPPED) else COMPLETE,
        "validation_accuracy": None if best is None else round(accuracies[best], DIGITS),
        "best_epoch": best,
        "epochs": len(accuracies),
        **{name: trial.params.get(name) for name in distributions(space)},
        "failure": failure,
    }


def winner(table: pd.DataFrame) -> int | None:
    """The number of the trial with the highest validation accuracy, the first of equals; None where all failed."""
    ended_well = table[table["state"] != FAILED].sort_values(
        ["validation_accuracy", "trial"], ascending=[False, True], kind="stable"
    )
    return None if ended_well.empty else int(ended_well["trial"].iloc[0])
