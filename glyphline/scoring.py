"""Probabilities to metrics, with intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, recall_score

CONFIDENCE_LEVEL = 0.95
CALIBRATION_BINS = 15  # as in Guo et al. 2017
SMALLEST_PROBABILITY = 1e-7  # as Keras clips probabilities before it takes the logarithm
DIGITS = 6  # decimals kept in metrics

Labels = NDArray[np.uint8]
Probabilities = NDArray[np.float32]


def score(labels: Labels, probabilities: Probabilities) -> dict[str, Any]:
    """The metrics of one variant: (n,) labels against (n, classes) probabilities.

    accuracy with its 95 % Wilson interval; balanced_accuracy, the mean recall of the classes that occur; loss, the mean
    cross-entropy in nats; calibration_error; n.
    """
    predicted = probabilities.argmax(axis=1)
    n = len(labels)
    correct = int((predicted == labels).sum())
    low, high = accuracy_interval(correct, n)
    return {
        "accuracy": round(correct / n, DIGITS),
        "accuracy_low": round(low, DIGITS),
        "accuracy_high": round(high, DIGITS),
        "balanced_accuracy": round(balanced_accuracy(labels, predicted), DIGITS),
        "loss": round(cross_entropy(labels, probabilities), DIGITS),
        "calibration_error": round(calibration_error(labels, probabilities), DIGITS),
        "n": n,
    }


def balanced_accuracy(labels: Labels, predicted: NDArray[np.intp]) -> float:
    """The mean recall of the classes that occur among the labels; predictions of other classes are just wrong."""
    return float(recall_score(labels, predicted, labels=np.unique(labels), average="macro", zero_division=0.0))


def accuracy_interval(correct: int, n: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of an accuracy (Wilson 1927)."""
    interval = binomtest(correct, n).proportion_ci(CONFIDENCE_LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


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
