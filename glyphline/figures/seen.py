"""What a network saw of a user's pictures, and what it made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from glyphline.evaluation.numbers import percent
from glyphline.figures.style import (
    DPI,
    FAINT,
    HEAD,
    INK,
    MARGIN,
    QUIET,
    RIGHT,
    WIDTH,
    Picture,
    axes_at,
    new_figure,
    styled,
    widest,
    write,
)

COLUMNS = 2
TILE = 1.1  # inches, the side of the picture and of what the network saw
GAP = 0.15
ROW = TILE + 0.65
BARS = 10  # classes whose probabilities are drawn


@dataclass(frozen=True)
class Seen:
    """One picture.

    picture: (height, width, 3) uint8, small. image: (side, side) or (side, side, 3) uint8, what the network was
    shown. probabilities: (classes,) float32.
    """

    name: str
    picture: NDArray[np.uint8]
    image: NDArray[np.uint8]
    probabilities: NDArray[np.float32]


@styled
def what_the_network_saw(pictures: Sequence[Seen], class_names: Sequence[str], model: str, count: int) -> Picture:
    """Each picture beside the pixels that were made of it and the probabilities of the classes.

    Of more than BARS classes, the most probable are drawn. count: how many pictures were classified; those given are
    the first of them.
    """
    rows = -(-len(pictures) // COLUMNS)
    pixels = "x".join(str(side) for side in pictures[0].image.shape[:2])
    shown = "" if len(pictures) == count else f", the first {len(pictures)} of {count:,} pictures"
    most = "" if len(class_names) <= BARS else f"the {BARS} highest of "
    figure = new_figure(
        f"What {model} saw{shown}",
        f"Each picture, the {pixels} pixels that the network was shown, and {most}its probabilities.",
        HEAD + rows * ROW,
    )
    axes = axes_at(figure, 0, 0, WIDTH, HEAD + rows * ROW, bare=True)
    axes.autoscale(False)
    pitch = (WIDTH - 2 * MARGIN + 2 * GAP) / COLUMNS
    for position, seen in enumerate(pictures):
        row, column = divmod(position, COLUMNS)
        left, top = MARGIN + column * pitch, HEAD + row * ROW
        name = seen.name
        while len(name) > 2 and widest([name], 9) > pitch - 2 * GAP:
            name = "…" + name[2:]
        write(figure, left, top, name, color=QUIET)
        _draw_image(axes, seen.picture, left, top + 0.15)
        _draw_image(axes, _in_colour(seen.image), left + TILE + GAP, top + 0.15)
        bars = left + 2 * (TILE + GAP)
        width = left + pitch - 2 * GAP - bars
        _draw_bars(axes, seen.probabilities, class_names, left=bars, width=width, top=top + 0.15)
    best = [(seen.name, int(seen.probabilities.argmax()), float(seen.probabilities.max())) for seen in pictures]
    taken = [f"{name} for {class_names[label]} with {percent(probability, 1)}" for name, label, probability in best]
    alt = f"Each picture, the pixels that {model} was shown and its probabilities. It takes {', '.join(taken)}."
    return Picture(figure, f"What {model} saw", alt)


def _in_colour(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image if image.ndim == 3 else np.repeat(image[..., np.newaxis], 3, axis=2)


def _draw_image(axes: Axes, image: NDArray[np.uint8], left: float, top: float) -> None:
    """An image in the middle of a square of TILE inches."""
    height, width = (TILE * side / max(image.shape[:2]) for side in image.shape[:2])
    left, top = left + (TILE - width) / 2, top + (TILE - height) / 2
    box = (left, left + width, top + height, top)
    axes.imshow(image, extent=box, aspect="auto", interpolation="nearest")
    axes.add_patch(Rectangle((left, top), width, height, fill=False, edgecolor=FAINT, linewidth=0.8))


def _draw_bars(
    axes: Axes,
    probabilities: NDArray[np.float32],
    class_names: Sequence[str],
    *,
    left: float,
    width: float,
    top: float,
) -> None:
    """The verdict, and a bar for each class upwards from the tile's bottom."""
    figure = axes.figure.figure
    best = int(probabilities.argmax())
    classes = np.argsort(-probabilities, kind="stable")[:BARS]
    if len(class_names) <= BARS:
        classes = np.sort(classes)
    write(figure, left, top + 0.09, class_names[best], size=13, weight="bold", color=RIGHT)
    beside = left + widest([class_names[best]], 13, "bold") + 0.1
    write(figure, beside, top + 0.1, percent(float(probabilities[best]), 1), color=INK)
    step, bottom, tallest = width / len(classes), top + TILE, TILE - 0.3
    axes.plot([left, left + width], [bottom, bottom], color=FAINT, linewidth=0.8)
    size = min(8.0, 8 * 0.95 * step / max(widest([class_names[position] for position in classes], 8), 0.01))
    for place, position in enumerate(classes):
        height = tallest * float(probabilities[position])
        if height * DPI >= 1:
            corner = (left + (place + 0.12) * step, bottom - height)
            fill = RIGHT if position == best else QUIET
            axes.add_patch(Rectangle(corner, 0.76 * step, height, color=fill, linewidth=0))
        colour = INK if position == best else QUIET
        write(
            figure,
            left + (place + 0.5) * step,
            bottom + 0.1,
            class_names[position],
            size=size,
            color=colour,
            ha="center",
        )
