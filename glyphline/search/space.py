"""The space of `search` in params.yaml, as Optuna draws from it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from glyphline.params import Alternatives, Choices, Entries, Range

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

Space = dict[str, Alternatives]


def suggest(trial: optuna.trial.BaseTrial, space: Space) -> dict[str, Any]:
    """What Optuna draws for a trial: a variant's keys and their values, lists put together."""
    return {key: _draw(trial, key, alternatives) for key, alternatives in space.items()}


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Every parameter that a trial may have, by the name that Optuna knows it by: `key`, or `key_1` for an entry."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    def of(values: Range | Choices) -> BaseDistribution:
        if isinstance(values, Choices):
            return CategoricalDistribution([encode(value) for value in values.choices])
        if values.whole:
            return IntDistribution(int(values.low), int(values.high), values.log, int(values.step or 1))
        return FloatDistribution(float(values.low), float(values.high), values.log, values.step)

    found: dict[str, BaseDistribution] = {}
    for key, alternatives in space.items():
        if isinstance(alternatives, Entries):
            found[f"{key}_count"] = of(alternatives.count)
            found |= {f"{key}_{n}": of(alternatives.each) for n in range(1, int(alternatives.count.high) + 1)}
        else:
            found[key] = of(alternatives)
    return found


def encode(value: Any) -> Any:
    """A choice as Optuna and a table keep it: a list as JSON text, anything else as it is."""
    return json.dumps(value) if isinstance(value, list | dict) else value


def _draw(trial: optuna.trial.BaseTrial, name: str, alternatives: Alternatives) -> Any:
    if isinstance(alternatives, Entries):
        count = _draw(trial, f"{name}_count", alternatives.count)
        return [_draw(trial, f"{name}_{position}", alternatives.each) for position in range(1, count + 1)]
    if isinstance(alternatives, Choices):
        decode = {encode(value): value for value in alternatives.choices}
        return decode[trial.suggest_categorical(name, list(decode))]
    if alternatives.whole:
        low, high, step = int(alternatives.low), int(alternatives.high), int(alternatives.step or 1)
        return trial.suggest_int(name, low, high, step=step, log=alternatives.log)
    return trial.suggest_float(
        name, float(alternatives.low), float(alternatives.high), step=alternatives.step, log=alternatives.log
    )
