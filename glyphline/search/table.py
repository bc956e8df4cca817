"""The study as a table, and its winner."""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Any

import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from glyphline.model.training import DIGITS
from glyphline.search.space import Space, distributions
from glyphline.search.study import FAILURE, STOPPED

COMPLETE, STOPPED_EARLY, FAILED = "complete", "stopped", "failed"


def trials_table(study: optuna.Study, count: int, space: Space, accidents: Mapping[int, str]) -> pd.DataFrame:
    """One row for each of the first `count` trials: its end, its best validation accuracy (0-1), what was drawn.

    accidents: why a trial failed, by its number, where that may pass and so is not kept in the study.
    """
    parameters = list(distributions(space))
    rows = [_row(trial, parameters, accidents) for trial in study.get_trials(deepcopy=False)[:count]]
    # Without a type of their own, whole numbers that some trials lack would be written as 64.0.
    whole = [name for name in parameters if all(type(row[name]) in (int, NoneType) for row in rows)]
    return pd.DataFrame(rows).astype(dict.fromkeys(["best_epoch", *whole], "Int64"))


def _row(trial: FrozenTrial, parameters: list[str], accidents: Mapping[int, str]) -> dict[str, Any]:
    failure = accidents.get(trial.number) or trial.user_attrs.get(FAILURE, "")
    accuracies = trial.intermediate_values
    best = None if failure else best_epoch(accuracies)
    if failure:
        state = FAILED
    else:
        assert trial.state in (TrialState.COMPLETE, TrialState.PRUNED), trial
        state = STOPPED_EARLY if trial.user_attrs.get(STOPPED) else COMPLETE
    return {
        "trial": trial.number,
        "state": state,
        "validation_accuracy": None if best is None else round(accuracies[best], DIGITS),
        "best_epoch": best,
        "epochs": len(accuracies),
        **{name: trial.params.get(name) for name in parameters},
        "failure": failure,
    }


def best_epoch(accuracies: Mapping[int, float]) -> int:
    """The epoch with the highest accuracy, the first of equals."""
    return max(sorted(accuracies), key=lambda epoch: accuracies[epoch])


def winner(table: pd.DataFrame) -> int | None:
    """The number of the trial with the highest validation accuracy, the first of equals; None where all failed."""
    ended_well = table[table["state"] != FAILED].sort_values(
        ["validation_accuracy", "trial"], ascending=[False, True], kind="stable"
    )
    return None if ended_well.empty else int(ended_well["trial"].iloc[0])
