"""What the data looks like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glyphline.evaluation.numbers import plural
from glyphline.figures.style import (
    DPI,
    HEAD,
    INK,
    MARGIN,
    QUIET,
    TEST,
    TRAIN,
    WIDTH,
    Picture,
    axes_at,
    mosaic,
    new_figure,
    styled,
    widest,
    write,
)

FEW = 16  # classes; more stand in several columns, in smaller pictures
MOST = 90  # classes of which each is shown by its name; of more a part, or all without names


@styled
def examples(
    images: NDArray[np.uint8], labels: NDArray[np.integer[Any]], class_names: Sequence[str], dataset: str
) -> Picture:
    """A row of examples of each class, spread evenly over the order of the data; of more than MOST classes, of so many.

    images: (n, height, width) or (n, height, width, 3) uint8, 0-255. labels: (n,).
    """
    total = len(class_names)
    chosen = evenly_spaced(np.arange(total), MOST)
    few = len(chosen) <= FEW
    tile = 60 / DPI if few else 30 / DPI  # 28 pixels and a frame of 1, enlarged by whole numbers
    gap, name_width = 0.06, widest([class_names[label] for label in chosen], 9) + 0.12
    blocks = 1 if few or name_width > 2 else 3
    width = (WIDTH - 2 * MARGIN - (blocks - 1) * 0.25) / blocks
    each = max(1, int((width - name_width) / (tile + gap)))
    pitch = (width - name_width) / each
    rows = -(-len(chosen) // blocks)
    which = f"the {total}" if len(chosen) == total else f"{len(chosen)} of {total:,}"
    figure = new_figure(
        f"Examples of {which} classes, from the training images",
        dataset,
        HEAD + rows * (tile + gap) + MARGIN,
    )
    shown: list[int] = []
    centres: list[tuple[float, float]] = []
    for place, index in enumerate(chosen):
        block, row = divmod(place, rows)
        left, middle = MARGIN + block * (width + 0.25), HEAD + (row + 0.5) * (tile + gap)
        write(figure, left + name_width - 0.12, middle, class_names[index], ha="right")
        positions = evenly_spaced(np.flatnonzero(labels == index), each)
        shown.extend(positions.tolist())
        centres.extend((left + name_width + (column + 0.5) * pitch, middle) for column in range(len(positions)))
    axes = axes_at(figure, MARGIN, HEAD, WIDTH - 2 * MARGIN, rows * (tile + gap), bare=True)
    mosaic(axes, images[shown], np.array(centres).reshape(-1, 2), tile)
    names = ", ".join(class_names[label] for label in chosen)
    alt = f"Training images, several of each of {which} classes: {names}."
    return Picture(figure, "Examples of each class", alt)


def evenly_spaced(positions: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """At most `most` of the positions, evenly spaced."""
    if len(positions) <= most:
        return positions
    return positions[np.arange(most) * len(positions) // most]


@styled
def balance(
    train_counts: NDArray[np.int64], test_counts: NDArray[np.int64], class_names: Sequence[str], dataset: str
) -> Picture:
    """How many images of each class the training and the test data have: (classes,) integers each."""
    if len(class_names) > MOST:
        return _ranked_balance(train_counts, test_counts, dataset)
    fewest, most = int(train_counts.min()), int(train_counts.max())
    title = f"From {fewest:,} to {most:,} training images" if fewest < most else f"{most:,} training images"
    classes, name_width = len(class_names), widest(class_names, 8) + 0.15
    row = 0.28 if classes <= FEW else 0.17
    figure = new_figure(f"{title} of each class", dataset, HEAD + 0.5 + row * classes + 0.3)
    width, between = (WIDTH - 2 * MARGIN - name_width - 1.3) / 2, 0.7
    for position, (name, counts, colour) in enumerate(
        (("training images, validation included", train_counts, TRAIN), ("test images", test_counts, TEST))
    ):
        left, top = MARGIN + name_width + position * (width + between), HEAD + 0.45
        axes = axes_at(figure, left, top, width, row * classes)
        axes.barh(range(classes), counts, height=0.72, color=colour)
        axes.set_ylim(classes - 0.5, -0.5)
        axes.set_xlim(0, max(int(counts.max()), 1))
        axes.grid(False)
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(length=0, labelbottom=False, labelsize=8)
        axes.set_yticks(range(classes), class_names if position == 0 else [])
        for index, count in enumerate(counts):
            axes.annotate(
                f"{count:,}",
                (count, index),
                (3, 0),
                textcoords="offset points",
                va="center_baseline",
                size=8 if classes <= FEW else 7,
                color=INK,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
                annotation_clip=False,
            )
        equal = counts.sum() / classes
        axes.axvline(equal, color=QUIET, linewidth=0.9, linestyle=(0, (3, 3)))
        write(figure, left, top - 0.38, f"{name}: {counts.sum():,}", weight="bold")
        write(figure, left, top - 0.17, f"dashed: equal shares, {equal:,.0f}", size=8, color=QUIET)
    rare, frequent = int(test_counts.argmin()), int(test_counts.argmax())
    of_test = (
        f"{plural(int(test_counts[frequent]), 'image')} of each class"
        if test_counts[rare] == test_counts[frequent]
        else f"from {plural(int(test_counts[rare]), 'image')} ({class_names[rare]}) to {test_counts[frequent]:,} "
        f"({class_names[frequent]}) of a class"
    )
    alt = f"Bar charts of how many images of each class there are. {title} of each class; the test set has {of_test}."
    return Picture(figure, "Images of each class", alt)


def _ranked_balance(train_counts: NDArray[np.int64], test_counts: NDArray[np.int64], dataset: str) -> Picture:
    """The counts of many classes, each split from its most frequent class to its rarest, without names."""
    classes = len(train_counts)
    title = f"From {train_counts.min():,} to {train_counts.max():,} training images of each of {classes:,} classes"
    figure = new_figure(title, dataset, HEAD + 2.9)
    width = (WIDTH - 2 * MARGIN - 0.9) / 2
    for position, (name, counts, colour) in enumerate(
        (("training images, validation included", train_counts, TRAIN), ("test images", test_counts, TEST))
    ):
        left = MARGIN + 0.45 + position * (width + 0.45)
        axes = axes_at(figure, left, HEAD + 0.25, width, 2.0)
        axes.fill_between(range(1, classes + 1), np.sort(counts)[::-1], step="mid", color=colour, linewidth=0)
        axes.set_xlim(1, classes)
        axes.set_ylim(0, max(int(counts.max()), 1) * 1.05)
        write(figure, left, HEAD, f"{name}: {counts.sum():,}", weight="bold")
        write(
            figure, left + width / 2, HEAD + 2.65, "classes, the most frequent first", size=8, color=QUIET, ha="center"
        )
    alt = (
        f"The classes from the most frequent to the rarest. {title}; the test set has from "
        f"{plural(int(test_counts.min()), 'image')} to {test_counts.max():,} of a class."
    )
    return Picture(figure, "Images of each class", alt)
