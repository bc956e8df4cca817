"""What a search is: the schema of an entry under `searches` in params.yaml, and the variant that it finds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from glyphline import paths
from glyphline.errors import ParamsError
from glyphline.model.variant import Variant, check_key
from glyphline.search.rungs import sizes
from glyphline.search.space import Space, examples, merged

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
    """A search for the best of many variants by the leading metric of the data set on the validation split.

    A trial's variant is `fixed` with what was drawn from `space`; the variant of the search's name is the best trial's
    with `final`.
    """

    trials: PositiveInt = Field(description="how many variants to try")
    minutes: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="in place of `trials`: try as many as end within about so many minutes, which is not reproducible",
    )
    sampler: Literal["random", "tpe"] = Field(
        default="random",
        description="random: each trial's draw depends on seed and its number alone. tpe: on the trials that have "
        "ended before, so that it is not reproducible with more than one worker",
    )
    stopping: Literal["none", "plateau", "rungs"] = Field(
        default="plateau",
        description="plateau: end a trial after `patience` epochs without a higher validation score. rungs: train all "
        "trials for a few epochs and the best of them on",
    )
    patience: PositiveInt = Field(default=3, description="epochs that plateau waits")
    rungs: list[PositiveInt] = Field(
        default=[],
        description="epochs after which stopping by rungs compares the trials; with 2, 6 and fixed.epochs of 18 the "
        "best third of all goes on after 2 epochs, and the best third of those after 6",
    )
    fixed: Variant = Field(description="what all trials share; epochs is the most that a trial may take")
    space: Space = Field(min_length=1, description="what the trials differ in: a variant's keys")
    final: dict[str, Any] = Field(default={}, description="what the winner is trained with instead: a variant's keys")

    @model_validator(mode="before")
    @classmethod
    def _refuses_other_keys(cls, values: Any) -> Any:
        named = [key for key in CLUSTER_VARIABLES if isinstance(values, dict) and key in values]
        if named:
            variables = ", ".join(CLUSTER_VARIABLES[key] for key in named)
            raise ValueError(f"remove {', '.join(named)}; in their place set the environment's {variables}")
        if isinstance(values, dict) and values.get("stopping") == "successive_halving":
            raise ValueError("stopping: in place of successive_halving write rungs, and under rungs the epochs: [1, 3]")
        return values

    @field_validator("space")
    @classmethod
    def _is_about_variants(cls, space: Space) -> Space:
        for key, alternatives in space.items():
            if key in NOT_SEARCHED:
                raise ValueError(f"{key} is not searched: {NOT_SEARCHED[key]}")
            for value in examples(alternatives):
                check_key(key, value)
        return space

    @model_validator(mode="after")
    def _rungs_rise(self) -> Search:
        if self.stopping == "rungs":
            if not self.rungs or any(here >= following for here, following in pairwise(self.heights)):
                raise ValueError(
                    f"rungs: expected rising epochs below fixed.epochs, {self.heights[-1]}, but they are {self.rungs}"
                )
            if self.sampler != "random":
                raise ValueError(
                    f"sampler: rungs begin all trials before one has ended, so {self.sampler} cannot learn"
                )
            if self.fixed.early_stopping is not None:
                raise ValueError("fixed.early_stopping: rungs say when a trial ends; leave this empty")
        return self

    @property
    def heights(self) -> list[int]:
        """The epochs at the end of each rung; without rungs there is one, of the most epochs that a trial may take."""
        rungs = self.rungs  # asked for in every search, since dvc.yaml cannot tell for which of them it matters
        return [*(rungs if self.stopping == "rungs" else []), self.fixed.epochs]

    def epochs(self, trials: int) -> int:
        """The epochs that so many trials take in all, if none ends before its rung does."""
        steps = [following - here for here, following in pairwise([0, *self.heights])]
        return sum(size * step for size, step in zip(sizes(trials, self.heights), steps, strict=True))

    @field_validator("final")
    @classmethod
    def _is_of_variants(cls, final: dict[str, Any]) -> dict[str, Any]:
        for key, value in final.items():
            check_key(key, value)
        return final


def search_named(searches: Mapping[str, Search], name: str) -> Search:
    """The search of this name. Raises ParamsError where params.yaml has none."""
    if name not in searches:
        known = f"among {', '.join(searches)}" if searches else "and no other; docs/search.md says how to write one"
        raise ParamsError(f"{paths.PARAMS}: searches.{name}: there is no such search {known}")
    return searches[name]


def winning_variant(name: str, search: Search) -> Variant:
    """The variant that has a search's name: what tune found, with `final` on top.

    Raises ParamsError where tune has found nothing, or where the two do not go together.
    """
    final = search.final
    try:
        found = json.loads(paths.winner(name).read_text(encoding="utf-8"))["variant"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ParamsError(
            f"{paths.winner(name)}: the winner of the search is not in it; run: dvc repro tune@{name}"
        ) from None
    try:
        return Variant.model_validate(merged(found, final))
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ParamsError(f"{paths.PARAMS}: searches.{name}.final: together with what was found: {reason}") from None
