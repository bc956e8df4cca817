"""Probabilities to metrics, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glyphline.evaluation.metrics import METRICS, measure
from glyphline.evaluation.numbers import DIGITS

CALIBRATION_BINS = 15  # as in Guo et al. 2017
SMALLEST_PROBABILITY = 1e-7  # as Keras clips probabilities before it takes the logarithm

Labels = NDArray[np.uint8] | NDArray[np.uint16]
Probabilities = NDArray[np.float32]


def score(labels: Labels, probabilities: Probabilities) -> dict[str, Any]:
    """The metrics of one variant: (n,) labels against (n, classes) probabilities.

    Each of METRICS with its 95 % interval; loss, the mean cross-entropy in nats; calibration_error; n.
    """
    return measure(labels, probabilities.argmax(axis=1)) | {
        "loss": round(cross_entropy(labels, probabilities), DIGITS),
        "calibration_error": round(calibration_error(labels, probabilities), DIGITS),
        "n": len(labels),
    }


def seed_statistics(labels: Labels, of_seeds: Sequence[Probabilities]) -> dict[str, Any]:
    """Mean and sample standard deviation of each of METRICS over the networks of several seeds.

    (n,) labels against the (n, classes) probabilities of each network.
    """
    measured = [[metric.score(labels, each.argmax(axis=1))[0] for each in of_seeds] for metric in METRICS.values()]
    moments = {
        f"{name}_{moment}": round(float(value), DIGITS)
        for name, values in zip(METRICS, measured, strict=True)
        for moment, value in (("mean", np.mean(values)), ("sd", np.std(values, ddof=1)))
    }
    return {"n": len(of_seeds), **moments}


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
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(labels, probabilities.argmax(axis=1), labels=range(len(class_names)))
    return pd.DataFrame(counts, index=pd.Index(class_names, name="true"), columns=class_names)


def per_class(labels: Labels, probabilities: Probabilities, class_names: list[str]) -> pd.DataFrame:
    """Precision, recall and number of images of each class; 0 where a class was never predicted or never occurs."""
    from sklearn.metrics import precision_recall_fscore_support

    precision, recall, _, n = precision_recall_fscore_support(
        labels, probabilities.argmax(axis=1), labels=range(len(class_names)), zero_division=0.0
    )
    return pd.DataFrame({"class": class_names, "recall": recall, "precision": precision, "n": n}).round(DIGITS)


def worst_errors(labels: Labels, probabilities: Probabilities, most: int) -> NDArray[np.intp]:
    """Positions of the wrongly classified images, those with the highest confidence in the wrong class first."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    return wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:most]


def least_probable_labels(labels: Labels, probabilities: Probabilities, most: int) -> NDArray[np.intp]:
    """Positions of the wrongly classified images, those whose own class is least probable first."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    return wrong[np.argsort(probabilities[wrong, labels[wrong]], kind="stable")][:most]
