"""What the gate holds a variant to: the schema of `gate` in params.yaml."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, create_model

from glyphline.evaluation.metrics import METRICS

NAME = r"^[a-z][a-z0-9_]{0,39}$"  # files and figures have room for so much
Fraction = Annotated[float, Field(ge=0, le=1)]


def _check_name(name: str) -> str:
    if not re.fullmatch(NAME, name):
        raise ValueError("a variant's name is a lower-case letter, then up to 39 lower-case letters, digits and _")
    return name


VariantName = Annotated[str, AfterValidator(_check_name), WithJsonSchema({"type": "string", "pattern": NAME})]

_CONFIG = ConfigDict(extra="forbid", strict=True, frozen=True)
_LIMITS: dict[str, Any] = {
    f"{metric.name}_{limit}": (Fraction | None, Field(default=None, description=description))
    for metric in METRICS.values()
    for limit, description in (
        ("floor", f"the lowest test {metric.title} that passes"),
        ("drop", f"how far the test {metric.title} may fall; a fall within noise passes too"),
    )
}


class Limits(create_model("Limits", __config__=_CONFIG, **_LIMITS)):  # type: ignore[misc]
    """What `glyphline review --gate` holds a variant to; what is left out is not limited, or as for all variants."""

    def of(self, metric: str) -> tuple[float | None, float | None]:
        """The floor and the allowed drop of a metric."""
        return getattr(self, f"{metric}_floor"), getattr(self, f"{metric}_drop")


class Gate(Limits):
    """The limits of all variants, and those of single ones. No stage reads them."""

    variants: dict[VariantName, Limits] = Field(default={}, description="limits of single variants, which come first")

    def limits(self, variant: str) -> Limits:
        """What the variant is held to: its own limits, and those of all variants where it has none."""
        own = self.variants.get(variant, Limits()).model_dump(exclude_none=True)
        limits: Limits = Limits.model_validate(self.model_dump(exclude={"variants"}) | own)
        return limits
