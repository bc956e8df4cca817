"""Whether a difference between two results is more than noise: the one rule for "better", "worse", "within noise".

There are two kinds of noise. Other test images would give another accuracy: compare() and compare_balanced() test that
on the images that both results share. And so would another seed of the training: compare_means() tests the means over
the seeds, where there are enough. judge() puts both together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIDENCE_LEVEL = 0.95
SIGNIFICANCE = 0.05  # of all comparisons together
FEWEST_SEEDS = 3  # from which on their standard deviation says enough to call a difference noise
RANDOM_SWAPS = 19_999  # of the test on balanced accuracy; its smallest p-value is 1 / 20,000

Flags = NDArray[np.bool_]
PerClass = NDArray[Any]


class Verdict(StrEnum):
    """What a difference in a metric amounts to."""

    BETTER = "better"
    WORSE = "worse"
    WITHIN_NOISE = "within noise"
    UNCHANGED = "unchanged"
    NOT_TESTED = "not tested"
    NOT_COMPARABLE = "not comparable"


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


@dataclass(frozen=True)
class SeedStatistics:
    """A metric over n trainings that differ in their seed alone: mean and sample standard deviation, fractions.

    A variant that was trained once has n = 1, that one value as its mean, and an sd of None.
    """

    n: int
    mean: float
    sd: float | None

    @classmethod
    def of(cls, scores: Mapping[str, Any], metric: str) -> SeedStatistics:
        """Those of a variant, from its entry in metrics/test.json."""
        seeds = scores.get("seeds", {})
        if f"{metric}_mean" not in seeds:
            return cls(1, scores[metric], None)
        return cls(seeds["n"], seeds[f"{metric}_mean"], seeds[f"{metric}_sd"])


@dataclass(frozen=True)
class MeanDifference:
    """The difference of two means, after minus before, its 95 % interval, and the two-sided p-value."""

    difference: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class Compared:
    """Two results in one metric. images, seeds: what judge() was given.

    p_value: of both together, adjusted for the number of comparisons.
    """

    images: Paired
    seeds: MeanDifference | None
    p_value: float
    verdict: Verdict


def judge(differences: Sequence[tuple[Paired, MeanDifference | None]]) -> list[Compared]:
    """The verdicts on several differences, each on the same test images and between the means over seeds (or None).

    The p-value of each is that of the claim that neither kind of noise explains it: the larger one of the two tests
    (R. L. Berger, Multiparameter hypothesis testing and acceptance sampling, Technometrics 24, 1982), and 1 where they
    say the opposite of each other. All are adjusted by holm() for the number of differences in which any image was lost
    or gained: the others cannot raise a false alarm (R. E. Tarone, A modified Bonferroni method for discrete data,
    Biometrics 46, 1990).
    """

    def of_both(images: Paired, seeds: MeanDifference | None) -> float:
        if seeds is None:
            return images.p_value
        return max(images.p_value, seeds.p_value) if images.difference * seeds.difference > 0 else 1.0

    moved = [images.lost + images.gained > 0 for images, _ in differences]
    adjusted = iter(holm([of_both(*each) for each, has_moved in zip(differences, moved, strict=True) if has_moved]))
    judged = []
    for (images, seeds), has_moved in zip(differences, moved, strict=True):
        p_value, verdict = next(adjusted) if has_moved else 1.0, Verdict.UNCHANGED
        if has_moved:
            beyond_noise = Verdict.BETTER if images.difference > 0 else Verdict.WORSE
            verdict = beyond_noise if p_value < SIGNIFICANCE else Verdict.WITHIN_NOISE
        judged.append(Compared(images, seeds, p_value, verdict))
    return judged


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
    (L. Kish, Survey Sampling, 1965), as in metrics.balanced_accuracy(). The test swaps before and after of each image
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


def compare_means(before: SeedStatistics, after: SeedStatistics) -> MeanDifference | None:
    """Whether training again explains the difference; None where no side has FEWEST_SEEDS.

    Both have: B. L. Welch's test (Biometrika 34, 1947), which lets their standard deviations differ. One has: its
    standard deviation is taken for the other's too, which with a single run there is the test of J. R. Crawford and
    D. C. Howell (The Clinical Neuropsychologist 12, 1998).
    """
    from scipy.stats import t

    sides = (before, after)
    known = [(side.n, side.sd**2) for side in sides if side.sd is not None and side.n >= FEWEST_SEEDS]
    if not known:
        return None
    difference = after.mean - before.mean
    error = math.sqrt(sum(square / n for n, square in known))
    if not error:  # every run gave the same: then any difference is beyond this noise
        return MeanDifference(difference, difference, difference, 1.0 if difference == 0 else 0.0)
    freedom = error**4 / sum((square / n) ** 2 / (n - 1) for n, square in known)
    if len(known) == 1:
        error = math.sqrt(known[0][1] * sum(1 / side.n for side in sides))
    half = float(t.ppf((1 + CONFIDENCE_LEVEL) / 2, freedom)) * error
    p_value = 2 * float(t.sf(abs(difference) / error, freedom))
    return MeanDifference(difference, difference - half, difference + half, p_value)


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
