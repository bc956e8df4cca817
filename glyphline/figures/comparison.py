"""All variants at a glance."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from glyphline.evaluation.numbers import percent, short, signed
from glyphline.figures.learning import draw_curves, number_epochs, write_legend
from glyphline.figures.style import (
    FAINT,
    HEAD,
    INK,
    MARGIN,
    QUIET,
    TEST,
    VALIDATION,
    WIDTH,
    Picture,
    axes_at,
    new_figure,
    styled,
    widest,
    write,
)

SLANT = 45  # degrees, of the names above the points
SMALLEST_LOSS = 1e-6  # histories keep six decimals, and a logarithm needs more than 0


@styled
def accuracy_vs_cost(variants: pd.DataFrame, dataset: str, metric: str = "accuracy") -> Picture:
    """Test accuracy with its 95 % interval against the number of parameters and of multiply-adds.

    variants: a row a variant, its name the index; columns <metric>, <metric>_low, <metric>_high (fractions),
    parameters and multiply_adds (of one image). metric: accuracy or balanced_accuracy.
    """
    metric_name = metric.replace("_", " ")
    names_width = widest(map(str, variants.index), 8)
    slanted = math.radians(SLANT)
    above = names_width * math.sin(slanted) + 0.85
    height = 2.2
    left, width = MARGIN + 0.45, WIDTH - 2 * MARGIN - 0.45 - names_width * math.cos(slanted)
    figure = new_figure(
        f"Test {metric_name} against the size and the work of the network",
        f"{dataset}. Bars: 95 % intervals. Where variants cost the same, their points stand side by side.",
        HEAD - 0.25 + 2 * (above + height + 0.5) + 0.1,
    )
    for position, (cost, name) in enumerate(
        (("parameters", "number of parameters"), ("multiply_adds", "multiply-adds for one image"))
    ):
        top = HEAD - 0.25 + position * (above + height + 0.5) + above
        _draw_cost(figure, variants, metric, cost, (left, top, width, height)).set_xlabel(name)
        write(figure, MARGIN, top - above + 0.25, f"test {metric_name}, %, by {name}", weight="bold")
    by_size = variants.sort_values("parameters", kind="stable")[metric]
    alt = (
        f"Two charts of test {metric_name} with its 95 % interval, against the number of parameters and against "
        "multiply-adds for one image. From the fewest parameters to the most: "
        f"{', '.join(f'{variant} {percent(value)}' for variant, value in by_size.items())}."
    )
    return Picture(figure, "What accuracy costs", alt)


def _draw_cost(
    figure: Figure, variants: pd.DataFrame, metric: str, cost: str, box: tuple[float, float, float, float]
) -> Axes:
    left, top, width, height = box
    table = variants.sort_values(cost, kind="stable")
    logs = np.log10(np.maximum(table[cost].to_numpy(np.float64), 1))
    margin = max(0.08 * float(np.ptp(logs)), 0.15)
    lowest, highest = float(logs.min()) - margin, float(logs.max()) + margin
    scale = width / (highest - lowest)  # inches a decade
    points = keep_apart((logs - lowest) * scale, 0.1, width)
    labels = keep_apart(points, 0.22, width)

    axes = axes_at(figure, left, top, width, height)
    axes.set_xscale("log")
    axes.set_xlim(10**lowest, 10**highest)
    middle, low, high = (100 * table[f"{metric}{end}"].to_numpy() for end in ("", "_low", "_high"))
    room = max(0.06 * float(high.max() - low.min()), 0.01)
    axes.set_ylim(low.min() - room, min(high.max() + room, 100 + room))
    axes.errorbar(
        10 ** (lowest + points / scale),
        middle,
        yerr=np.stack([middle - low, high - middle]),
        fmt="o",
        color=TEST,
        markersize=6,
        elinewidth=1.6,
        capsize=3,
    )
    axes.yaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if highest - lowest < 2.5 else (1,)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.grid(False, axis="x")
    from_top = (axes.get_ylim()[1] - high) / (axes.get_ylim()[1] - axes.get_ylim()[0]) * height
    lines = axes_at(figure, left, top - 0.3, width, height + 0.3, bare=True)
    lines.set_zorder(-1)
    axes.patch.set_visible(False)
    for name, point, label, end in zip(table.index, left + points, left + labels, from_top, strict=True):
        bends = [top + end, top - 0.02, top - 0.2, top - 0.27]
        lines.plot([point, point, label, label], bends, color="#BDBDBD", linewidth=0.7, clip_on=False)
        write(
            figure, label, top - 0.3, str(name), size=8, rotation=SLANT, rotation_mode="anchor", ha="left", va="bottom"
        )
    return axes


def keep_apart(places: NDArray[np.float64], gap: float, width: float) -> NDArray[np.float64]:
    """Move ascending places so that neighbours are at least `gap` apart, by the least sum of squared moves.

    They stay between 0 and `width`, and are nearer to each other where there is no room for all.
    """
    gap = min(gap, width / max(len(places) - 1, 1))
    steps = gap * np.arange(len(places))
    apart: NDArray[np.float64] = np.clip(isotonic_regression(places - steps).x, 0, width - steps[-1]) + steps
    return apart


@styled
def overfitting(histories: Mapping[str, pd.DataFrame], best_epochs: Mapping[str, int], dataset: str) -> Picture:
    """Train and validation loss of every variant on the same scales, and how far they are apart in the end.

    histories: by variant, as `curves` takes them. best_epochs: by variant, the one with the lowest validation loss.
    """
    columns = min(3, len(histories))
    rows = -(-len(histories) // columns)
    left, between, height, step = MARGIN + 0.4, 0.2, 1.35, 1.7
    width = (WIDTH - left - MARGIN - (columns - 1) * between) / columns
    gaps_top = HEAD + 0.2 + rows * step + 0.85
    figure = new_figure(
        "Overfitting: how far validation loss stands above train loss",
        f"{dataset}. Loss in nats.",
        gaps_top + 0.3 * len(histories) + 0.7,
    )
    longest = max(len(history) for history in histories.values())
    first: Axes | None = None
    for index, (name, history) in enumerate(histories.items()):
        row, column = divmod(index, columns)
        box = (left + column * (width + between), HEAD + 0.2 + row * step, width, height)
        axes = axes_at(figure, *box, share=first)
        _draw_losses(axes, history, best_epochs[name])
        write(figure, box[0], box[1] - 0.12, name, weight="bold")
        none_below = index + columns >= len(histories)
        axes.tick_params(labelleft=column == 0, labelbottom=none_below)
        if none_below:
            axes.set_xlabel("epoch", labelpad=2)
        first = first or axes
    assert first is not None
    number_epochs(first, longest)
    lowest, highest = first.get_ylim()
    first.yaxis.set_major_locator(LogLocator(subs=(1,) if highest > 30 * lowest else (1, 2, 5)))
    write_legend(figure, first)
    _draw_gaps(figure, histories, best_epochs, gaps_top)
    gaps = {name: float((each["validation_loss"] - each["loss"]).iloc[-1]) for name, each in histories.items()}
    most, least = max(gaps, key=gaps.__getitem__), min(gaps, key=gaps.__getitem__)
    alt = (
        "Line charts of train and validation loss over the epochs, one for each variant, and below them the distance "
        f"of the two. At the last epoch it is largest for {most}, {signed(gaps[most], 3)} nats, and smallest for "
        f"{least}, {signed(gaps[least], 3)} nats."
    )
    return Picture(figure, "Overfitting", alt)


def _draw_losses(axes: Axes, history: pd.DataFrame, best_epoch: int) -> None:
    clipped = history.assign(**{name: history[name].clip(lower=SMALLEST_LOSS) for name in ("loss", "validation_loss")})
    axes.set_yscale("log")
    axes.fill_between(
        clipped["epoch"],
        clipped["loss"],
        clipped["validation_loss"],
        where=clipped["validation_loss"] > clipped["loss"],
        interpolate=True,
        color=VALIDATION,
        alpha=0.15,
        linewidth=0,
    )
    draw_curves(axes, clipped, "loss", best_epoch)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _draw_gaps(
    figure: Figure, histories: Mapping[str, pd.DataFrame], best_epochs: Mapping[str, int], top: float
) -> None:
    """Validation minus train loss of each variant, at its best epoch and at its last, as points and as numbers."""
    names_width = widest(histories, 9) + 0.15
    left, numbers = MARGIN + names_width, 2.6
    height = 0.3 * len(histories)
    axes = axes_at(figure, left, top, WIDTH - MARGIN - left - numbers, height)
    write(figure, MARGIN, top - 0.42, "validation loss minus train loss", weight="bold")
    at_best_column, at_last_column = WIDTH - MARGIN - 1.35, WIDTH - MARGIN
    write(figure, at_best_column, top - 0.15, "◇ best epoch", ha="right", size=8, color=QUIET)
    write(figure, at_last_column, top - 0.15, "● last epoch", ha="right", size=8, color=QUIET)
    for row, (name, history) in enumerate(histories.items()):
        gaps = (history["validation_loss"] - history["loss"]).set_axis(history["epoch"])
        best, last = best_epochs[name], int(history["epoch"].iloc[-1])
        axes.plot(gaps[[best, last]], [row, row], color=FAINT, linewidth=2.5, zorder=1)
        axes.plot(gaps[last], row, "o", color=VALIDATION, markersize=8, zorder=2, label=f"{name} at last")
        axes.plot(
            gaps[best],
            row,
            "D",
            markerfacecolor="white",
            markeredgecolor=INK,
            markersize=5,
            zorder=3,
            label=f"{name} at best",
        )
        middle = top + 0.3 * (row + 0.5)
        for right, epoch in ((at_best_column, best), (at_last_column, last)):
            write(figure, right - 0.6, middle, signed(gaps[epoch], 3), ha="right")
            write(figure, right, middle, f"at {epoch}", ha="right", color=QUIET, size=8)
    axes.axvline(0, color=QUIET, linewidth=0.9, zorder=1)
    axes.set_ylim(len(histories) - 0.5, -0.5)
    axes.set_yticks(range(len(histories)), list(histories), size=9)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("nats")
