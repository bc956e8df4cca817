"""glyphline/review/spread.py against SciPy, and the false alarms of both noises together."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_ind, ttest_ind_from_stats

from glyphline.evaluation.seeds import MeanDifference, Spread, compare_means


def test_two_spreads_are_compared_by_welch_s_test() -> None:
    before, after = Spread(5, 0.97, 0.002), Spread(3, 0.975, 0.004)
    result = compare_means(before, after)
    expected = ttest_ind_from_stats(after.mean, after.sd, after.n, before.mean, before.sd, before.n, equal_var=False)
    assert result is not None
    assert result.p_value == pytest.approx(expected.pvalue)
    assert result.difference == pytest.approx(0.005)


def test_the_interval_is_scipy_s() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(0.97, 0.002, 6), rng.normal(0.972, 0.005, 4)
    expected = ttest_ind(other, one, equal_var=False).confidence_interval()
    result = compare_means(
        Spread(6, float(one.mean()), float(one.std(ddof=1))), Spread(4, float(other.mean()), float(other.std(ddof=1)))
    )
    assert result is not None
    assert (result.low, result.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("turned", [False, True])
def test_a_single_run_is_one_more_value_of_the_other_side_s_spread(turned: bool) -> None:
    # Student's t with 4 degrees of freedom: its 97.5 % point is 2.7764.
    single, several = Spread(1, 0.98, None), Spread(5, 0.97, 0.004)
    result = compare_means(*((several, single) if turned else (single, several)))
    assert result is not None
    half = 2.7764 * 0.004 * (1 + 1 / 5) ** 0.5
    assert result.difference == pytest.approx(0.01 if turned else -0.01)
    assert (result.high - result.low) / 2 == pytest.approx(half, rel=1e-4)
    assert 0.05 < result.p_value < 0.2


def test_two_single_runs_tell_nothing_of_the_spread() -> None:
    assert compare_means(Spread(1, 0.97, None), Spread(1, 0.99, None)) is None


def test_seeds_that_all_give_the_same_make_any_difference_certain() -> None:
    assert compare_means(Spread(2, 0.5, 0.0), Spread(2, 0.5, 0.0)) == MeanDifference(0.0, 0.0, 0.0, 1.0)
    result = compare_means(Spread(2, 0.5, 0.0), Spread(2, 0.75, 0.0))
    assert result == MeanDifference(0.25, 0.25, 0.25, 0.0)


def false_alarms(runs: tuple[int, int], reviews: int) -> float:
    """The share of reviews that call two equal recipes different, trained so many times before and after."""
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(reviews):
        sides = []
        for n in runs:
            values = rng.normal(0.97, 0.004, n)
            sides.append(Spread(n, float(values.mean()), float(values.std(ddof=1)) if n > 1 else None))
        result = compare_means(*sides)
        assert result is not None
        alarms += result.p_value < 0.05
    return alarms / reviews


@pytest.mark.parametrize("runs", [(5, 5), (3, 3), (5, 1), (1, 3)])
def test_training_again_is_a_false_alarm_at_most_once_in_twenty(runs: tuple[int, int]) -> None:
    assert false_alarms(runs, 2000) < 0.065


def test_two_seeds_against_eight_alarm_more_often_as_the_guide_says() -> None:
    assert 0.08 < false_alarms((2, 8), 4000) < 0.10
