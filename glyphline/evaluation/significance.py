"""Two classifiers on the same test images: their difference, its interval, and whether chance explains it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIDENCE_LEVEL = 0.95
RANDOM_SWAPS = 19_999  # of the test on balanced accuracy; its smallest p-value is 1 / 20,000

Flags = NDArray[np.bool_]
PerClass = NDArray[Any]


@dataclass(frozen=True)
class Paired:
    """What changed between two classifiers on the same n images.

    lost: images right before and wrong after; gained: wrong before and right after. difference: after minus before, as
    a fraction, from `low` to `high` with 95 % confidence. p_value: two-sided, of a difference as large by chance alone.
    """

    n: int
    lost: int
    gained: int
    difference: float
    low: float
    high: float
    p_value: float


def compare(before: Flags, after: Flags) -> Paired:
    """The difference in accuracy. before, after: (n,) bool, whether each image was right, the same order in both.

    The test is the exact one of Q. McNemar (Psychometrika 12, 1947): if nothing but chance is at work, an image that
    changed is as likely lost as gained, so `gained` is binomial with probability 1/2. Raises ValueError for flags that
    do not pair.
    """
    from scipy.stats import binomtest

    _check(before, after)
    n = len(before)
    lost, gained = int((before & ~after).sum()), int((~before & after).sum())
    low, high = difference_interval(lost / n, gained / n, n)
    p_value = float(binomtest(gained, lost + gained).pvalue) if lost + gained else 1.0
    return Paired(n, lost, gained, (gained - lost) / n, low, high, p_value)


def compare_balanced(before: Flags, after: Flags, labels: NDArray[np.integer]) -> Paired:
    """The difference in balanced accuracy, the mean recall of the classes that occur; labels: (n,) true classes.

    An image of a class of n_k images out of K classes weighs 1 / (K n_k). The interval is that of difference_interval()
    with the weighted shares of lost and gained images, and the sample size that would make a plain share vary as much
    (L. Kish, Survey Sampling, 1965), as in scoring.balanced_accuracy(). The test swaps before and after of each image
    at random (R. A. Fisher, The Design of Experiments, 1935): with classes of one size that is McNemar's, exact;
    otherwise it counts the swaps, drawn with a fixed seed, whose difference is at least as large (B. Phipson and
    G. K. Smyth, Statistical Applications in Genetics and Molecular Biology 9, 2010). Raises ValueError as compare()
    does.
    """
    _check(before, after)
    if labels.shape != before.shape:
        raise ValueError(f"{labels.shape} labels for {before.shape} flags")
    _, members, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    lost = np.bincount(members, weights=before & ~after, minlength=len(sizes))
    gained = np.bincount(members, weights=~before & after, minlength=len(sizes))
    shares_lost, shares_gained = lost / sizes, gained / sizes
    low, high = difference_interval(
        float(shares_lost.mean()), float(shares_gained.mean()), _effective_n(shares_lost, shares_gained, sizes)
    )
    plain = compare(before, after)
    p_value = plain.p_value if len(set(sizes)) == 1 else _swap_test(lost, gained, sizes)
    difference = float((shares_gained - shares_lost).mean())
    return Paired(plain.n, plain.lost, plain.gained, difference, low, high, p_value)


def difference_interval(lost: float, gained: float, n: float) -> tuple[float, float]:
    """The 95 % interval of gained - lost, two shares of the same n images.

    Wald's interval after one more image lost and one more gained (D. G. Bonett and R. M. Price, Adjusted Wald
    confidence interval for a difference of binomial proportions based on paired data, Journal of Educational and
    Behavioral Statistics 37, 2012), which keeps its confidence where few images or none changed.
    """
    from scipy.stats import norm

    lost, gained = (n * lost + 1) / (n + 2), (n * gained + 1) / (n + 2)
    middle = gained - lost
    half = float(norm.ppf((1 + CONFIDENCE_LEVEL) / 2)) * math.sqrt((lost + gained - middle**2) / (n + 2))
    return max(-1.0, middle - half), min(1.0, middle + half)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for their number: below 0.05, all together have at most 5 % chance of any false alarm.

    S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, position in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[position]))
        adjusted[position] = largest
    return adjusted


def _check(before: Flags, after: Flags) -> None:
    if before.dtype != np.bool_ or after.dtype != np.bool_:
        raise ValueError(f"flags are bool, but these are {before.dtype} and {after.dtype}")
    if before.ndim != 1 or before.shape != after.shape or not len(before):
        raise ValueError(f"one flag each for the same images, at least one: {before.shape} and {after.shape}")


def _effective_n(lost: PerClass, gained: PerClass, sizes: PerClass) -> float:
    """How many images' worth of evidence the mean of the classes' differences rests on."""
    variance = float(((lost + gained - (gained - lost) ** 2) / sizes).sum()) / len(sizes) ** 2
    if variance == 0:  # each class changed in no image or in all: as if all classes were alike
        return len(sizes) ** 2 / float((1 / sizes).sum())
    lost_share, gained_share = float(lost.mean()), float(gained.mean())
    return (lost_share + gained_share - (gained_share - lost_share) ** 2) / variance


def _swap_test(lost: PerClass, gained: PerClass, sizes: PerClass) -> float:
    changed = (lost + gained).astype(np.int64)
    random = np.random.default_rng(0).binomial(changed, 0.5, size=(RANDOM_SWAPS, len(sizes)))
    swapped = np.abs(((2 * random - changed) / sizes).sum(axis=1))
    observed = abs(float(((gained - lost) / sizes).sum()))
    as_large = int((swapped >= observed * (1 - 1e-9)).sum())  # but for rounding
    return (as_large + 1) / (RANDOM_SWAPS + 1)
