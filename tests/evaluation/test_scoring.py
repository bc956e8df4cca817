"""Metrics against values worked out by hand, published formulas, and scikit-learn."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score, log_loss

from glyphline.evaluation import metrics, scoring

# Six images of three classes; the network is right about 0, 2, 3 and 5.
LABELS = np.array([0, 0, 1, 1, 1, 2], np.uint8)
PROBABILITIES = np.array(
    [[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.1, 0.8, 0.1], [0.2, 0.5, 0.3], [0.1, 0.0, 0.9], [0.0, 0.0, 1.0]], np.float32
)
NAMES = ["ka", "ki", "ku"]


def random_case(seed: int, n: int = 200, classes: int = 10) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, n).astype(np.uint8)
    return labels, generator.dirichlet(np.full(classes, 0.3), n).astype(np.float32)


def test_scores_are_those_worked_out_by_hand() -> None:
    metrics = scoring.score(LABELS, PROBABILITIES)
    assert metrics["n"] == 6
    assert metrics["accuracy"] == pytest.approx(4 / 6, abs=1e-6)
    assert metrics["balanced_accuracy"] == pytest.approx((1 / 2 + 2 / 3 + 1) / 3, abs=1e-6)
    given_to_the_truth = [0.7, 0.3, 0.8, 0.5, 1e-7, 1.0]
    assert metrics["loss"] == pytest.approx(-sum(map(math.log, given_to_the_truth)) / 6, abs=1e-5)
    # Alone in its bin each: 0.7 right, 0.6 wrong, 0.8 right, 0.5 right, 0.9 wrong, 1.0 right.
    assert metrics["calibration_error"] == pytest.approx((0.3 + 0.6 + 0.2 + 0.5 + 0.9 + 0.0) / 6, abs=1e-6)


def test_scores_are_plain_numbers_that_json_can_hold() -> None:
    scores = scoring.score(*random_case(1))
    of_metrics = [f"{name}{end}" for name in metrics.METRICS for end in ("", "_low", "_high")]
    assert list(scores) == [*of_metrics, "loss", "calibration_error", "n"]
    assert {type(value) for value in scores.values()} == {float, int}


@pytest.mark.parametrize("metric", metrics.METRICS.values(), ids=lambda metric: str(metric.name))
def test_a_metric_is_a_fraction_within_its_interval_and_its_test_agrees_with_it(metric: metrics.Metric) -> None:
    (labels, before), (_, after) = random_case(1), random_case(2)
    (value, low, high), (other, _, _) = (metric.score(labels, each.argmax(axis=1)) for each in (before, after))
    assert 0 <= low < value < high <= 1
    paired = metric.compare(labels, before.argmax(axis=1), after.argmax(axis=1))
    assert paired.difference == pytest.approx(other - value)
    assert 0 < paired.p_value <= 1


@pytest.mark.parametrize("seed", range(5))
def test_scores_agree_with_scikit_learn(seed: int) -> None:
    labels, probabilities = random_case(seed)
    metrics = scoring.score(labels, probabilities)
    predicted = probabilities.argmax(axis=1)
    assert metrics["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted), abs=1e-6)
    clipped = np.clip(probabilities.astype(np.float64), 1e-7, 1.0)
    clipped /= clipped.sum(axis=1, keepdims=True)
    assert metrics["loss"] == pytest.approx(log_loss(labels, clipped, labels=range(10)), abs=1e-4)


@pytest.mark.parametrize(
    ("sizes", "wrong", "balanced", "effective_n"),
    [
        ([98, 2], range(98, 100), 0.5, None),
        ([1000] * 10, range(0, 10_000, 20), 0.95, 10_000),  # as many as there are, as for plain accuracy
        ([990, 10], (), 1, 4 / (1 / 990 + 1 / 10)),  # rests on the images of the rare class
        ([2, 2, 0], [1], 0.75, None),  # a class that does not occur is left out
    ],
)
def test_balanced_accuracy_counts_a_rare_class_like_a_common_one(
    sizes: list[int], wrong: Sequence[int], balanced: float, effective_n: float | None
) -> None:
    labels = np.repeat(np.arange(len(sizes), dtype=np.uint8), sizes)
    predicted = labels.astype(np.intp)
    predicted[list(wrong)] = (predicted[list(wrong)] - 1) % len(sizes)
    found, found_n = metrics.balanced_accuracy(labels, predicted)
    assert found == pytest.approx(balanced)
    assert effective_n is None or found_n == pytest.approx(effective_n)


def test_the_balanced_interval_covers_the_truth_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(0)
    sizes, recalls = np.geomspace(400, 30, 12).astype(int), np.linspace(0.97, 0.8, 12)
    labels = np.repeat(np.arange(12, dtype=np.uint8), sizes)
    covered = 0
    for _ in range(1000):
        right = rng.random(len(labels)) < recalls[labels]
        predicted = np.where(right, labels, (labels + 1) % 12).astype(np.intp)
        low, high = metrics.wilson_interval(*metrics.balanced_accuracy(labels, predicted))
        covered += low <= recalls.mean() <= high
    assert 0.93 < covered / 1000 < 0.97


def test_the_interval_of_an_accuracy_is_wilson_s_and_holds_it() -> None:
    for n, counts in ((1, range(2)), (7, range(8)), (100, range(101)), (38_547, (0, 38_000, 38_546))):
        for correct in counts:
            expected = binomtest(correct, n).proportion_ci(0.95, method="wilson")
            low, high = metrics.wilson_interval(correct / n, n)
            assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-9)
            assert 0 <= low <= correct / n <= high <= 1
            assert low < high


@pytest.mark.parametrize(
    ("sureness", "labels", "error"),
    [
        # 0.75 sure of class 0 four times, right three times; 0.5 sure twice, right once.
        ([0.75] * 4 + [0.5] * 2, [0, 0, 0, 1, 0, 1], 0.0),
        # 0.9 sure and right half the time, 0.6 sure and always right: off by 0.4 both ways, which does not cancel out.
        ([0.9] * 2 + [0.6] * 2, [0, 1, 0, 0], 0.4),
    ],
)
def test_calibration_is_being_right_as_often_as_said(sureness: list[float], labels: list[int], error: float) -> None:
    probabilities = np.array([[sure, 1 - sure] for sure in sureness], np.float32)
    assert scoring.calibration_error(np.array(labels, np.uint8), probabilities) == pytest.approx(error, abs=1e-6)


def test_all_right_and_all_wrong_are_the_ends_of_the_scale() -> None:
    labels = np.repeat(np.arange(10, dtype=np.uint8), 3)
    probabilities = np.eye(10, dtype=np.float32)[labels]
    best = scoring.score(labels, probabilities)
    assert (best["accuracy"], best["balanced_accuracy"], best["accuracy_high"]) == (1.0, 1.0, 1.0)
    assert (best["loss"], best["calibration_error"]) == (0.0, 0.0)
    assert len(scoring.worst_errors(labels, probabilities, 40)) == 0
    assert len(scoring.least_probable_labels(labels, probabilities, 40)) == 0
    worst = scoring.score(labels, np.roll(probabilities, 1, axis=1))
    assert (worst["accuracy"], worst["balanced_accuracy"], worst["accuracy_low"]) == (0.0, 0.0, 0.0)
    assert (worst["loss"], worst["calibration_error"]) == (pytest.approx(-math.log(1e-7), abs=1e-5), 1.0)


def test_confusion_has_a_row_for_each_true_class_and_a_column_for_each_predicted_one() -> None:
    table = scoring.confusion_table(LABELS, PROBABILITIES, NAMES)
    assert list(table.index) == list(table.columns) == NAMES
    assert table.index.name == "true"
    assert table.to_numpy().tolist() == [[1, 1, 0], [0, 2, 1], [0, 0, 1]]


def test_each_class_has_its_recall_precision_and_number() -> None:
    table = scoring.per_class(LABELS, PROBABILITIES, NAMES)
    rows = {"class": NAMES, "recall": [0.5, 0.666667, 1.0], "precision": [1.0, 0.666667, 0.5], "n": [2, 3, 1]}
    assert table.to_dict("list") == rows


def test_a_class_that_was_never_predicted_or_never_occurs_has_zeros_and_its_place() -> None:
    labels, probabilities = np.array([0, 1], np.uint8), np.array([[0.1, 0.9, 0.0]] * 2, np.float32)
    table = scoring.per_class(labels, probabilities, NAMES)
    rows = {"class": NAMES, "recall": [0.0, 1.0, 0.0], "precision": [0.0, 0.5, 0.0], "n": [1, 1, 0]}
    assert table.to_dict("list") == rows
    assert scoring.confusion_table(labels, probabilities, NAMES).to_numpy().tolist() == [[0, 1, 0]] * 2 + [[0, 0, 0]]


def test_the_worst_errors_are_the_surest_ones_in_order_and_of_equals_the_first() -> None:
    assert scoring.worst_errors(LABELS, PROBABILITIES, 40).tolist() == [4, 1]
    assert scoring.worst_errors(LABELS, PROBABILITIES, 1).tolist() == [4]
    probabilities = np.array([[0.5, 0.5], [1.0, 0.0], [0.75, 0.25], [0.75, 0.25]], np.float32)
    assert scoring.worst_errors(np.array([1, 0, 1, 1], np.uint8), probabilities, 3).tolist() == [2, 3, 0]
    several = np.array([[0.5, 0.4, 0.1], [0.7, 0.1, 0.2], [0.9, 0.05, 0.05]], np.float32)
    assert scoring.least_probable_labels(np.array([1, 1, 0], np.uint8), several, 3).tolist() == [1, 0]


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.sampled_from([2, 10, 49]))
def test_the_parts_of_a_report_agree_with_each_other(seed: int, n: int, classes: int) -> None:
    labels, probabilities = random_case(seed, n, classes)
    names = [str(label) for label in range(classes)]
    metrics = scoring.score(labels, probabilities)
    confusion = scoring.confusion_table(labels, probabilities, names).to_numpy()
    per_class = scoring.per_class(labels, probabilities, names)
    wrong = scoring.worst_errors(labels, probabilities, n)
    assert confusion.sum() == per_class["n"].sum() == metrics["n"] == n
    assert np.trace(confusion) == n - len(wrong)
    assert metrics["accuracy"] == pytest.approx(np.trace(confusion) / n, abs=1e-6)
    occurring = per_class[per_class["n"] > 0]
    assert metrics["balanced_accuracy"] == pytest.approx(occurring["recall"].mean(), abs=2e-6)
    assert 0 <= metrics["calibration_error"] <= 1
    assert metrics["loss"] >= 0
    surety = probabilities[wrong].max(axis=1)
    assert (np.diff(surety) <= 0).all()
