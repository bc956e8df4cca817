"""Parameters as tables, from the schema: a new one appears without a line here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace

from pydantic import BaseModel

from glyphline.config import Params
from glyphline.model.variant import Variant
from glyphline.report import words

# Those have sections of their own, and on the others no result depends.
ELSEWHERE = {"variants", "searches", "workers", "trial_memory_gib", "gate"}


@dataclass(frozen=True)
class Parameter:
    """A parameter and its value, in words. default: in words, or empty where there is none."""

    key: str
    value: str
    default: str
    meaning: str
    differs: bool


def of_variant(variant: Variant, precision: str) -> list[Parameter]:
    """The parameters of a variant, those that differ from their default first. precision: what it was trained in."""
    found = sorted(_walk(variant), key=lambda parameter: not parameter.differs)
    if variant.precision == "auto":
        found = [replace(each, value=f"auto: {precision}") if each.key == "precision" else each for each in found]
    return found


def of_run(params: Params) -> list[Parameter]:
    """The parameters of all variants alike."""
    return list(_walk(params, without=ELSEWHERE))


def compared(variants: Mapping[str, Variant]) -> tuple[list[str], dict[str, list[str]]]:
    """The keys in which variants differ, and by variant their values in that order."""
    values = {name: {each.key: each.value for each in _walk(variant)} for name, variant in variants.items()}
    keys = [key for key in next(iter(values.values()), {}) if len({each[key] for each in values.values()}) > 1]
    return keys, {name: [each[key] for key in keys] for name, each in values.items()}


def _walk(section: BaseModel, prefix: str = "", without: Set[str] = frozenset()) -> Iterator[Parameter]:
    """Every parameter of a section, those of the sections within it by their dotted key."""
    values = section.model_dump(exclude=set(without))
    for key, value in values.items():
        inner = getattr(section, key)
        if isinstance(inner, BaseModel):
            yield from _walk(inner, f"{prefix}{key}.")
        else:
            field = type(section).model_fields[key]
            default = field.get_default(call_default_factory=True)
            required = field.is_required()
            yield Parameter(
                key=f"{prefix}{key}",
                value=words.value(value),
                default="" if required else words.value(default),
                meaning=field.description or "",
                differs=required or value != default,
            )
