"""params.yaml: its schema, put together from those of the rooms, and its only reader."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field

from glyphline import paths
from glyphline.data.records import load_dataset
from glyphline.data.splits import Preprocess
from glyphline.errors import ParamsError
from glyphline.evaluation.metrics import check_leading
from glyphline.model.variant import Variant
from glyphline.review.limits import Gate, VariantName
from glyphline.schema import parse_yaml, validated
from glyphline.search.settings import Search

# Keys that the images' size limits.
LAYERS = {"space_to_depth", "filters", "kernel_size", "padding", "pooling", "augmentation"}
PositiveInt = Annotated[int, Field(ge=1)]


def _not_tuned(name: str) -> str:
    if name == paths.TUNED:
        raise ValueError("this name is kept for the winner of the search; call the variant otherwise")
    return name


NewVariantName = Annotated[VariantName, AfterValidator(_not_tuned)]


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
    variants: dict[NewVariantName, Variant] = Field(min_length=1)
    search: Search | None = Field(default=None, description="the search that finds the variant `tuned`")
    gate: Gate = Field(default=Gate(), description="what a change of the test metrics must not fall short of")

    def judged(self) -> list[str]:
        """The names of all variants that evaluate judges: those written down, and the one that the search finds."""
        return [*self.variants, *([paths.TUNED] if self.search else [])]


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
    variants = {f"variants.{name}": variant for name, variant in params.variants.items()}
    if params.search and not LAYERS & params.search.space.keys():  # else each trial has layers of its own
        variants["search.fixed"] = params.search.fixed
    mistakes = []
    for key, variant in variants.items():
        try:
            variant.check_fits(record.side)
        except ValueError as error:
            mistakes.append(f"{paths.PARAMS}: {key}: {error}; data set {params.dataset} has images of that size")
    if mistakes:
        raise ParamsError("\n".join(mistakes))


def parse_params(values: Any, source: str) -> Params:
    """Check a mapping as read from params.yaml; `source` is what an error calls the file. Raises ParamsError."""
    return validated(Params, values, source)
