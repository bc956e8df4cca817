"""What changed between two revisions: differences with their intervals, classes, and images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from numpy.typing import NDArray

from glyphline.evaluation.numbers import percent, plural, points, signed
from glyphline.figures.style import (
    DPI,
    HEAD,
    INK,
    MARGIN,
    QUIET,
    RIGHT,
    WIDTH,
    WRONG,
    Picture,
    axes_at,
    mosaic,
    new_figure,
    styled,
    widest,
    write,
)

ROW = 0.34  # inches, of a variant
BELOW = 0.28  # of a row: how far the interval of the seeds stands below that of the images
LARGEST_CELL = 0.5  # inches
SMALLEST_CELL = 0.24  # inches; smaller ones hold no number
COLUMNS = 8  # of the gallery, at most
NAMED = 3  # images that the alt text of the gallery names
GAIN_AND_LOSS = LinearSegmentedColormap.from_list("gain and loss", [WRONG, "white", RIGHT])


@dataclass(frozen=True)
class Interval:
    """A difference, after minus before, and the ends of its interval, all as fractions."""

    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One variant: its verdict in words, and whether that is a change beyond noise. seeds: None for a single seed."""

    name: str
    verdict: str
    beyond_noise: bool
    images: Interval
    seeds: Interval | None


@dataclass(frozen=True)
class Flip:
    """A test image that was right before and wrong after, or the other way round.

    image: (height, width) uint8. before, after: the predicted class. probabilities: theirs, None where unknown.
    """

    image: NDArray[np.uint8]
    before: str
    after: str
    probabilities: tuple[float, float] | None


@styled
def differences(rows: Sequence[Row], metric: str, dataset: str) -> Picture:
    """The difference of each variant with its 95 % interval, and of the means over its seeds where it has several."""
    names, verdicts = widest([row.name for row in rows], 8) + 0.15, widest([row.verdict for row in rows], 9, "bold")
    numbers = widest([points(row.images.difference) for row in rows], 9)
    several = " Dots: the same images; diamonds: means over the seeds." if any(row.seeds for row in rows) else ""
    title = f"Difference in test {metric.replace('_', ' ')}"
    figure = new_figure(
        title,
        f"{dataset}. Bars: 95 % intervals, of each variant by itself.{several}",
        HEAD + ROW * len(rows) + 0.6,
    )
    right_of_axes = WIDTH - MARGIN - verdicts - 0.2 - numbers - 0.2
    axes = axes_at(figure, MARGIN + names, HEAD - 0.1, right_of_axes - MARGIN - names, ROW * len(rows))
    axes.axvline(0, color=INK, linewidth=0.9)
    for place, row in enumerate(rows):
        colour = QUIET if not row.beyond_noise else RIGHT if row.images.difference > 0 else WRONG
        _draw_interval(axes, row.images, place - (BELOW / 2 if row.seeds else 0), colour, "o")
        if row.seeds:
            _draw_interval(axes, row.seeds, place + BELOW / 2, colour, "D")
        middle, weight = HEAD - 0.1 + ROW * (place + 0.5), "bold" if row.beyond_noise else "normal"
        write(figure, right_of_axes + 0.2 + numbers, middle, points(row.images.difference), ha="right", color=colour)
        write(figure, WIDTH - MARGIN - verdicts, middle, row.verdict, color=colour, weight=weight)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(False, axis="y")
    axes.margins(x=0.05)
    axes.set_xlabel("after minus before, percentage points")
    told = [f"{row.name} {points(row.images.difference)}, {row.verdict}" for row in rows]
    alt = f"{title}, after minus before, in percentage points with 95 % intervals: {'; '.join(told)}."
    return Picture(figure, title, alt)


def _draw_interval(axes: Axes, interval: Interval, place: float, colour: str, mark: str) -> None:
    middle, low, high = (100 * value for value in (interval.difference, interval.low, interval.high))
    ends = [[max(middle - low, 0)], [max(high - middle, 0)]]
    axes.errorbar([middle], [place], xerr=ends, fmt=mark, color=colour, markersize=5, elinewidth=1.5, capsize=2.5)


@styled
def class_changes(
    variants: Sequence[str],
    class_names: Sequence[str],
    net: NDArray[np.int64],
    sizes: NDArray[np.int64],
    dataset: str,
    *,
    count: int,
) -> Picture:
    """How the recall of each class changed: a row for each variant, a column for each class.

    net: (variants, classes) images gained less images lost. sizes: (classes,) test images of each class. count: how
    many classes moved; those given are the ones that moved most.
    """
    names = widest(variants, 8) + 0.15
    cell = min(LARGEST_CELL, (WIDTH - 2 * MARGIN - names) / len(class_names))
    labels = widest(class_names, 8)
    upright = labels > cell
    above, height = (labels if upright else 0.15) + 0.1, min(cell, ROW) if cell < SMALLEST_CELL else ROW
    height = max(height, 0.2)
    top = HEAD - 0.2 + above
    title = "Classes that moved" if len(class_names) == count else f"The {len(class_names)} classes that moved most"
    figure = new_figure(
        title,
        f"{dataset}. Test images gained less images lost. Blue: a gain, orange: a loss; deepest at 5 % of the class.",
        top + height * len(variants) + 0.3,
    )
    axes = axes_at(figure, MARGIN + names, top, cell * len(class_names), height * len(variants))
    shares = 100 * net / np.maximum(sizes, 1)
    axes.imshow(shares, cmap=GAIN_AND_LOSS, vmin=-5, vmax=5, aspect="auto", interpolation="nearest")
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.hlines(np.arange(len(variants) + 1) - 0.5, -0.5, len(class_names) - 0.5, color="#E4E4E4", linewidth=0.6)
    axes.vlines(np.arange(len(class_names) + 1) - 0.5, -0.5, len(variants) - 0.5, color="#E4E4E4", linewidth=0.6)
    axes.tick_params(length=0)
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(class_names)), class_names, rotation=90 if upright else 0)
    axes.set_yticks(range(len(variants)), variants)
    words = {place: signed(int(value)) for place, value in np.ndenumerate(net) if value}
    if cell >= SMALLEST_CELL:
        size = min(8.0, 8 * 0.88 * cell / max(widest(words.values(), 8), 0.01))
        for (row, column), text in words.items():
            colour = "white" if abs(shares[row, column]) > 3.5 else INK
            axes.text(column, row, text, ha="center", va="center_baseline", size=size, color=colour)
    sums = [f"{name} {signed(int(row.sum()))}" for name, row in zip(variants, net, strict=True)]
    alt = (
        "Test images gained less images lost, a row for each variant and a column for each class that moved. In sum: "
        f"{', '.join(sums)}."
    )
    return Picture(figure, title, alt)


@styled
def flips(shown: Sequence[Flip], count: int, title: str, dataset: str) -> Picture:
    """A gallery of test images whose predictions changed; those shown are the first of `count`."""
    words = [
        (
            f"{flip.before} → {flip.after}",
            f"{100 * flip.probabilities[0]:.0f} → {percent(flip.probabilities[1], 0)}" if flip.probabilities else "",
        )
        for flip in shown
    ]
    widest_word = max(widest([above for above, _ in words], 9), widest([below for _, below in words], 7))
    tile, room = 60 / DPI, WIDTH - 2 * MARGIN  # 28 pixels and a frame of 1, twice as large
    columns = max(1, min(COLUMNS, int(room / (max(tile, widest_word) + 0.1))))
    pitch, row_height = room / columns, tile + 0.55
    probability = ", and with which probability" if any(below for _, below in words) else ""
    first = "" if len(shown) == count else f", the first {len(shown)} of {count:,}"
    figure = new_figure(
        f"{title}{first}",
        f"{dataset}. Below: what it was taken for, before → after{probability}.",
        HEAD - 0.1 + -(-len(shown) // columns) * row_height,
    )
    place = np.arange(len(shown))
    centres = np.stack(
        [MARGIN + (place % columns + 0.5) * pitch, HEAD - 0.1 + tile / 2 + place // columns * row_height], axis=1
    )
    axes = axes_at(figure, MARGIN, HEAD - 0.15, room, figure.get_figheight() - HEAD + 0.15, bare=True)
    mosaic(axes, np.stack([flip.image for flip in shown]), centres, tile)
    for (x, y), (above, below) in zip(centres, words, strict=True):
        write(figure, x, y + tile / 2 + 0.11, above, size=9, ha="center", color=INK)
        write(figure, x, y + tile / 2 + 0.27, below, size=7, ha="center", color=QUIET)
    taken = [f"{flip.before} and now {flip.after}" for flip in shown[:NAMED]]
    alt = f"{title}: {plural(count, 'test image')}. The first were taken for {', '.join(taken)}."
    return Picture(figure, title, alt)
