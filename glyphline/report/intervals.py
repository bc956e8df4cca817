"""Where the marks of a column of intervals stand: each a point with its 95 % interval, all on one scale."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WIDTH = 150  # units of the drawing, pixels at its natural size
INSET = 8  # on the left and on the right, for the end of a mark and half a label
MOST_TICKS = 4
SMALLEST = 1e-6  # difference that metrics show: they have six decimals


@dataclass(frozen=True)
class Mark:
    """Places from the left of the drawing."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class Scale:
    """From fraction `lowest` at the left to `highest` at the right. best: where the winner's interval stands."""

    lowest: float
    highest: float
    ticks: list[tuple[float, str]]
    best: Mark
    width: int = WIDTH

    def mark(self, metrics: Mapping[str, Any], metric: str) -> Mark:
        return _mark(metrics, metric, self.lowest, self.highest)


def scale_of(test: Mapping[str, Mapping[str, Any]], metric: str, winner: str) -> Scale:
    """A scale that holds the intervals of all variants. test: by variant, its metrics."""
    lowest = min(float(each[f"{metric}_low"]) for each in test.values())
    highest = max(float(each[f"{metric}_high"]) for each in test.values())
    if highest - lowest < SMALLEST:
        lowest, highest = lowest - 0.01, highest + 0.01
    step = _step(highest - lowest)
    first = math.ceil(lowest / step - 1e-9)
    last = math.floor(highest / step + 1e-9)
    decimals = max(0, -math.floor(math.log10(100 * step) + 1e-9))
    ticks = [
        (_place(number * step, lowest, highest), f"{100 * number * step:.{decimals}f}")
        for number in range(first, last + 1)
    ]
    return Scale(lowest, highest, ticks, _mark(test[winner], metric, lowest, highest))


def _step(length: float) -> float:
    """The least of 1, 2 and 5 times a power of ten that divides a length into few parts."""
    scale = 10.0 ** math.floor(math.log10(length / MOST_TICKS))
    return next(scale * factor for factor in (1, 2, 5, 10) if scale * factor * MOST_TICKS >= length)


def _mark(metrics: Mapping[str, Any], metric: str, lowest: float, highest: float) -> Mark:
    low, middle, high = (_place(float(metrics[f"{metric}{end}"]), lowest, highest) for end in ("_low", "", "_high"))
    return Mark(low, middle, high)


def _place(fraction: float, lowest: float, highest: float) -> float:
    return round(INSET + (WIDTH - 2 * INSET) * (fraction - lowest) / (highest - lowest), 1)
