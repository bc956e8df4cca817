"""A network as its layers."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

from glyphline.evaluation.numbers import short
from glyphline.figures.style import (
    FAINT,
    HEAD,
    MARGIN,
    QUIET,
    WIDTH,
    Picture,
    axes_at,
    new_figure,
    styled,
    write,
)

ROW = 0.52  # inches
OBLIQUE = (0.1, 0.07)  # where a block's back stands from its front, inches to the right and up

# Inches from the left edge of the figure.
BLOCKS = 1.5  # the middle of the blocks
NAMES = 3.0
SHAPES = 4.7
PARAMETERS = 6.45  # the right end of the numbers; their bar follows
MULTIPLY_ADDS = 8.02
BAR = 0.6

# The colour of a layer by the first of these words that is in its name.
COLOURS = {
    "dropout": "#E6E6E6",
    "normalization": "#D9E4C3",
    "activation": "#E6E6E6",
    "convolution": "#4C9FCB",
    "pooling": "#A8D1E7",
    "flatten": "#C9C9C9",
    "dense": "#EDA05C",
    "probabilities": "#4DB898",
}
OTHER = "#BBBBBB"
ARROW = {"arrowstyle": "-|>,head_length=0.25,head_width=0.12", "color": QUIET, "lw": 0.9, "shrinkA": 0, "shrinkB": 0}


@styled
def network(layers: pd.DataFrame, variant: str, dataset: str) -> Picture:
    """The layers from the input down, each with its output shape, parameters and multiply-adds.

    layers: a row a layer, the input first; columns layer, output_shape ("24 x 24 x 64", channels last), parameters
    and multiply_adds of one image.
    """
    parameters, multiply_adds = int(layers["parameters"].sum()), int(layers["multiply_adds"].sum())
    figure = new_figure(
        f"{variant}: {parameters:,} parameters, {short(multiply_adds)} multiply-adds an image",
        f"{dataset}. Height of a block: side of the image; length: channels or units (log scale).",
        HEAD + 0.3 + (len(layers) + 1) * ROW,
    )
    for left, name, alignment in (
        (NAMES, "layer", "left"),
        (SHAPES, "output", "left"),
        (PARAMETERS, "parameters", "right"),
        (MULTIPLY_ADDS, "multiply-adds", "right"),
    ):
        write(figure, left, HEAD, name, ha=alignment, size=8, color=QUIET)
    axes = axes_at(figure, 0, 0, WIDTH, figure.get_figheight(), bare=True)
    shapes = [[int(side) for side in str(shape).split("x")] for shape in layers["output_shape"]]
    tallest = max((sides[0] for sides in shapes if len(sides) > 1), default=1)
    previous_bottom = None
    for row, (layer, sides) in enumerate(zip(layers.itertuples(index=False), shapes, strict=True)):
        middle = HEAD + 0.3 + (row + 0.5) * ROW
        height = 0.08 + (0.24 * sides[0] / tallest if len(sides) > 1 else 0)
        length = min(2.2, 0.1 + 0.5 * math.log10(max(sides[-1], 1)))
        colour = next((colour for word, colour in COLOURS.items() if word in str(layer.layer)), OTHER)
        _draw_block(axes, middle, height, length, colour)
        if previous_bottom is not None:
            end, start = middle - height / 2 - OBLIQUE[1] - 0.02, previous_bottom + 0.03
            axes.annotate("", (BLOCKS, end), (BLOCKS, start), arrowprops=ARROW)
        previous_bottom = middle + height / 2
        # dense_1_activation, just below dense_1, is written as activation.
        name = re.sub(r"^(convolution|dense)_\d+_", "", str(layer.layer)).replace("_", " ")
        write(figure, NAMES, middle, name, weight="bold")
        write(figure, SHAPES, middle, " \N{MULTIPLICATION SIGN} ".join(f"{side:,}" for side in sides))
        _write_count(figure, axes, (PARAMETERS, middle), int(str(layer.parameters)), parameters)
        _write_count(figure, axes, (MULTIPLY_ADDS, middle), int(str(layer.multiply_adds)), multiply_adds)
    middle = HEAD + 0.3 + (len(layers) + 0.5) * ROW
    axes.plot([NAMES, WIDTH - MARGIN], [middle - ROW / 2] * 2, color=FAINT, linewidth=1)
    write(figure, NAMES, middle, "total", weight="bold")
    write(figure, PARAMETERS, middle, f"{parameters:,}", ha="right", weight="bold")
    write(figure, MULTIPLY_ADDS, middle, f"{multiply_adds:,}", ha="right", weight="bold")
    chain = ", ".join(
        f"{str(layer).replace('_', ' ')} {' by '.join(map(str, sides))}"
        for layer, sides in zip(layers["layer"], shapes, strict=True)
    )
    alt = (
        f"The layers of {variant} from the input down, with their output shapes: {chain}. {parameters:,} parameters "
        f"and {multiply_adds:,} multiply-adds for one image."
    )
    return Picture(figure, "The network", alt)


def _draw_block(axes: Axes, middle: float, height: float, length: float, colour: str) -> None:
    """A box in oblique projection, its front face around (BLOCKS, middle)."""
    left, right, top, bottom = BLOCKS - length / 2, BLOCKS + length / 2, middle - height / 2, middle + height / 2
    right_back, up_back = OBLIQUE
    faces: Sequence[tuple[float, list[tuple[float, float]]]] = (
        (1.0, [(left, bottom), (right, bottom), (right, top), (left, top)]),
        (0.6, [(left, top), (right, top), (right + right_back, top - up_back), (left + right_back, top - up_back)]),
        (
            0.8,
            [
                (right, bottom),
                (right, top),
                (right + right_back, top - up_back),
                (right + right_back, bottom - up_back),
            ],
        ),
    )
    for strength, corners in faces:
        tint = [1 - strength * (1 - part) for part in to_rgb(colour)]
        axes.add_patch(Polygon(corners, facecolor=tint, edgecolor=QUIET, linewidth=0.7, joinstyle="round"))


def _write_count(figure: Figure, axes: Axes, place: tuple[float, float], count: int, total: int) -> None:
    """The count, if any, and a bar for its share of the total."""
    if not count:
        return
    right, middle = place
    write(figure, right, middle, f"{count:,}", ha="right")
    axes.add_patch(Rectangle((right + 0.08, middle - 0.06), BAR, 0.12, facecolor="#F0F0F0"))
    axes.add_patch(Rectangle((right + 0.08, middle - 0.06), BAR * count / total, 0.12, facecolor="#8C8C8C"))
