"""The schema of params.yaml, and its only reader."""

from __future__ import annotations

import difflib
import json
import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from glyphline import paths
from glyphline.errors import ParamsError

IMAGE_SIDE = 28  # pixels; every data set here has square images of this side
LONGEST_QUOTATION = 80  # characters of a wrong value that an error repeats

PositiveInt = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(ge=0, lt=1, description="a fraction of units that dropout silences")]


def _not_the_search_s(name: str) -> str:
    if name == paths.TUNED:
        raise ValueError("this name is kept for the winner of the search; call the variant otherwise")
    return name


VariantName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
NewVariantName = Annotated[VariantName, AfterValidator(_not_the_search_s)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Preprocess(_Section):
    """How the training images are divided."""

    validation_fraction: float = Field(gt=0, lt=1, description="share of the training images held out")


class Augmentation(_Section):
    """How far each training image is moved about at random, anew in every epoch. Zero leaves it alone."""

    shift: float = Field(default=0.0, ge=0, le=14, description="pixels, at most, in each direction")
    rotation: float = Field(default=0.0, ge=0, le=180, description="degrees, at most, either way")
    scale: float = Field(default=0.0, ge=0, lt=1, description="share of the size, at most, larger or smaller")
    shear: float = Field(default=0.0, ge=0, le=1, description="share of the height, at most, that the top leans over")
    until: float = Field(
        default=1.0, ge=0, le=1, description="share of the epochs after which images are left as they are"
    )


class Variant(_Section):
    """One network and how it is trained. What is left out takes the default given here.

    The layers are, in this order: space to depth, for each entry of `filters` a convolution (and its pooling), dropout,
    flatten, for each entry of `dense` a dense layer and dropout, and a softmax over the classes.
    """

    space_to_depth: PositiveInt = Field(
        default=1, description="side of the blocks of pixels that become channels before the first convolution"
    )
    filters: list[PositiveInt] = Field(default=[], description="filters of each convolution; [] for none")
    kernel_size: PositiveInt = Field(default=3, description="side of the convolutions' kernels, pixels")
    pooling: Annotated[
        Annotated[Literal["each", "last", "none"], Tag("[name]")] | Annotated[list[PositiveInt], Tag("[list]")],
        Discriminator(lambda value: "[list]" if isinstance(value, list) else "[name]"),
    ] = Field(
        default="each",
        description="2x2 max pooling after each convolution, after the last one, after none, or after those listed, "
        "counted from 1",
    )
    batch_normalization: bool = Field(
        default=False, description="between each convolution or hidden dense layer and its activation"
    )
    convolution_dropout: Rate = Field(default=0.0, description="after the convolutions, before flatten")
    first_convolution_l2: float = Field(
        default=0.0, ge=0, allow_inf_nan=False, description="L2 penalty on kernel and bias of the first convolution"
    )
    dense: list[PositiveInt] = Field(default=[], description="units of each hidden dense layer; [] for none")
    dense_dropout: Rate = Field(default=0.0, description="after each hidden dense layer")
    activation: Literal["relu", "tanh", "sigmoid", "softmax", "elu", "gelu", "silu"] = "relu"
    initializer: Literal["glorot_uniform", "glorot_normal", "he_uniform", "he_normal"] = "glorot_uniform"
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd", "adadelta", "adagrad", "nadam"] = "adam"
    learning_rate: float = Field(default=0.001, gt=0, allow_inf_nan=False)
    schedule: Literal["constant", "cosine"] = Field(
        default="constant", description="the learning rate's way: always the same, or down to nothing at the last step"
    )
    warmup: float = Field(
        default=0.0, ge=0, lt=1, description="share of all steps in which a cosine schedule first climbs from nothing"
    )
    weight_decay: float = Field(
        default=0.0, ge=0, lt=1, description="share of a kernel, times the learning rate, taken off at every step"
    )
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=1, description="share of each label spread evenly over all classes"
    )
    augmentation: Augmentation = Augmentation()
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="of the arithmetic inside the network; its weights are float32"
    )
    batch_size: PositiveInt = 128
    epochs: PositiveInt
    early_stopping: PositiveInt | None = Field(
        default=None,
        description="stop after this many epochs without a lower validation loss and restore the best weights",
    )
    seeds: PositiveInt = Field(
        default=1, description="how many times to train it, each with the next seed, to tell what chance does"
    )

    def pools_after(self, depth: int) -> bool:
        """Whether a pooling follows the convolution of this number, counted from 1."""
        if isinstance(self.pooling, list):
            return depth in self.pooling
        return self.pooling == "each" or (self.pooling == "last" and depth == len(self.filters))

    @model_validator(mode="after")
    def _images_outlast_the_convolutions(self) -> Variant:
        if IMAGE_SIDE % self.space_to_depth:
            raise ValueError(
                f"space_to_depth is {self.space_to_depth}, which does not divide the image's side, {IMAGE_SIDE}"
            )
        if isinstance(self.pooling, list) and set(self.pooling) - set(range(1, len(self.filters) + 1)):
            raise ValueError(f"pooling is {self.pooling}, but there are {len(self.filters)} convolutions to follow")
        side = IMAGE_SIDE // self.space_to_depth
        for depth, _ in enumerate(self.filters, start=1):
            side -= self.kernel_size - 1
            if self.pools_after(depth):
                side //= 2
            if side < 1:
                raise ValueError(
                    f"convolution {depth} of {len(self.filters)} leaves nothing of a "
                    f"{IMAGE_SIDE}x{IMAGE_SIDE} image; give fewer filters, a smaller kernel_size or less pooling"
                )
        if self.first_convolution_l2 and not self.filters:
            raise ValueError("first_convolution_l2 needs a convolution, and filters is empty")
        if self.warmup and self.schedule == "constant":
            raise ValueError("warmup belongs to a schedule of cosine, and schedule is constant")
        return self


class Limits(_Section):
    """What `glyphline review --gate` holds a variant to; what is left out is not limited, or as for all variants."""

    accuracy_floor: Fraction | None = Field(default=None, description="the lowest test accuracy that passes")
    accuracy_drop: Fraction | None = Field(
        default=None, description="how far the test accuracy may fall; a fall within noise passes too"
    )
    balanced_accuracy_floor: Fraction | None = Field(default=None, description="the same of balanced accuracy")
    balanced_accuracy_drop: Fraction | None = Field(default=None, description="the same of balanced accuracy")


class Gate(Limits):
    """The limits of all variants, and those of single ones. No stage reads them."""

    variants: dict[VariantName, Limits] = Field(default={}, description="limits of single variants, which come first")

    def limits(self, variant: str) -> Limits:
        """What the variant is held to: its own limits, and those of all variants where it has none."""
        own = self.variants.get(variant, Limits()).model_dump(exclude_none=True)
        return Limits.model_validate(self.model_dump(exclude={"variants"}) | own)


def _is_number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"this is a number, but it is {_quoted(value)}")
    return value


def _kind_of(value: Any) -> str:
    """Which alternatives a mapping of params.yaml means: the tag of Range, Choices or Entries."""
    keys = set(value if isinstance(value, dict) else vars(value) if isinstance(value, BaseModel) else ())
    return "[choices]" if "choices" in keys else "[entries]" if keys & {"count", "each"} else "[range]"


Number = Annotated[int | float, BeforeValidator(_is_number)]


class Range(_Section):
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


class Choices(_Section):
    """Any of these values, each as likely."""

    choices: list[Any] = Field(min_length=1)


Values = Annotated[Annotated[Range, Tag("[range]")] | Annotated[Choices, Tag("[choices]")], Discriminator(_kind_of)]


class Entries(_Section):
    """A list: `count` entries, each of them one of `each`."""

    count: Range
    each: Values

    @field_validator("count")
    @classmethod
    def _counts(cls, count: Range) -> Range:
        if not count.whole or count.low < 0:
            raise ValueError("a count is a whole number, at least 0")
        return count


Alternatives = Annotated[
    Annotated[Range, Tag("[range]")] | Annotated[Choices, Tag("[choices]")] | Annotated[Entries, Tag("[entries]")],
    Discriminator(_kind_of),
]


NOT_SEARCHED = {
    "epochs": "a trial takes up to fixed.epochs",
    "early_stopping": "search.stopping ends trials",
    "seeds": "a trial is trained once",
}


class Search(_Section):
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
    workers: PositiveInt = Field(default=2, description="processes on this machine, if there is no scheduler")
    scheduler: str | None = Field(
        default=None,
        description="a running Dask scheduler, tcp://host:port or tls://host:port; null for this machine alone",
    )
    tls_ca_file: str | None = Field(default=None, description="for tls://: the authority's certificate, a PEM file")
    tls_certificate: str | None = Field(default=None, description="for tls://: our certificate, a PEM file")
    tls_key: str | None = Field(default=None, description="for tls://: our private key, a PEM file")
    trial_memory_gib: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="a trial that takes more fails; null for its worker's limit",
    )

    @field_validator("space")
    @classmethod
    def _is_about_variants(cls, space: dict[str, Alternatives]) -> dict[str, Alternatives]:
        for key, alternatives in space.items():
            if key in NOT_SEARCHED:
                raise ValueError(f"{key} is not searched: {NOT_SEARCHED[key]}")
            for value in _examples(alternatives):
                _check_variant_key(key, value)
        return space

    @field_validator("final")
    @classmethod
    def _is_of_variants(cls, final: dict[str, Any]) -> dict[str, Any]:
        for key, value in final.items():
            _check_variant_key(key, value)
        return final

    @field_validator("scheduler")
    @classmethod
    def _is_an_address(cls, scheduler: str | None) -> str | None:
        if scheduler is not None and not re.fullmatch(r"(tcp|tls)://\S+:\d+", scheduler):
            raise ValueError(f"a scheduler is tcp://host:port or tls://host:port, but it is {_quoted(scheduler)}")
        return scheduler

    @model_validator(mode="after")
    def _certificates_go_with_tls(self) -> Search:
        files = (self.tls_ca_file, self.tls_certificate, self.tls_key)
        encrypted = self.scheduler is not None and self.scheduler.startswith("tls://")
        if encrypted != all(files) or (any(files) and not all(files)):
            raise ValueError(
                "a scheduler at tls:// and the files tls_ca_file, tls_certificate and tls_key go together: give all "
                "four or none"
            )
        return self


def _examples(alternatives: Range | Choices | Entries) -> list[Any]:
    """The values that say whether a variant's key can have all of them."""
    if isinstance(alternatives, Choices):
        return alternatives.choices
    if isinstance(alternatives, Range):
        return [alternatives.low, alternatives.high]
    return [[value] for value in _examples(alternatives.each)]


def _check_variant_key(key: str, value: Any) -> None:
    """Raise ValueError, with a sentence, unless a variant has that key and it can have that value."""
    if key not in Variant.model_fields:
        close = difflib.get_close_matches(key, Variant.model_fields, n=1)
        advice = f"did you mean {close[0]}?" if close else f"known: {', '.join(Variant.model_fields)}"
        raise ValueError(f"a variant has no key {_printable(key)}; {advice}")
    try:
        Variant.model_validate({"epochs": 1} | {key: value})
    except ValidationError as error:
        # What concerns several keys together is left to the trial, which has them all.
        for detail in error.errors():
            if detail["loc"]:
                raise ValueError(f"{key} cannot be {_quoted(value)}: {detail['msg']}") from None


# How pydantic's locations name the alternatives of a union, and the key of a mapping: no part of a parameter's name.
KINDS: dict[str, type[BaseModel]] = {"[range]": Range, "[choices]": Choices, "[entries]": Entries}
TAGS = {"[key]", "[list]", "[name]", *KINDS}


class Params(_Section):
    """Everything that params.yaml says."""

    seed: int = Field(ge=0, lt=2**32, description="of the splits, the initial weights, dropout and shuffling")
    dataset: str = Field(description="a name that glyphline/datasets.py knows")
    limit: PositiveInt | None = Field(
        default=None, description="how many training images to use, stratified; null for all"
    )
    preprocess: Preprocess
    variants: dict[NewVariantName, Variant] = Field(min_length=1)
    search: Search | None = Field(default=None, description="the search that finds the variant `tuned`")
    gate: Gate = Field(default=Gate(), description="what a change of the test metrics must not fall short of")

    def judged(self) -> list[str]:
        """The names of all variants that evaluate judges: those written down, and the one that the search finds."""
        return [*self.variants, *([paths.TUNED] if self.search else [])]


def tuned_variant(params: Params) -> Variant:
    """The variant `tuned`: what tune found, with search.final on top.

    Raises ParamsError where there is no search, where it has found nothing, or where the two do not go together.
    """
    if params.search is None:
        raise ParamsError(f"{paths.PARAMS}: search: this section is missing; docs/search.md says what it holds")
    try:
        found = json.loads(paths.WINNER.read_text(encoding="utf-8"))["variant"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ParamsError(f"{paths.WINNER}: the winner of the search is not in it; run: dvc repro tune") from None
    try:
        return Variant.model_validate(found | params.search.final)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ParamsError(f"{paths.PARAMS}: search.final: together with what was found: {reason}") from None


def load_params(path: Path) -> Params:
    """Read and check params.yaml.

    Raises ParamsError, one line for each thing that is wrong, with the key it is about.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ParamsError(f"{path}: there is no such file; run from the repository's root") from None
    return parse_params(parse_yaml(content, source=str(path)), source=str(path))


def parse_params(values: Any, source: str) -> Params:
    """Check a mapping as read from params.yaml; `source` is what an error calls the file. Raises ParamsError."""
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        lines = [f"{source}: {_explain(detail)}" for detail in error.errors()]
        raise ParamsError("\n".join(lines)) from None


def parse_yaml(content: bytes, source: str) -> Any:
    """The values in a YAML file, read as DVC reads them. Raises ParamsError, one line that begins with `source`."""
    # YAML 1.2: 1e-3 is a number here, and `no` a string.
    try:
        return YAML(typ="safe", pure=True).load(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ParamsError(f"{source}: byte {error.start} is not UTF-8 text") from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        problem = " ".join(str(error.problem).split())
        raise ParamsError(f"{source}: line {line} is not YAML: {problem}") from None
    except YAMLError as error:
        raise ParamsError(f"{source}: this is not YAML: {' '.join(str(error).split())}") from None
    except (ArithmeticError, LookupError, RecursionError, ValueError) as error:
        # What ruamel.yaml lets through: a thirteenth month, 5,000 digits, thousands of brackets.
        raise ParamsError(f"{source}: a value in it cannot be read: {' '.join(str(error).split())}") from None


def _explain(detail: Any) -> str:
    """One error of pydantic's as a sentence that names the key."""
    location = [str(part) for part in detail["loc"] if part not in TAGS]
    key = ".".join(_printable(part) for part in location) or "the file"
    if detail["type"] == "extra_forbidden":
        known = _known_keys([str(part) for part in detail["loc"][:-1]])
        close = difflib.get_close_matches(location[-1], known, n=1)
        advice = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
        return f"{key}: unknown key; {advice}"
    if detail["type"] == "missing":
        return f"{key}: this key is missing"
    if detail["type"] == "union_tag_invalid":
        return f"{key}: this is a range, or choices; a list of entries has no lists in it"
    if detail["type"] == "string_pattern_mismatch":
        return f"{key}: a variant's name is a lower-case letter, then lower-case letters, digits and _"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error":
        return f"{key}: {message}"
    return f"{key}: {message[0].lower()}{message[1:]}, but it is {_quoted(detail['input'])}"


def _printable(key: str) -> str:
    """A key as one line can show it."""
    return key if key.isprintable() else ascii(key)


def _quoted(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:
        return "a number of more digits than Python writes out"
    return text if len(text) <= LONGEST_QUOTATION else f"{text[:LONGEST_QUOTATION]}..."


def _known_keys(location: list[str]) -> list[str]:
    """The keys of the section at a location of pydantic's, in which the names of variants do not count."""
    if location and location[-1] in KINDS:
        return list(KINDS[location[-1]].model_fields)
    names = [part for part in location if part not in TAGS]
    if names[:2] == ["search", "space"]:
        return list(Range.model_fields)  # of a count
    sections: dict[tuple[str, ...], type[BaseModel]] = {
        (): Params,
        ("preprocess",): Preprocess,
        ("variants",): Variant,
        ("variants", "augmentation"): Augmentation,
        ("search",): Search,
        ("search", "fixed"): Variant,
        ("search", "fixed", "augmentation"): Augmentation,
        ("gate",): Gate,
        ("gate", "variants"): Limits,
    }
    place = [part for before, part in zip(["", *names], names, strict=False) if before != "variants"]
    return list(sections[tuple(place)].model_fields)
