"""Probabilities to metrics, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, recall_score

from glyphline.evaluation.numbers import DIGITS

CONFIDENCE_LEVEL = 0.95
CALIBRATION_BINS = 15  # as in Guo et al. 2017
SMALLEST_PROBABILITY = 1e-7  # as Keras clips probabilities before it takes the logarithm

Labels = NDArray[np.uint8]
Probabilities = NDArray[np.float32]


def score(labels: Labels, probabilities: Probabilities) -> dict[str, Any]:
    """The metrics of one variant: (n,) labels against (n, classes) probabilities.

    accuracy and balanced_accuracy, the mean recall of the classes that occur, with their 95 % intervals; loss, the mean
    cross-entropy in nats; calibration_error; n.
    """
    predicted = probabilities.argmax(axis=1)
    n = len(labels)
    correct = int((predicted == labels).sum())
    low, high = wilson_interval(correct / n, n)
    balanced, effective_n = balanced_accuracy(labels, predicted)
    balanced_low, balanced_high = wilson_interval(balanced, effective_n)
    return {
        "accuracy": round(correct / n, DIGITS),
        "accuracy_low": round(low, DIGITS),
        "accuracy_high": round(high, DIGITS),
        "balanced_accuracy": round(balanced, DIGITS),
        "balanced_accuracy_low": round(balanced_low, DIGITS),
        "balanced_accuracy_high": round(balanced_high, DIGITS),
        "loss": round(cross_entropy(labels, probabilities), DIGITS),
        "calibration_error": round(calibration_error(labels, probabilities), DIGITS),
        "n": n,
    }


def spread(labels: Labels, of_seeds: Sequence[Probabilities]) -> dict[str, Any]:
    """Mean and sample standard deviation of both accuracies over the probabilities that several seeds' networks gave.

    (n,) labels against (n, classes) probabilities of each.
    """
    predicted = [probabilities.argmax(axis=1) for probabilities in of_seeds]
    accuracies = {
        "accuracy": [float((each == labels).mean()) for each in predicted],
        "balanced_accuracy": [balanced_accuracy(labels, each)[0] for each in predicted],
    }
    metrics: dict[str, Any] = {"n": len(predicted)}
    for name, values in accuracies.items():
        metrics[f"{name}_mean"] = round(float(np.mean(values)), DIGITS)
        metrics[f"{name}_sd"] = round(float(np.std(values, ddof=1)), DIGITS)
    return metrics


def balanced_accuracy(labels: Labels, predicted: NDArray[np.intp]) -> tuple[float, float]:
    """The mean recall of the classes that occur among the labels, and how many images' worth of evidence it rests on.

    That effective sample size (L. Kish, Survey Sampling, 1965) is the number of images whose plain accuracy, if it were
    as high, would vary as much. Each recall varies as the few or many images of its class make it.
    """
    occurring, n = np.unique(labels, return_counts=True)
    recalls = recall_score(labels, predicted, labels=occurring, average=None, zero_division=0.0)
    balanced = float(recalls.mean())
    variance = float((recalls * (1 - recalls) / n).sum()) / len(n) ** 2
    if variance == 0:  # each class all right or all wrong: as if all recalls were alike
        return balanced, len(n) ** 2 / float((1 / n).sum())
    return balanced, balanced * (1 - balanced) / variance


def wilson_interval(proportion: float, n: float) -> tuple[float, float]:
    """The 95 % score interval of a proportion of n (E. B. Wilson, JASA 22, 1927)."""
    z = float(norm.ppf((1 + CONFIDENCE_LEVEL) / 2))
    middle = (proportion + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(proportion * (1 - proportion) / n + z**2 / (4 * n**2))
    return min(max(0.0, middle - half), proportion), max(min(1.0, middle + half), proportion)  # but for rounding


def cross_entropy(labels: Labels, probabilities: Probabilities) -> float:
    """Mean of -ln(probability given to the true class), in nats."""
    given = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.clip(given, SMALLEST_PROBABILITY, 1.0)).mean())


def calibration_error(labels: Labels, probabilities: Probabilities) -> float:
    """Expected calibration error (Guo et al. 2017, arXiv:1706.04599): over 15 equal bins of confidence, the mean
    distance between confidence and accuracy, weighted by the images in the bin. 0 is perfect.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    excess = np.bincount(bins, weights=confidence - correct, minlength=CALIBRATION_BINS)
    return float(np.abs(excess).sum() / len(labels))


def confusion_table(labels: Labels, probabilities: Probabilities, class_names: list[str]) -> pd.DataFrame:
    """Counts: a row for each true class, a column for each predicted one."""
    counts = confusion_matrix(labels, probabilities.argmax(axis=1), labels=range(len(class_names)))
    return pd.DataFrame(counts, index=pd.Index(class_names, name="true"), columns=class_names)


def per_class(labels: Labels, probabilities: Probabilities, class_names: list[str]) -> pd.DataFrame:
    """Precision, recall and number of images of each class; 0 where a class was never predicted or never occurs."""
    precision, recall, _, n = precision_recall_fscore_support(
        labels, probabilities.argmax(axis=1), labels=range(len(class_names)), zero_division=0.0
    )
    return pd.DataFrame({"class": class_names, "recall": recall, "precision": precision, "n": n}).round(DIGITS)


def worst_errors(labels: Labels, probabilities: Probabilities, most: int) -> NDArray[np.intp]:
    """Positions of the wrongly classified images, those with the highest confidence in the wrong class first."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    return wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:most]
