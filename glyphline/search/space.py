"""The space of a search: its schema, and how Optuna draws from it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from glyphline.errors import quoted

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution


def _is_number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"expected a number, but it is {quoted(value)}")
    return value


def _kind_of(value: Any) -> str:
    """Which alternatives a mapping of params.yaml means: the tag of Range, Choices, Entries or Section."""
    if isinstance(value, dict) and value and all(isinstance(each, dict | BaseModel) for each in value.values()):
        return "[entries]" if value.keys() & {"count", "each"} else "[section]"
    keys = set(value if isinstance(value, dict) else vars(value) if isinstance(value, BaseModel) else ())
    return "[choices]" if "choices" in keys else "[entries]" if keys & {"count", "each"} else "[range]"


Number = Annotated[int | float, BeforeValidator(_is_number)]


class Range(BaseModel, extra="forbid", strict=True, frozen=True):
    """Numbers from `low` to `high`, both included: whole ones if both are whole, `step` apart if it is given."""

    low: Number
    high: Number
    step: Number | None = Field(default=None, description="distance between the numbers; null for none")
    log: bool = Field(default=False, description="draw the logarithm evenly: each decade as likely as the next")

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Range:
        if self.low > self.high:
            raise ValueError(f"low ({self.low}) is above high ({self.high})")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("with log, low is above 0 and there is no step")
        if self.step is not None:
            if self.step <= 0:
                raise ValueError(f"step is {self.step}, and has to be above 0")
            if self.whole and not isinstance(self.step, int):
                raise ValueError(f"low and high are whole numbers and step is {self.step}; write low as {self.low}.0")
            steps = (self.high - self.low) / self.step
            if abs(steps - round(steps)) > 1e-9 * max(steps, 1):
                raise ValueError(f"steps of {self.step} from {self.low} miss {self.high}")
        return self

    @property
    def whole(self) -> bool:
        """Whether it holds whole numbers alone."""
        return isinstance(self.low, int) and isinstance(self.high, int)


class Choices(BaseModel, extra="forbid", strict=True, frozen=True):
    """Any of these values, each as likely."""

    choices: list[Any] = Field(min_length=1)


Values = Annotated[
    Annotated[Range, Tag("[range]")] | Annotated[Choices, Tag("[choices]")],
    Discriminator(
        _kind_of,
        custom_error_type="entries_of_entries",
        custom_error_message="expected a range or choices; a list of entries has no lists in it",
    ),
]


class Entries(BaseModel, extra="forbid", strict=True, frozen=True):
    """A list: `count` entries, each of them one of `each`."""

    count: Range
    each: Values

    @field_validator("count")
    @classmethod
    def _counts(cls, count: Range) -> Range:
        if not count.whole or count.low < 0:
            raise ValueError("a count is a whole number, at least 0")
        return count


Section = dict[str, Values]  # by key of a section of a variant, such as augmentation

Alternatives = Annotated[
    Annotated[Range, Tag("[range]")]
    | Annotated[Choices, Tag("[choices]")]
    | Annotated[Entries, Tag("[entries]")]
    | Annotated[Section, Tag("[section]")],
    Discriminator(_kind_of),
]

Space = dict[str, Alternatives]


def examples(alternatives: Range | Choices | Entries | Section) -> list[Any]:
    """Values to test a key with: if it takes these, it takes all."""
    if isinstance(alternatives, dict):
        return [{key: value} for key, values in alternatives.items() for value in examples(values)]
    if isinstance(alternatives, Choices):
        return alternatives.choices
    if isinstance(alternatives, Range):
        return [alternatives.low, alternatives.high]
    return [[value] for value in examples(alternatives.each)]


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A variant's values with others in place of some; of a section, such as augmentation, the other keys stay."""
    return dict(values) | {
        key: merged(values[key], change)
        if isinstance(change, Mapping) and isinstance(values.get(key), Mapping)
        else change
        for key, change in changes.items()
    }


def suggest(trial: optuna.trial.BaseTrial, space: Space) -> dict[str, Any]:
    """What Optuna draws for a trial: a variant's keys and their values, lists put together."""
    return {
        key: {inner: _draw(trial, f"{key}.{inner}", values) for inner, values in alternatives.items()}
        if isinstance(alternatives, dict)
        else _draw(trial, key, alternatives)
        for key, alternatives in space.items()
    }


def _flat(space: Space) -> Iterator[tuple[str, Range | Choices | Entries]]:
    for key, alternatives in space.items():
        if isinstance(alternatives, dict):
            yield from ((f"{key}.{inner}", values) for inner, values in alternatives.items())
        else:
            yield key, alternatives


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Every parameter that a trial may have, by the name that Optuna knows it by.

    That is `key`, `key_1` for an entry of a list, `augmentation.shift` for a key of a section.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    def of(values: Range | Choices) -> BaseDistribution:
        if isinstance(values, Choices):
            return CategoricalDistribution([encode(value) for value in values.choices])
        if values.whole:
            return IntDistribution(int(values.low), int(values.high), values.log, int(values.step or 1))
        return FloatDistribution(float(values.low), float(values.high), values.log, values.step)

    found: dict[str, BaseDistribution] = {}
    for key, alternatives in _flat(space):
        if isinstance(alternatives, Entries):
            found[f"{key}_count"] = of(alternatives.count)
            found |= {f"{key}_{n}": of(alternatives.each) for n in range(1, int(alternatives.count.high) + 1)}
        else:
            found[key] = of(alternatives)
    return found


def encode(value: Any) -> Any:
    """A choice as Optuna and a table keep it: a list as JSON text, anything else as it is."""
    return json.dumps(value) if isinstance(value, list | dict) else value


def _draw(trial: optuna.trial.BaseTrial, name: str, alternatives: Range | Choices | Entries) -> Any:
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
