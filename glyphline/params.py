"""The schema of params.yaml, and its only reader."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from glyphline.errors import ParamsError

IMAGE_SIDE = 28  # pixels; every data set here has square images of this side
LONGEST_QUOTATION = 80  # characters of a wrong value that an error repeats

PositiveInt = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(ge=0, lt=1, description="a fraction of units that dropout silences")]
VariantName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


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


class Params(_Section):
    """Everything that params.yaml says."""

    seed: int = Field(ge=0, lt=2**32, description="of the splits, the initial weights, dropout and shuffling")
    dataset: str = Field(description="a name that glyphline/datasets.py knows")
    limit: PositiveInt | None = Field(
        default=None, description="how many training images to use, stratified; null for all"
    )
    preprocess: Preprocess
    variants: dict[VariantName, Variant] = Field(min_length=1)
    gate: Gate = Field(default=Gate(), description="what a change of the test metrics must not fall short of")


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
    location = [str(part) for part in detail["loc"] if part not in ("[key]", "[list]", "[name]")]
    key = ".".join(part if part.isprintable() else ascii(part) for part in location) or "the file"
    if detail["type"] == "extra_forbidden":
        known = _known_keys(location[:-1])
        close = difflib.get_close_matches(location[-1], known, n=1)
        advice = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
        return f"{key}: unknown key; {advice}"
    if detail["type"] == "missing":
        return f"{key}: this key is missing"
    if detail["type"] == "string_pattern_mismatch":
        return f"{key}: a variant's name is a lower-case letter, then lower-case letters, digits and _"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error":
        return f"{key}: {message}"
    return f"{key}: {message[0].lower()}{message[1:]}, but it is {_quoted(detail['input'])}"


def _quoted(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:
        return "a number of more digits than Python writes out"
    return text if len(text) <= LONGEST_QUOTATION else f"{text[:LONGEST_QUOTATION]}..."


def _known_keys(location: list[str]) -> list[str]:
    """The keys of the section at a location, in which the names of variants do not count."""
    sections: dict[tuple[str, ...], type[BaseModel]] = {
        (): Params,
        ("preprocess",): Preprocess,
        ("variants",): Variant,
        ("variants", "augmentation"): Augmentation,
        ("gate",): Gate,
        ("gate", "variants"): Limits,
    }
    place = [part for before, part in zip(["", *location], location, strict=False) if before != "variants"]
    return list(sections[tuple(place)].model_fields)
