"""Paired comparisons against published examples, SciPy, values worked out by hand, and made-up worlds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, norm, permutation_test, ttest_ind

from glyphline.evaluation import significance
from glyphline.evaluation.significance import Paired, SeedStatistics

Flags = NDArray[np.bool_]


def flags(both: int, lost: int, gained: int, neither: int) -> tuple[Flags, Flags]:
    """Before and after of so many images right in both, lost, gained, and wrong in both."""
    counts = [both, lost, gained, neither]
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


def test_counts_difference_p_value_and_bonett_and_price_s_interval_are_those_worked_out_by_hand() -> None:
    result = significance.compare(*flags(90, 2, 5, 3))
    assert (result.n, result.lost, result.gained) == (100, 2, 5)
    assert result.difference == pytest.approx(0.03)
    # Two tails of Binomial(7, 1/2): 2 * (1 + 7 + 21) / 128.
    assert result.p_value == pytest.approx(58 / 128)
    # p12 = 6/102 and p21 = 3/102 after one more image each; their difference and its standard error.
    half = norm.ppf(0.975) * ((6 / 102 + 3 / 102 - (3 / 102) ** 2) / 102) ** 0.5
    assert (result.low, result.high) == pytest.approx((3 / 102 - half, 3 / 102 + half))


def test_the_same_classifier_twice_is_no_difference_but_not_a_certain_one() -> None:
    result = significance.compare(*flags(80, 0, 0, 20))
    assert (result.difference, result.p_value) == (0.0, 1.0)
    assert result.low == pytest.approx(-result.high)
    assert 0.02 < result.high < 0.04


def test_before_and_after_exchanged_is_the_opposite_difference() -> None:
    before, after = flags(70, 12, 3, 15)
    labels = np.arange(100) % 7
    for there, back in (
        (significance.compare(before, after), significance.compare(after, before)),
        (significance.compare_balanced(before, after, labels), significance.compare_balanced(after, before, labels)),
    ):
        assert (there.lost, there.gained, there.difference) == (back.gained, back.lost, -back.difference)
        assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
        assert there.p_value == pytest.approx(back.p_value, abs=0.005)


@settings(max_examples=200)
@given(st.tuples(*[st.integers(0, 30)] * 4).filter(any), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_the_interval_holds_the_difference_and_stays_between_minus_1_and_1(
    counts: tuple[int, int, int, int], classes: int, seed: int
) -> None:
    before, after = flags(*counts)
    labels = np.random.default_rng(seed).integers(0, classes, len(before))
    for result in (significance.compare(before, after), significance.compare_balanced(before, after, labels)):
        assert -1 <= result.low <= result.difference <= result.high <= 1
        assert result.low < result.high
        assert 0 < result.p_value <= 1


def test_with_classes_of_one_size_balanced_accuracy_gives_what_accuracy_gives() -> None:
    before, after = flags(70, 12, 3, 15)
    labels = np.random.default_rng(3).permutation(np.arange(100) % 10)
    plain, balanced = significance.compare(before, after), significance.compare_balanced(before, after, labels)
    assert balanced.difference == pytest.approx(plain.difference)
    assert balanced.p_value == plain.p_value
    assert balanced.high - balanced.low == pytest.approx(plain.high - plain.low, rel=0.1)


def test_an_image_of_a_rare_class_weighs_more() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    before = np.ones(100, np.bool_)
    after = before.copy()
    after[-1] = False
    assert significance.compare(before, after).difference == pytest.approx(-0.01)
    assert significance.compare_balanced(before, after, labels).difference == pytest.approx(-0.05)


def test_the_test_on_balanced_accuracy_agrees_with_scipy_s_permutation_test() -> None:
    rng = np.random.default_rng(5)
    labels = rng.choice(4, 120, p=[0.6, 0.25, 0.1, 0.05])
    before, after = rng.random(120) < 0.75, rng.random(120) < 0.9
    sizes = np.bincount(labels)

    def balanced_difference(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
        return float(((other - one) / sizes[labels]).sum() / 4)

    expected = permutation_test(
        (before.astype(float), after.astype(float)),
        balanced_difference,
        permutation_type="samples",
        n_resamples=50_000,
        rng=np.random.default_rng(6),
    )
    assert significance.compare_balanced(before, after, labels).p_value == pytest.approx(expected.pvalue, abs=0.02)


def test_the_same_flags_give_the_same_p_value() -> None:
    rng = np.random.default_rng(1)
    before, after, labels = rng.random(500) < 0.8, rng.random(500) < 0.8, rng.choice(3, 500, p=[0.7, 0.2, 0.1])
    assert significance.compare_balanced(before, after, labels) == significance.compare_balanced(before, after, labels)


def world(seed: int, lost: NDArray[np.float64], gained: NDArray[np.float64], sizes: NDArray[np.int64]) -> Paired:
    """One draw of a world in which an image of class k is lost or gained with these probabilities."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    draw = rng.random(len(labels))
    is_lost = draw < lost[labels]
    is_gained = ~is_lost & (draw < (lost + gained)[labels])
    return significance.compare_balanced(~is_gained, ~is_lost, labels)


@pytest.fixture
def few_swaps(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a thousand worlds, a p-value to the third decimal will do."""
    monkeypatch.setattr(significance, "RANDOM_SWAPS", 999)


SIZES = {"alike": np.full(10, 100), "imbalanced": np.geomspace(400, 30, 10).astype(np.int64)}


@pytest.mark.usefixtures("few_swaps")
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("share", [0.002, 0.02])
def test_of_a_thousand_equally_good_pairs_at_most_a_twentieth_is_a_false_alarm(sizes: str, share: float) -> None:
    shares = np.full(10, share)
    results = [world(seed, shares, shares, SIZES[sizes]) for seed in range(1000)]
    assert np.mean([result.p_value < 0.05 for result in results]) <= 0.06


@pytest.mark.usefixtures("few_swaps")
@pytest.mark.parametrize("sizes", SIZES)
def test_the_interval_covers_the_truth_nineteen_times_in_twenty(sizes: str) -> None:
    lost, gained = np.linspace(0.01, 0.05, 10), np.linspace(0.04, 0.01, 10)
    truth = float((gained - lost).mean())
    results = [world(seed, lost, gained, SIZES[sizes]) for seed in range(1000)]
    assert 0.93 < np.mean([result.low <= truth <= result.high for result in results]) < 0.98


def test_a_real_difference_of_two_points_is_found() -> None:
    results = [world(seed, np.full(10, 0.01), np.full(10, 0.03), SIZES["alike"]) for seed in range(200)]
    assert np.mean([result.p_value < 0.05 and result.low > 0 for result in results]) > 0.8


def test_holm_s_adjustment_is_the_one_worked_out_by_hand() -> None:
    # Sorted: 0.005 * 4, 0.01 * 3, 0.03 * 2, then 0.04 * 1, which may not fall below 0.06.
    assert significance.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert significance.holm([]) == []
    assert significance.holm([0.2]) == [0.2]
    assert significance.holm([0.7, 0.6]) == [1.0, 1.0]
    assert significance.holm([0.02, 0.5, 0.02]) == pytest.approx([0.06, 0.5, 0.06])


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_keeps_the_order_and_is_no_milder_than_controlling_discoveries(p_values: list[float]) -> None:
    adjusted = significance.holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()
    if p_values:
        assert (np.array(adjusted) >= false_discovery_control(p_values) - 1e-12).all()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (np.ones(3, np.bool_), np.ones(4, np.bool_)),
        (np.ones(0, np.bool_), np.ones(0, np.bool_)),
        (np.ones((2, 2), np.bool_), np.ones((2, 2), np.bool_)),
        (np.array([0, 1]), np.array([0, 1])),
    ],
)
def test_flags_that_do_not_pair_are_refused(before: Flags, after: Flags) -> None:
    with pytest.raises(ValueError, match="flag"):
        significance.compare(before, after)


def test_labels_of_other_images_are_refused() -> None:
    with pytest.raises(ValueError, match="labels"):
        significance.compare_balanced(np.ones(3, np.bool_), np.ones(3, np.bool_), np.arange(4))


def statistics(values: NDArray[np.float64]) -> SeedStatistics:
    return SeedStatistics(len(values), float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else None)


def test_the_means_of_two_sides_with_seeds_are_compared_by_welch_s_test_as_scipy_does() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(0.97, 0.002, 6), rng.normal(0.972, 0.005, 4)
    expected = ttest_ind(other, one, equal_var=False)
    result = significance.compare_means(statistics(one), statistics(other))
    assert result is not None
    assert (result.p_value, result.difference) == pytest.approx((expected.pvalue, other.mean() - one.mean()))
    assert (result.low, result.high) == pytest.approx(tuple(expected.confidence_interval()))


@pytest.mark.parametrize("turned", [False, True])
def test_a_single_run_is_held_against_the_standard_deviation_of_the_other_side(turned: bool) -> None:
    # Student's t with 4 degrees of freedom: its 97.5 % point is 2.7764.
    single, several = SeedStatistics(1, 0.98, None), SeedStatistics(5, 0.97, 0.004)
    result = significance.compare_means(*((several, single) if turned else (single, several)))
    assert result is not None
    half = 2.7764 * 0.004 * (1 + 1 / 5) ** 0.5
    assert result.difference == pytest.approx(0.01 if turned else -0.01)
    assert (result.high - result.low) / 2 == pytest.approx(half, rel=1e-4)
    assert 0.05 < result.p_value < 0.2


@pytest.mark.parametrize(("n", "sd"), [(1, None), (2, 0.01)])
def test_fewer_than_three_seeds_on_both_sides_tell_nothing(n: int, sd: float | None) -> None:
    single, few = SeedStatistics(1, 0.97, None), SeedStatistics(n, 0.99, sd)
    assert significance.compare_means(single, few) is None
    assert significance.compare_means(few, few) is None


def test_seeds_that_all_give_the_same_make_any_difference_certain() -> None:
    before, after = SeedStatistics(3, 0.5, 0.0), SeedStatistics(3, 0.75, 0.0)
    assert significance.compare_means(before, before) == significance.MeanDifference(0.0, 0.0, 0.0, 1.0)
    assert significance.compare_means(before, after) == significance.MeanDifference(0.25, 0.25, 0.25, 0.0)


@pytest.mark.parametrize("runs", [(5, 5), (3, 3), (5, 1), (1, 3), (2, 8)])
def test_training_again_is_a_false_alarm_at_most_once_in_twenty(runs: tuple[int, int]) -> None:
    """Of two equal recipes, trained so many times before and after."""
    rng = np.random.default_rng(1)
    reviews = 2000
    results = [
        significance.compare_means(*(statistics(rng.normal(0.97, 0.004, n)) for n in runs)) for _ in range(reviews)
    ]
    assert sum(result.p_value < 0.05 for result in results if result) < 0.065 * reviews
    assert all(results)
