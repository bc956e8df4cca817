"""The trials as a table, and its winner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial

from glyphline.model.training import DIGITS
from glyphline.search.space import Space, distributions

# How a trial ends. A study keeps the latter two as attributes.
COMPLETE, STOPPED, FAILED = "complete", "stopped", "failed"


def trials_table(rows: Sequence[Mapping[str, Any]], space: Space) -> pd.DataFrame:
    """The rows of all trials as a table."""
    # Without a type of their own, whole numbers that some trials lack would be written as 64.0.
    whole = [name for name in distributions(space) if all(type(each[name]) in (int, NoneType) for each in rows)]
    return pd.DataFrame(rows).astype(dict.fromkeys(["best_epoch", *whole], "Int64"))


def row(trial: FrozenTrial, space: Space, end: int, last: int, transient_failure: str | None = None) -> dict[str, Any]:
    """A trial that has come to its end: how, its best validation score (0-1) and epoch, its epochs, what was drawn.

    end: the epoch up to which it is trained, of `last` that it may be. What it did after that does not count: it may
    have gone further in an earlier search for fewer trials.
    """
    scores = {epoch: score for epoch, score in trial.intermediate_values.items() if epoch <= end}
    best = max(scores, key=lambda epoch: (scores[epoch], -epoch), default=None)
    failure = (transient_failure or trial.user_attrs.get(FAILED, "")) if len(scores) < end else ""
    stopped = trial.user_attrs.get(STOPPED) or end < last
    return {
        "trial": trial.number,
        "state": FAILED if failure else STOPPED if stopped else COMPLETE,
        "validation_score": None if best is None else round(scores[best], DIGITS),
        "best_epoch": best,
        "epochs": len(scores),
        **{name: trial.params.get(name) for name in distributions(space)},
        "failure": failure,
    }


def winner(table: pd.DataFrame) -> int | None:
    """The number of the trial with the highest validation score, the first of equals; None where all failed."""
    ended_well = table[table["state"] != FAILED].sort_values(
        ["validation_score", "trial"], ascending=[False, True], kind="stable"
    )
    return None if ended_well.empty else int(ended_well["trial"].iloc[0])
