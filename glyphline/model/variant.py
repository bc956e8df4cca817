"""What a variant is: the schema and the defaults of an entry under `variants` in params.yaml."""

from __future__ import annotations

import difflib
import math
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Discriminator, Field, Tag, ValidationError, model_validator

from glyphline.errors import printable, quoted

POOL_SIDE = 2
PositiveInt = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(ge=0, lt=1, description="a fraction of units that dropout silences")]


class Augmentation(BaseModel, extra="forbid", strict=True, frozen=True):
    """How each training image is changed at random, anew in every epoch. Zero leaves it alone."""

    shift: float = Field(
        default=0.0, ge=0, le=64, description="pixels, at most, in each direction; half the image's side is the most"
    )
    rotation: float = Field(default=0.0, ge=0, le=180, description="degrees, at most, either way")
    scale: float = Field(default=0.0, ge=0, lt=1, description="share of the size, at most, larger or smaller")
    shear: float = Field(default=0.0, ge=0, le=1, description="share of the height, at most, that the top leans over")
    flip: bool = Field(default=False, description="mirror half of the images, drawn at random, left to right")
    erase: float = Field(
        default=0.0, ge=0, le=1, description="share of the image's side, at most, that an erased square's side has"
    )
    until: float = Field(
        default=1.0, ge=0, le=1, description="share of the epochs after which images are left as they are"
    )


class Variant(BaseModel, extra="forbid", strict=True, frozen=True):
    """One network and how it is trained. What is left out takes the default given here.

    The layers are, in this order: space to depth, for each entry of `filters` a convolution (and its pooling), dropout,
    flatten, for each entry of `dense` a dense layer and dropout, and a softmax over the classes.
    """

    space_to_depth: PositiveInt = Field(
        default=1, description="side of the blocks of pixels that become channels before the first convolution"
    )
    filters: list[PositiveInt] = Field(default=[], description="filters of each convolution; [] for none")
    kernel_size: PositiveInt = Field(default=3, description="side of the convolutions' kernels, pixels")
    padding: Literal["valid", "same"] = Field(
        default="valid",
        description="valid: a convolution takes a border off; same: it sees zeros around the image, which keeps its "
        "size, and so does space to depth where its blocks would not fill the image",
    )
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
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="float32",
        description="of the arithmetic inside the network, whose weights are float32; auto is bfloat16 where the "
        "machine computes in it, else float32",
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
    def _keys_go_together(self) -> Variant:
        if isinstance(self.pooling, list) and set(self.pooling) - set(range(1, len(self.filters) + 1)):
            raise ValueError(f"pooling is {self.pooling}, but there are {len(self.filters)} convolutions to follow")
        if self.first_convolution_l2 and not self.filters:
            raise ValueError("first_convolution_l2 needs a convolution, and filters is empty")
        if self.warmup and self.schedule == "constant":
            raise ValueError("warmup belongs to a schedule of cosine, and schedule is constant")
        return self

    def check_fits(self, side: int) -> None:
        """Raise ValueError, with a sentence, unless the layers can read images of side x side pixels."""
        if side % self.space_to_depth and self.padding == "valid":
            raise ValueError(f"space_to_depth is {self.space_to_depth}, which does not divide the image's side, {side}")
        if self.augmentation.shift > side / 2:
            raise ValueError(
                f"augmentation.shift is {self.augmentation.shift:g}, more than half of a {side}x{side} image"
            )
        left = math.ceil(side / self.space_to_depth)
        for depth, _ in enumerate(self.filters, start=1):
            if self.padding == "valid":
                left -= self.kernel_size - 1
            if self.pools_after(depth):
                left //= POOL_SIDE
            if left < 1:
                raise ValueError(
                    f"convolution {depth} of {len(self.filters)} leaves nothing of a {side}x{side} image; "
                    "give fewer filters, a smaller kernel_size or less pooling"
                )


def choices(key: str) -> tuple[str, ...]:
    """What a key of a variant can be, where it is one of several words."""
    return get_args(Variant.model_fields[key].annotation)


def check_key(key: str, value: Any) -> None:
    """Raise ValueError, with a sentence, unless a variant has that key and it can have that value."""
    if key not in Variant.model_fields:
        close = difflib.get_close_matches(key, Variant.model_fields, n=1)
        advice = f"did you mean {close[0]}?" if close else f"known: {', '.join(Variant.model_fields)}"
        raise ValueError(f"a variant has no key {printable(key)}; {advice}")
    try:
        Variant.model_validate({"epochs": 1} | {key: value})
    except ValidationError as error:
        # What concerns several keys together is left to the trial, which has them all.
        for detail in error.errors():
            if detail["loc"]:
                raise ValueError(f"{key} cannot be {quoted(value)}: {detail['msg']}") from None
