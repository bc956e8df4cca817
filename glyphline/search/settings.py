"""What a search is: the schema of `search` in params.yaml, and the variant that it finds."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from glyphline import paths
from glyphline.errors import ParamsError
from glyphline.model.variant import Variant, check_key
from glyphline.search.space import Alternatives, examples

PositiveInt = Annotated[int, Field(ge=1)]

NOT_SEARCHED = {
    "epochs": "a trial takes up to fixed.epochs",
    "early_stopping": "search.stopping ends trials",
    "seeds": "a trial is trained once",
}
# On which cluster the trials run is said by the environment; these keys of params.yaml are refused.
CLUSTER_VARIABLES = {
    "scheduler": "GLYPHLINE_SCHEDULER",  # tls://host:port or tcp://host:port
    "tls_ca_file": "GLYPHLINE_TLS_CA_FILE",
    "tls_certificate": "GLYPHLINE_TLS_CERTIFICATE",
    "tls_key": "GLYPHLINE_TLS_KEY",
}


class Search(BaseModel, extra="forbid", strict=True, frozen=True):
    """A search for the best of many variants by their validation accuracy, and where its trials run.

    A trial's variant is `fixed` with what was drawn from `space`; variant `tuned` is the best trial's with `final`.
    """

    trials: PositiveInt = Field(description="how many variants to try")
    sampler: Literal["random", "tpe"] = Field(
        default="random",
        description="random: each trial's draw depends on seed and its number alone. tpe: on the trials that have "
        "ended before, so that it is not reproducible with more than one worker",
    )
    stopping: Literal["none", "plateau", "successive_halving"] = Field(
        default="plateau",
        description="plateau: end a trial after `patience` epochs without a higher validation accuracy. "
        "successive_halving: end it if too many others were better at its age; not reproducible with more than one "
        "worker",
    )
    patience: PositiveInt = Field(default=3, description="epochs that plateau waits")
    fixed: Variant = Field(description="what all trials share; epochs is the most that a trial may take")
    space: dict[str, Alternatives] = Field(min_length=1, description="what the trials differ in: a variant's keys")
    final: dict[str, Any] = Field(default={}, description="what `tuned` is trained with instead: a variant's keys")
    workers: PositiveInt = Field(
        default=2, description="processes on this machine, unless GLYPHLINE_SCHEDULER names a cluster"
    )
    trial_memory_gib: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="a trial that takes more fails; null for its worker's limit",
    )

    @model_validator(mode="before")
    @classmethod
    def _names_no_cluster(cls, values: Any) -> Any:
        named = [key for key in CLUSTER_VARIABLES if isinstance(values, dict) and key in values]
        if named:
            variables = ", ".join(CLUSTER_VARIABLES[key] for key in named)
            raise ValueError(f"remove {', '.join(named)}; in their place set the environment's {variables}")
        return values

    @field_validator("space")
    @classmethod
    def _is_about_variants(cls, space: dict[str, Alternatives]) -> dict[str, Alternatives]:
        for key, alternatives in space.items():
            if key in NOT_SEARCHED:
                raise ValueError(f"{key} is not searched: {NOT_SEARCHED[key]}")
            for value in examples(alternatives):
                check_key(key, value)
        return space

    @field_validator("final")
    @classmethod
    def _is_of_variants(cls, final: dict[str, Any]) -> dict[str, Any]:
        for key, value in final.items():
            check_key(key, value)
        return final


def required(search: Search | None) -> Search:
    """The search, where params.yaml has one. Raises ParamsError."""
    if search is None:
        raise ParamsError(f"{paths.PARAMS}: search: this section is missing; docs/search.md says what it holds")
    return search


def tuned_variant(search: Search | None) -> Variant:
    """The variant `tuned`: what tune found, with search.final on top.

    Raises ParamsError where there is no search, where tune has found nothing, or where the two do not go together.
    """
    final = required(search).final
    try:
        found = json.loads(paths.WINNER.read_text(encoding="utf-8"))["variant"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ParamsError(f"{paths.WINNER}: the winner of the search is not in it; run: dvc repro tune") from None
    try:
        return Variant.model_validate(found | final)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ParamsError(f"{paths.PARAMS}: search.final: together with what was found: {reason}") from None
