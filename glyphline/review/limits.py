"""What the gate holds a variant to: the schema of `gate` in params.yaml."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema

NAME = r"^[a-z][a-z0-9_]*$"
Fraction = Annotated[float, Field(ge=0, le=1)]


def _check_name(name: str) -> str:
    if not re.fullmatch(NAME, name):
        raise ValueError("a variant's name is a lower-case letter, then lower-case letters, digits and _")
    return name


VariantName = Annotated[str, AfterValidator(_check_name), WithJsonSchema({"type": "string", "pattern": NAME})]


class Limits(BaseModel, extra="forbid", strict=True, frozen=True):
    """What `glyphline review --gate` holds a variant to; what is left out is not limited, or as for all variants."""

    accuracy_floor: Fraction | None = Field(default=None, description="the lowest test accuracy that passes")
    accuracy_drop: Fraction | None = Field(
        default=None, description="how far the test accuracy may fall; a fall within noise passes too"
    )
    balanced_accuracy_floor: Fraction | None = Field(default=None, description="the same of balanced accuracy")
    balanced_accuracy_drop: Fraction | None = Field(default=None, description="the same of balanced accuracy")


class Gate(Limits, extra="forbid", strict=True, frozen=True):
    """The limits of all variants, and those of single ones. No stage reads them."""

    variants: dict[VariantName, Limits] = Field(default={}, description="limits of single variants, which come first")

    def limits(self, variant: str) -> Limits:
        """What the variant is held to: its own limits, and those of all variants where it has none."""
        own = self.variants.get(variant, Limits()).model_dump(exclude_none=True)
        return Limits.model_validate(self.model_dump(exclude={"variants"}) | own)
