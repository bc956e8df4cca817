"""The metrics that rank variants: each with its interval and its test. To add one, add it to METRICS.

From there evaluate, the ranking, the report, the review and the limits of the gate take it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glyphline import paths
from glyphline.errors import ParamsError
from glyphline.evaluation.numbers import DIGITS
from glyphline.evaluation.significance import CONFIDENCE_LEVEL, Paired, compare, compare_balanced

Classes = NDArray[np.integer]


@dataclass(frozen=True)
class Metric:
    """A fraction, the higher the better.

    name: its key in metrics/test.json. meaning, test: for readers, what it is and what tells two results apart.
    score: (n,) labels and (n,) predicted classes to the value and the two ends of its 95 % interval.
    compare: (n,) labels and (n,) classes predicted before and after to the difference.
    """

    name: str
    meaning: str
    test: str
    score: Callable[[Classes, Classes], tuple[float, float, float]]
    compare: Callable[[Classes, Classes, Classes], Paired]

    @property
    def title(self) -> str:
        """Its name in words."""
        return self.name.replace("_", " ")


def measure(labels: Classes, predicted: Classes) -> dict[str, float]:
    """Each of METRICS and its 95 % interval, by their keys in metrics/test.json; both arguments (n,)."""
    return {
        f"{name}{end}": round(value, DIGITS)
        for name, metric in METRICS.items()
        for end, value in zip(("", "_low", "_high"), metric.score(labels, predicted), strict=True)
    }


def check_leading(metric: str, dataset: str) -> None:
    """Raise ParamsError where the leading_metric in a data set's record is not one of METRICS."""
    if metric not in METRICS:
        known = " or ".join(METRICS)
        raise ParamsError(f"{paths.dataset(dataset)}: leading_metric: expected {known}, but it is {metric!r}")


def balanced_accuracy(labels: Classes, predicted: Classes) -> tuple[float, float]:
    """The mean recall of the classes that occur among the labels, and how many images' worth of evidence it rests on.

    That effective sample size (L. Kish, Survey Sampling, 1965) is the number of images whose plain accuracy, if it were
    as high, would vary as much. The fewer images a class has, the more its recall varies.
    """
    from sklearn.metrics import recall_score

    occurring, n = np.unique(labels, return_counts=True)
    recalls = recall_score(labels, predicted, labels=occurring, average=None, zero_division=0.0)
    balanced = float(recalls.mean())
    variance = float((recalls * (1 - recalls) / n).sum()) / len(n) ** 2
    if variance == 0:  # each class all right or all wrong: as if all recalls were alike
        return balanced, len(n) ** 2 / float((1 / n).sum())
    return balanced, balanced * (1 - balanced) / variance


def wilson_interval(proportion: float, n: float) -> tuple[float, float]:
    """The 95 % score interval of a proportion of n (E. B. Wilson, JASA 22, 1927)."""
    from scipy.stats import norm

    z = float(norm.ppf((1 + CONFIDENCE_LEVEL) / 2))
    middle = (proportion + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(proportion * (1 - proportion) / n + z**2 / (4 * n**2))
    return min(max(0.0, middle - half), proportion), max(min(1.0, middle + half), proportion)  # but for rounding


def _with_interval(proportion: float, n: float) -> tuple[float, float, float]:
    return proportion, *wilson_interval(proportion, n)


METRICS = {
    metric.name: metric
    for metric in (
        Metric(
            "accuracy",
            "The share of the test images that get the right class.",
            "McNemar's exact test",
            lambda labels, predicted: _with_interval(float((predicted == labels).mean()), len(labels)),
            lambda labels, before, after: compare(before == labels, after == labels),
        ),
        Metric(
            "balanced_accuracy",
            "The mean of the classes' recalls: each class counts the same, however many images it has.",
            "a test that swaps the two at random, image by image",
            lambda labels, predicted: _with_interval(*balanced_accuracy(labels, predicted)),
            lambda labels, before, after: compare_balanced(before == labels, after == labels, labels),
        ),
    )
}
