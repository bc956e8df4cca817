"""How one variant learned."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glyphline.evaluation.numbers import plural, signed
from glyphline.figures.style import (
    HEAD,
    INK,
    MARGIN,
    QUIET,
    TRAIN,
    VALIDATION,
    WIDTH,
    Picture,
    axes_at,
    epoch_ticks,
    new_figure,
    styled,
    write,
)

# What the lines are labelled.
TRAIN_LINE, VALIDATION_LINE, BEST_LINE = "train", "validation", "best epoch"


@styled
def curves(history: pd.DataFrame, best_epoch: int, variant: str, dataset: str) -> Picture:
    """Train and validation loss and accuracy after each epoch.

    history: a row an epoch, columns epoch (from 1), loss, accuracy, validation_loss, validation_accuracy (fractions).
    best_epoch: the one with the lowest validation loss.
    """
    title = f"{variant}: validation loss is lowest after epoch {best_epoch} of {len(history)}"
    figure = new_figure(title, dataset, height=3.9)
    inset, between, height = 0.4, 0.75, 2.1  # inset: the numbers of the left axis
    width = (WIDTH - 2 * MARGIN - inset - between) / 2
    percentages = history.assign(
        accuracy=100 * history["accuracy"], validation_accuracy=100 * history["validation_accuracy"]
    )
    for column, (measure, name, decimals) in enumerate((("loss", "loss, nats", 3), ("accuracy", "accuracy, %", 1))):
        left, top = MARGIN + inset + column * (width + between), HEAD + 0.35
        axes = axes_at(figure, left, top, width, height)
        draw_curves(axes, percentages, measure, best_epoch)
        number_epochs(axes, len(history))
        axes.set_xlabel("epoch")
        best = percentages.set_index("epoch").loc[best_epoch]
        words = f"best: train {best[measure]:.{decimals}f}, validation {best[f'validation_{measure}']:.{decimals}f}"
        write(figure, left, top - 0.38, name, weight="bold")
        write(figure, left + width, top - 0.38, words, ha="right", color=QUIET, size=8)
        axes.annotate(
            f"epoch {best_epoch}",
            (best_epoch, 1),
            (0, 2),
            xycoords=axes.get_xaxis_transform(),
            textcoords="offset points",
            ha="center",
            va="bottom",
            size=8,
            color=INK,
        )
    loss = figure.axes[0]
    loss.set_ylim(0, 1.05 * loss.get_ylim()[1])
    write_legend(figure, loss)
    last = history.iloc[-1]
    alt = (
        f"Two line charts of {variant}, loss and accuracy after each of {plural(len(history), 'epoch')}, each with a "
        f"line for train and one for validation. Validation loss is lowest after epoch {best_epoch}. At the last epoch "
        f"it is {signed(last['validation_loss'] - last['loss'], 3)} nats from train loss."
    )
    return Picture(figure, "Loss and accuracy over the epochs", alt)


def write_legend(figure: Figure, axes: Axes) -> None:
    """Say which line is which, to the right of the subtitle, for axes that draw_curves drew on."""
    lines = [line for line in axes.get_lines() if line.get_label() in (TRAIN_LINE, VALIDATION_LINE)]
    place = (1 - (MARGIN - 0.05) / WIDTH, 1 - 0.58 / figure.get_figheight())
    figure.legend(handles=lines, loc="center right", ncols=2, bbox_to_anchor=place)


def draw_curves(axes: Axes, history: pd.DataFrame, measure: str, best_epoch: int) -> None:
    """The two lines of a measure, with a dot for each epoch where there are few, and the best one marked."""
    few = len(history) <= 30
    for prefix, name, colour in (("", TRAIN_LINE, TRAIN), ("validation_", VALIDATION_LINE, VALIDATION)):
        values = history[prefix + measure]
        axes.plot(history["epoch"], values, color=colour, label=name, marker="o" if few else "", markersize=3)
        at_best = history["epoch"] == best_epoch
        axes.plot(
            history["epoch"][at_best],
            values[at_best],
            linestyle="",
            marker="o",
            markersize=7,
            markerfacecolor="white",
            markeredgecolor=colour,
            markeredgewidth=1.8,
            zorder=3,
            clip_on=False,
        )
    axes.axvline(best_epoch, color=QUIET, linewidth=0.9, linestyle=(0, (3, 3)), zorder=1, label=BEST_LINE)


def number_epochs(axes: Axes, epochs: int) -> None:
    """An axis of epochs with room around the first and the last of them."""
    room = max(0.5, 0.025 * epochs)
    axes.set_xlim(1 - room, epochs + room)
    axes.set_xticks(epoch_ticks(epochs))
