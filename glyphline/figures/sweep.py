"""What the experiments of a sweep scored."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from glyphline.evaluation.numbers import percent
from glyphline.figures.style import (
    HEAD,
    MARGIN,
    QUIET,
    TEST,
    WIDTH,
    Picture,
    axes_at,
    new_figure,
    styled,
    widest,
    write,
)

ROW = 0.26  # inches
BETWEEN = 0.75  # inches between the variants


@styled
def sweep(tables: Mapping[str, pd.DataFrame], swept: Mapping[str, list[str]]) -> Picture:
    """Test accuracy with its 95 % interval, a line for each experiment, the variants below each other.

    tables: by variant; a row an experiment, columns accuracy, accuracy_low, accuracy_high (fractions) and the swept
    parameters. swept: by variant, the names of those.
    """
    labels = {
        variant: [", ".join(f"{key} {row[key]}" for key in swept[variant]) or "as it is" for _, row in table.iterrows()]
        for variant, table in tables.items()
    }
    names_width = widest([label for each in labels.values() for label in each], 8)
    rows = sum(len(table) for table in tables.values())
    figure = new_figure(
        "Test accuracy over the sweep",
        "Bars: 95 % intervals.",
        HEAD + ROW * rows + BETWEEN * len(tables) + 0.1,
    )
    left, numbers = MARGIN + names_width + 0.15, 0.8
    top = HEAD + 0.1
    first = None
    for variant, table in tables.items():
        height = ROW * len(table)
        axes = axes_at(figure, left, top, WIDTH - MARGIN - numbers - left, height)
        if first is not None:
            axes.sharex(first)
        first = first or axes
        middle, low, high = (100 * table[key].to_numpy() for key in ("accuracy", "accuracy_low", "accuracy_high"))
        places = range(len(table))
        axes.errorbar(middle, places, xerr=[middle - low, high - middle], fmt="o", color=TEST, capsize=3, markersize=5)
        axes.set_ylim(len(table) - 0.5, -0.5)
        axes.set_yticks(places, labels[variant])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        write(figure, MARGIN, top - 0.15, variant, weight="bold")
        for place, accuracy in zip(places, table["accuracy"], strict=True):
            write(figure, WIDTH - MARGIN, top + ROW * (place + 0.5), percent(accuracy), ha="right", color=QUIET, size=8)
        top += height + BETWEEN
    if first is not None:
        axes.set_xlabel("test accuracy, %")
    scores = [
        f"{variant} with {label} {percent(accuracy)}"
        for variant, table in tables.items()
        for label, accuracy in zip(labels[variant], table["accuracy"], strict=True)
    ]
    alt = f"Test accuracy of each experiment with its 95 % interval: {', '.join(scores)}."
    return Picture(figure, "Test accuracy over the sweep", alt)
