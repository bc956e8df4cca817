"""The noise that comes from training again with another seed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from glyphline.evaluation.significance import CONFIDENCE_LEVEL


@dataclass(frozen=True)
class Spread:
    """A metric over n trainings that differ in their seed alone: mean and sample standard deviation, fractions.

    A variant that was trained once has n = 1, that one value as its mean, and an sd of None.
    """

    n: int
    mean: float
    sd: float | None


@dataclass(frozen=True)
class MeanDifference:
    """The difference of two means, after minus before, its 95 % interval, and the two-sided p-value."""

    difference: float
    low: float
    high: float
    p_value: float


def compare_means(before: Spread, after: Spread) -> MeanDifference | None:
    """Whether training again explains the difference; None where neither side was trained more than once.

    Both with a spread: B. L. Welch's test (Biometrika 34, 1947), which lets them differ. One with a spread: the single
    run of the other is held against it as one more value of the same spread (J. R. Crawford and D. C. Howell, The
    Clinical Neuropsychologist 12, 1998).
    """
    from scipy.stats import t

    if before.sd is None and after.sd is None:
        return None
    shares = [(spread.sd**2 / spread.n, spread.n) for spread in (before, after) if spread.sd is not None]
    variance = sum(share for share, _ in shares)
    difference = after.mean - before.mean
    if not variance:  # every run gave the same: then any difference is beyond this noise
        return MeanDifference(difference, difference, difference, 1.0 if difference == 0 else 0.0)
    freedom = variance**2 / sum(share**2 / (n - 1) for share, n in shares)
    if len(shares) == 1:
        variance += shares[0][0] * shares[0][1]
    error = math.sqrt(variance)
    half = float(t.ppf((1 + CONFIDENCE_LEVEL) / 2, freedom)) * error
    p_value = 2 * float(t.sf(abs(difference) / error, freedom))
    return MeanDifference(difference, difference - half, difference + half, p_value)
