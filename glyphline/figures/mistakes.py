"""What one variant gets wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, PowerNorm, to_rgba
from matplotlib.figure import Figure
from numpy.typing import NDArray

from glyphline.evaluation.numbers import listed, percent, plural
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

BESIDE = 12  # classes; with more, the two matrices stand one above the other
MOST = 90  # classes that a matrix is drawn of
RAREST = 30  # classes of the lowest recall that are named where there are too many for a matrix
SMALLEST_CELL = 0.29  # inches; smaller ones hold no number
DIAGONAL = "#DCE9F3"
Matrix = NDArray[np.float64]

ERRORS = ListedColormap(colormaps["Oranges"](np.linspace(0.08, 0.9, 256)))
FREQUENT = 18  # confusions that are listed where cells hold no number
NAMED = 3  # confusions and errors that the alt text names
TOTALS = 0.7  # inches to the right of a matrix for the totals of its rows


def row_normalised(counts: NDArray[np.int64]) -> Matrix:
    """Each row of a (classes, classes) matrix divided by its sum: 0-1 float64; a row without images stays 0."""
    sums = counts.sum(axis=1, keepdims=True)
    shares: Matrix = np.divide(counts, sums, out=np.zeros(counts.shape), where=sums > 0)
    return shares


@styled
def confusion(counts: NDArray[np.int64], class_names: Sequence[str], variant: str, dataset: str) -> Picture:
    """The confusion matrix, raw and row-normalised, with colour for the errors; of more than MOST classes the recalls.

    counts: (classes, classes) integers, a row for each true class, a column for each predicted one. Where there are
    too many classes for numbers in the cells, the most frequent confusions stand in a list below.
    """
    classes, n = len(class_names), int(counts.sum())
    if classes > MOST:
        return _recalls(counts, class_names, variant, dataset)
    labels = widest(class_names, 8) + 0.1
    beside = classes <= BESIDE
    room = (WIDTH - 2 * MARGIN - 0.3) / 2 if beside else WIDTH - 2 * MARGIN
    side = min(room - labels - (0 if beside else TOTALS), 0.7 * classes)
    cell = side / classes
    upright = labels > cell + 0.1
    above = 0.45 + (labels if upright else 0.2)
    step = above + side + 0.3
    frequent = most_frequent(counts)
    listed_below = frequent if cell < SMALLEST_CELL else []
    below = 0.6 + 0.22 * -(-len(listed_below) // 3) if listed_below else 0.0

    figure = new_figure(
        f"{variant}: {n - int(np.trace(counts)):,} of {n:,} test images in the wrong class",
        f"{dataset}. A row for each true class, a column for each predicted one; right in blue, wrong in orange.",
        HEAD - 0.15 + step * (1 if beside else 2) + below,
    )
    shares = 100 * row_normalised(counts)
    panels = (
        ("images", counts.astype(np.float64), 0, "images", counts.sum(axis=1)),
        ("% of the true class", shares, 1, "recall, %", np.diag(shares)),
    )
    for position, (name, values, decimals, total, totals) in enumerate(panels):
        left = MARGIN + labels + (position * (room + 0.3) if beside else 0)
        top = HEAD - 0.15 + above + (0 if beside else position * step)
        write(figure, left, top - above + 0.12, name, weight="bold")
        axes = axes_at(figure, left, top, side, side)
        norm = _draw_matrix(axes, values, class_names, upright)
        if cell >= SMALLEST_CELL:
            _write_cells(axes, values, decimals, norm, room=0.88 * cell)
        else:
            _draw_scale(figure, left + side - 2, top - above + 0.06, norm, decimals)
        if not beside:
            _write_totals(axes, total, [f"{value:,.{decimals}f}" for value in totals])
    if listed_below:
        _write_frequent(figure, figure.get_figheight() - below, listed_below, counts, class_names)
    named = [
        f"{class_names[true]} taken for {class_names[taken]} ({plural(int(counts[true, taken]), 'time')})"
        for true, taken in frequent[:NAMED]
    ]
    alt = (
        f"Confusion matrix of {variant}, in images and in percent of the true class, a row for each true class and a "
        f"column for each predicted one: {n - int(np.trace(counts)):,} of {plural(n, 'test image')} wrong"
        f"{f', most often {listed(named)}' if named else ''}."
    )
    return Picture(figure, "Confusion matrix", alt)


def _recalls(counts: NDArray[np.int64], class_names: Sequence[str], variant: str, dataset: str) -> Picture:
    """What stands for the matrix of many classes: how their recalls are spread, the lowest, the most confused pairs."""
    n, wrong = int(counts.sum()), int(counts.sum() - np.trace(counts))
    totals = counts.sum(axis=1)
    tested = np.flatnonzero(totals)
    recalls = np.diag(counts)[tested] / totals[tested]
    lowest = [place for place in np.argsort(recalls, kind="stable")[:RAREST] if recalls[place] < 1]
    frequent = most_frequent(counts)
    rows, pairs = -(-len(lowest) // 3), -(-len(frequent) // 3)
    top = HEAD + 2.4
    figure = new_figure(
        f"{variant}: {wrong:,} of {n:,} test images in the wrong class",
        f"{dataset}. How many of the {len(tested):,} classes with test images have which recall.",
        top + (0.5 + 0.22 * rows if lowest else 0) + (0.5 + 0.22 * pairs if frequent else 0) + 0.1,
    )
    axes = axes_at(figure, MARGIN + 0.45, HEAD, WIDTH - 2 * MARGIN - 0.45, 1.8)
    axes.hist(100 * recalls, bins=np.arange(0, 102.5, 2.5).tolist(), color=RIGHT)
    axes.set_xlim(0, 102.5)
    write(figure, WIDTH / 2, HEAD + 2.15, "recall, %", size=8, color=QUIET, ha="center")
    if lowest:
        write(figure, MARGIN, top + 0.12, "the lowest recalls", weight="bold")
        for position, place in enumerate(lowest):
            column, row = divmod(position, rows)
            name, total = class_names[tested[place]], totals[tested[place]]
            words = f"{name}   {percent(recalls[place], 1)} of {plural(int(total), 'image')}"
            write(figure, MARGIN + column * (WIDTH - 2 * MARGIN) / 3, top + 0.38 + 0.22 * row, words)
        top += 0.5 + 0.22 * rows
    if frequent:
        _write_frequent(figure, top, frequent, counts, class_names)
    named = [f"{class_names[tested[place]]} ({percent(recalls[place], 1)})" for place in lowest[:NAMED]]
    alt = (
        f"Histogram of the recalls of {len(tested):,} classes by {variant}, with {wrong:,} of "
        f"{plural(n, 'test image')} wrong"
        f"{f'; the lowest are those of {listed(named)}' if named else ''}."
    )
    return Picture(figure, "Recalls of the classes", alt)


def most_frequent(counts: NDArray[np.int64]) -> list[tuple[int, int]]:
    """True and predicted class of the most frequent confusions, the most frequent first; at most FREQUENT."""
    wrong = np.where(np.eye(len(counts), dtype=bool), 0, counts)
    order = np.argsort(-wrong, axis=None, kind="stable")[:FREQUENT]
    pairs = [divmod(int(position), len(counts)) for position in order]
    return [(true, predicted) for true, predicted in pairs if wrong[true, predicted]]


def _draw_matrix(axes: Axes, values: Matrix, class_names: Sequence[str], upright: bool) -> PowerNorm:
    # The diagonal has its own colour, else 99 % right drown the errors. The scale takes square roots, else one frequent
    # confusion drowns the others.
    classes = len(values)
    diagonal = np.eye(classes, dtype=bool)
    wrong = np.where(diagonal, 0, values)
    norm = PowerNorm(0.5, vmin=0, vmax=max(float(wrong.max()), 1.0))
    colours = ERRORS(norm(wrong))
    colours[wrong == 0] = to_rgba("white")
    colours[diagonal] = to_rgba(DIAGONAL)
    axes.imshow(colours, interpolation="nearest", aspect="auto")
    axes.grid(False)
    edges = np.arange(classes + 1) - 0.5
    for lines in (axes.hlines, axes.vlines):
        lines(edges, -0.5, classes - 0.5, color="#E4E4E4", linewidth=0.6, clip_on=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.xaxis.tick_top()
    axes.set_xticks(range(classes), class_names, rotation=90 if upright else 0)
    axes.set_yticks(range(classes), class_names)
    return norm


def _write_cells(axes: Axes, values: Matrix, decimals: int, norm: PowerNorm, room: float) -> None:
    """Write the errors and the diagonal into the cells, no wider than `room` inches."""
    right = np.eye(len(values), dtype=bool)
    dark = ~right & (np.asarray(norm(values)) > 0.75)
    # 100.0 would be the one number of four digits.
    words = {
        place: f"{value:.{decimals if value < 99.95 else 0}f}"
        for place, value in np.ndenumerate(values)
        if value or right[place]
    }
    size = min(9.0, 9 * room / widest(words.values(), 9))
    for (row, column), text in words.items():
        colour = "white" if dark[row, column] else QUIET if right[row, column] else INK
        axes.text(column, row, text, ha="center", va="center_baseline", size=size, color=colour)


def _draw_scale(figure: Figure, left: float, top: float, norm: PowerNorm, decimals: int) -> None:
    axes = axes_at(figure, left, top, 2, 0.1)
    bar = figure.colorbar(ScalarMappable(norm, ERRORS), cax=axes, orientation="horizontal")
    bar.outline.set_visible(False)
    most = float(norm.vmax or 0)
    ticks = [0, round(most / 4, decimals), most]  # a quarter is in the middle: the scale is one of square roots
    bar.set_ticks(ticks, labels=[f"{tick:.{decimals}f}" for tick in ticks])
    axes.minorticks_off()
    axes.tick_params(labelsize=7, length=2, pad=1)


def _write_totals(axes: Axes, name: str, totals: Sequence[str]) -> None:
    """A column to the right of the matrix, a number for each row."""
    look: dict[str, Any] = {"textcoords": "offset points", "va": "center_baseline", "size": 7, "color": QUIET}
    axes.annotate(name, (1, 1), (5, 8), xycoords="axes fraction", **look)
    for row, total in enumerate(totals):
        axes.annotate(total, (1, row), (5, 0), xycoords=axes.get_yaxis_transform(), **look)


def _write_frequent(
    figure: Figure,
    top: float,
    frequent: Sequence[tuple[int, int]],
    counts: NDArray[np.int64],
    class_names: Sequence[str],
) -> None:
    write(figure, MARGIN, top + 0.12, "most frequent confusions, true → predicted", weight="bold")
    shares = row_normalised(counts)
    rows = -(-len(frequent) // 3)
    for position, (true, predicted) in enumerate(frequent):
        words = (
            f"{class_names[true]} → {class_names[predicted]}   {counts[true, predicted]:,} "
            f"({percent(shares[true, predicted], 1)} of {class_names[true]})"
        )
        column, row = divmod(position, rows)
        write(figure, MARGIN + column * (WIDTH - 2 * MARGIN) / 3, top + 0.38 + 0.22 * row, words)


@styled
def worst_errors(
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    probabilities: NDArray[np.float32],
    counts: NDArray[np.int64],
    class_names: Sequence[str],
    *,
    variant: str,
    dataset: str,
) -> Picture:
    """A gallery of wrongly classified test images, each with its true and its predicted class.

    images: (shown, height, width) uint8, 0-255. labels: (shown,) true classes. probabilities: (shown, classes)
    float32. Those shown are the first of all errors, in this order. counts: as `confusion` takes them.
    """
    shown, n, errors = len(images), counts.sum(), counts.sum() - np.trace(counts)
    predicted = probabilities.argmax(axis=1)
    if errors == 0:
        title = f"{variant}: no errors on {n:,} test images"
    elif shown < errors:
        title = f"{variant}: the {shown} most confident of {errors:,} errors on {n:,} test images"
    else:
        title = f"{variant}: all {errors:,} errors on {n:,} test images, the most confident first"
    subtitle = f"{dataset}. Above: the true class; below: the class it was taken for, and with which probability."
    caption = "The worst errors"
    if not shown:
        figure = new_figure(title, dataset, HEAD + 1)
        write(figure, WIDTH / 2, HEAD + 0.3, "no errors", size=14, color=QUIET, ha="center")
        return Picture(figure, caption, f"No pictures: {variant} classifies every test image right.")
    true = [class_names[label] for label in labels]
    taken = [
        f"{class_names[label]}  {percent(row[label], 1)}" for label, row in zip(predicted, probabilities, strict=True)
    ]
    figure = _gallery(images, true, taken, title, subtitle)
    first = [
        f"{class_names[label]} taken for {class_names[row.argmax()]} with {percent(row.max(), 1)}"
        for label, row in zip(labels[:NAMED], probabilities, strict=False)
    ]
    alt = (
        f"Test images that {variant} takes for another class, the most confident errors first, each with its true "
        f"class above and the predicted one below. The first: {listed(first)}."
    )
    return Picture(figure, caption, alt)


@styled
def labels_to_check(images: NDArray[np.uint8], table: pd.DataFrame, dataset: str) -> Picture:
    """A gallery of the images that are least probably what they are labelled.

    images: (shown, height, width) or (shown, height, width, 3) uint8, 0-255. table: a row for each, the least probable
    label first, with variant, split, label, probability, predicted, predicted_probability.
    """
    caption = "Labels to check"
    if not len(table):
        figure = new_figure("Labels to check: none", dataset, HEAD + 1)
        write(figure, WIDTH / 2, HEAD + 0.3, "no label is improbable", size=14, color=QUIET, ha="center")
        return Picture(figure, caption, "No pictures: every validation and test image is taken for its own class.")
    variant = table["variant"].iloc[0]
    given, taken = (
        [
            f"{name}  {percent(probability, 1)}"
            for name, probability in zip(table[name], table[probability], strict=True)
        ]
        for name, probability in (("label", "probability"), ("predicted", "predicted_probability"))
    )
    figure = _gallery(
        images,
        given,
        taken,
        f"Labels to check: the {len(table)} that {variant} finds least probable",
        f"{dataset}, validation and test images. Above: the label; below: what it looks like; each with its "
        "probability.",
    )
    first = [f"{label} that looks like {other}" for label, other in zip(given, taken, strict=True)][:NAMED]
    alt = (
        f"Validation and test images whose label {variant} finds least probable, each with its label above and the "
        f"predicted class below. The first: {listed(first)}."
    )
    return Picture(figure, caption, alt)


def _gallery(
    images: NDArray[np.uint8], above: Sequence[str], below: Sequence[str], title: str, subtitle: str
) -> Figure:
    """Images in rows, each between a line of text on its class and one on another class."""
    tile, room = 90 / DPI, WIDTH - 2 * MARGIN  # 28 pixels and a frame of 1, three times as large
    columns = max(1, int((room + 0.15) / (max(tile, widest([*above, *below], 9)) + 0.15)))
    columns = min(columns, 8)
    pitch, row_height = room / columns, tile + 0.55
    rows = -(-len(images) // columns)
    figure = new_figure(title, subtitle, HEAD + rows * row_height)
    place = np.arange(len(images))
    centres = np.stack(
        [MARGIN + (place % columns + 0.5) * pitch, HEAD + 0.2 + tile / 2 + place // columns * row_height], axis=1
    )
    axes = axes_at(figure, MARGIN, HEAD, room, rows * row_height, bare=True)
    mosaic(axes, images, centres, tile)
    for (x, y), right, wrong in zip(centres, above, below, strict=True):
        write(figure, x, y - tile / 2 - 0.1, right, ha="center", color=RIGHT)
        write(figure, x, y + tile / 2 + 0.1, wrong, ha="center", color=WRONG)
    return figure
