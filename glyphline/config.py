"""params.yaml: its schema, put together from those of the rooms, and its only reader."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError, ValidationInfo, field_validator

from glyphline import paths
from glyphline.data.records import load_dataset
from glyphline.data.splits import Preprocess
from glyphline.errors import ParamsError
from glyphline.evaluation.metrics import check_leading
from glyphline.model.variant import Variant
from glyphline.review.limits import Gate, VariantName
from glyphline.schema import parse_yaml, validated
from glyphline.search.settings import Search
from glyphline.search.space import merged

# Keys that the images' size limits.
LAYERS = {"space_to_depth", "filters", "kernel_size", "padding", "pooling", "augmentation"}
PositiveInt = Annotated[int, Field(ge=1)]


class Params(BaseModel, extra="forbid", strict=True, frozen=True):
    """Everything that params.yaml says."""

    seed: int = Field(ge=0, lt=2**32, description="of the splits, the initial weights, dropout and shuffling")
    dataset: str = Field(max_length=60, description="the name of a file in datasets/, without .yaml")
    limit: PositiveInt | None = Field(
        default=None, description="how many training images to use, stratified; null for all"
    )
    threads: PositiveInt = Field(
        default=2, description="that each network is trained and judged with; the same bytes on any number of cores"
    )
    preprocess: Preprocess
    variants: dict[VariantName, Variant] = Field(min_length=1)
    searches: dict[VariantName, Search] = Field(
        default={}, description="each finds the variant of its name, which stands beside the others"
    )
    workers: PositiveInt = Field(
        default=2,
        description="processes of this machine that the trials of a search run in, unless GLYPHLINE_SCHEDULER names a "
        "cluster",
    )
    trial_memory_gib: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="a trial that takes more fails; null for its worker's limit",
    )
    gate: Gate = Field(default=Gate(), description="limits that `glyphline review --gate` holds the test metrics to")

    @field_validator("searches")
    @classmethod
    def _have_names_of_their_own(cls, searches: dict[str, Search], info: ValidationInfo) -> dict[str, Search]:
        if both := sorted(searches.keys() & info.data.get("variants", {}).keys()):
            raise ValueError(f"{', '.join(both)}: a variant has this name already; rename one of the two")
        return searches

    def judged(self) -> list[str]:
        """The names of all variants that evaluate judges: those written down, and those that the searches find."""
        return [*self.variants, *self.searches]


def load_params(path: Path) -> Params:
    """Read and check params.yaml.

    Raises ParamsError, one line for each thing that is wrong, with the key it is about.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ParamsError(f"{path}: there is no such file; run from the repository's root") from None
    return parse_params(parse_yaml(content, source=str(path)), source=str(path))


def check_dataset(params: Params, root: Path = Path()) -> None:
    """Raise ParamsError, a line for each mistake, unless the data set has a record, and every variant fits its images.

    root: of the repository.
    """
    record = load_dataset(params.dataset, root)
    check_leading(record.leading_metric, params.dataset)
    variants = {f"variants.{name}": variant.model_dump() for name, variant in params.variants.items()}
    for name, search in params.searches.items():
        if not LAYERS & search.space.keys():  # else each trial has layers of its own
            variants[f"searches.{name}.fixed"] = search.fixed.model_dump()
            if LAYERS & search.final.keys():
                variants[f"searches.{name}.final"] = merged(search.fixed.model_dump(), search.final)
    mistakes = []
    for key, values in variants.items():
        try:
            Variant.model_validate(values).check_fits(record.side)
        except ValidationError as error:
            mistakes.append(f"{paths.PARAMS}: {key}: {error.errors()[0]['msg'].removeprefix('Value error, ')}")
        except ValueError as error:
            mistakes.append(f"{paths.PARAMS}: {key}: {error}; data set {params.dataset} has images of that size")
    if mistakes:
        raise ParamsError("\n".join(mistakes))


def parse_params(values: Any, source: str) -> Params:
    """Check a mapping as read from params.yaml; `source` is what an error calls the file. Raises ParamsError."""
    if isinstance(values, dict) and "search" in values:
        raise ParamsError(
            f"{source}: search: this key is now searches.tuned; move its keys there, but workers and trial_memory_gib "
            "to the top level of the file"
        )
    return validated(Params, values, source)
