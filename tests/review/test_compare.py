"""glyphline/review/compare.py: verdicts on results that were made to deserve them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from glyphline.evaluation.metrics import METRICS
from glyphline.evaluation.significance import Verdict, compare, holm
from glyphline.report.ranking import rank
from glyphline.review.compare import Comparison, ParamChange, changed_params, compare_results, why_not_comparable
from glyphline.review.results import Results
from tests.review.conftest import DIGITS, LABELS, Flags, predictions, wrong


def results(right: Mapping[str, Flags], seeds: Mapping[str, Any] | None = None, **changes: Any) -> Results:
    """The results of a revision in which each variant was right where its flags say."""
    metrics: dict[str, dict[str, Any]] = {
        variant: dict.fromkeys(METRICS, float(flags.mean())) for variant, flags in right.items()
    }
    for variant, spread in (seeds or {}).items():
        metrics[variant]["seeds"] = spread
    values = Results(
        name="then",
        params={"dataset": "mnist-5k", "variants": {}},
        metrics=metrics,
        labels=LABELS,
        predictions={variant: predictions(flags) for variant, flags in right.items()},
        class_names=DIGITS,
        costs={variant: {} for variant in right},
        outs={},
        used_by={},
        packages={},
    )
    return replace(values, **changes)


def spread(mean: float, sd: float, n: int = 5) -> dict[str, float]:
    moments = {f"{metric}_{key}": value for metric in METRICS for key, value in (("mean", mean), ("sd", sd))}
    return {"n": n, **moments}


def verdicts(comparison: Comparison, metric: str = "accuracy") -> dict[str, Verdict]:
    return {review.name: review.changes[metric].verdict for review in comparison.variants}


def test_verdicts_are_those_the_changes_deserve() -> None:
    before = {"up": wrong(range(60)), "down": wrong(), "still": wrong(1), "noisy": wrong(range(10))}
    after = {"up": wrong(range(20)), "down": wrong(range(40)), "still": wrong(1), "noisy": wrong(range(4, 16))}
    comparison = compare_results(results(before), results(after))
    assert verdicts(comparison) == {
        "up": Verdict.BETTER,
        "down": Verdict.WORSE,
        "still": Verdict.UNCHANGED,
        "noisy": Verdict.WITHIN_NOISE,
    }
    assert verdicts(comparison, "balanced_accuracy") == verdicts(comparison)


def test_p_values_are_adjusted_for_the_variants_that_moved_and_no_others() -> None:
    # Each lost 8 of 1,000: by itself p = 2/256, beyond noise. Of nine such, none is.
    lost = {f"v{number}": wrong(range(8)) for number in range(9)}
    right = dict.fromkeys(lost, wrong())
    alone = compare(wrong(), wrong(range(8))).p_value
    assert alone == pytest.approx(2 / 256)

    one = compare_results(results(right), results(right | {"v0": lost["v0"]}))
    assert one.variants[0].changes["accuracy"].p_value == alone
    assert verdicts(one)["v0"] is Verdict.WORSE

    all_nine = compare_results(results(right), results(lost))
    assert [review.changes["accuracy"].p_value for review in all_nine.variants] == holm([alone] * 9)
    assert set(verdicts(all_nine).values()) == {Verdict.WITHIN_NOISE}


@pytest.mark.parametrize(
    ("poor", "good", "verdict"),
    [
        (None, None, Verdict.BETTER),
        (spread(0.95, 0.03), spread(0.97, 0.03), Verdict.WITHIN_NOISE),
        (spread(0.94, 0.003), spread(0.98, 0.003), Verdict.BETTER),
        (None, spread(0.98, 0.02), Verdict.WITHIN_NOISE),
        (spread(0.94, 0.02), None, Verdict.WITHIN_NOISE),
        (None, spread(0.98, 0.02, n=2), Verdict.BETTER),
        (spread(0.94, 0.004, n=2), spread(0.98, 0.004), Verdict.BETTER),
        (spread(0.94, 0.0), spread(0.98, 0.0), Verdict.BETTER),
        (spread(0.99, 0.001), spread(0.95, 0.001), Verdict.WITHIN_NOISE),
    ],
)
def test_review_and_report_agree_on_a_pair_of_results(
    poor: dict[str, float] | None, good: dict[str, float] | None, verdict: Verdict
) -> None:
    right = {"poor": wrong(range(60)), "good": wrong(range(20))}
    seeds = {name: each for name, each in (("poor", poor), ("good", good)) if each}
    metrics = results(right, seeds).metrics
    before, after = (replace(results({"mlp": right[name]}), metrics={"mlp": metrics[name]}) for name in right)
    comparison = compare_results(before, after)
    assert verdicts(comparison) == {"mlp": verdict}
    change = comparison.variants[0].changes["accuracy"]
    if poor and good:
        assert change.images is not None
        assert change.seeds is not None
    if verdict is Verdict.BETTER:
        assert change.p_value == max(each.p_value for each in (change.images, change.seeds) if each)

    predicted = pd.DataFrame({"label": LABELS} | {name: predictions(flags) for name, flags in right.items()})
    ranking = rank({name: dict(scores) | {"loss": 1.0} for name, scores in metrics.items()}, predicted, "accuracy")
    assert (ranking.winner, ranking.beaten) == ("good", ["poor"] if verdict is Verdict.BETTER else [])


def test_classes_that_moved_most_come_first() -> None:
    # Image i is of class i % 10: class 3 loses three, class 5 gains one, class 7 loses one and gains one.
    before, after = wrong(5, 7), wrong(3, 13, 23, 17)
    (review,) = compare_results(results({"mlp": before}), results({"mlp": after})).variants
    assert [(move.name, move.lost, move.gained, move.n) for move in review.moves] == [
        ("3", 3, 0, 100),
        ("5", 0, 1, 100),
        ("7", 1, 1, 100),
    ]
    assert review.moves[0].recall_difference == pytest.approx(-0.03)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"params": {"dataset": "kmnist"}}, "the data set changed from mnist-5k to kmnist"),
        ({"labels": np.arange(500) % 10}, "from 1,000 to 500 images"),
        ({"labels": LABELS[::-1]}, "the test images changed, or their order"),
        ({"outs": {"data/raw/test.npz": "b"}}, "the file of the test images changed"),
    ],
)
def test_other_test_images_are_not_comparable(changes: dict[str, Any], words: str) -> None:
    before = results({"mlp": wrong()}, outs={"data/raw/test.npz": "a"})
    after = replace(results({"mlp": wrong(range(40))}), **changes)
    comparison = compare_results(before, after)
    assert words in str(comparison.not_comparable)
    assert verdicts(comparison) == {"mlp": Verdict.NOT_COMPARABLE}
    assert comparison.variants[0].changes["accuracy"].images is None


def test_the_same_test_images_are_comparable_whatever_was_trained_on() -> None:
    before = results({"mlp": wrong()}, outs={"data/raw/test.npz": "a", "data/prepared": "x"})
    after = replace(before, outs={"data/raw/test.npz": "a", "data/prepared": "y"})
    assert why_not_comparable(before, after) is None
    assert why_not_comparable(before, replace(before, outs={})) is None, "an old revision may not tell"


def test_changed_parameters_are_named_with_their_values() -> None:
    before = {"seed": 1, "filters": [32, 64], "rate": 1, "preprocess": {"fraction": 0.1}, "limit": None}
    after = {"seed": 1, "filters": [32], "rate": 1.0, "preprocess": {"fraction": 0.2}, "epochs": 3}
    assert changed_params(before, after) == [
        ParamChange("filters", "[32, 64]", "[32]"),
        ParamChange("rate", "1", "1.0"),
        ParamChange("preprocess.fraction", "0.1", "0.2"),
        ParamChange("epochs", None, "3"),
        ParamChange("limit", "none", None),
    ]


@pytest.mark.parametrize("variants", [None, 5, {"mlp": None}, {"mlp": 5}])
def test_a_params_yaml_of_any_shape_can_be_compared(variants: Any) -> None:
    odd = results({"mlp": wrong()}, params={"dataset": "mnist-5k", "variants": variants})
    assert compare_results(odd, odd).variants[0].params == []


def test_nine_variants_that_only_noise_changes_rarely_alarm() -> None:
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(100):
        sides = [{f"v{number}": rng.random(1000) < 0.97 for number in range(9)} for _ in range(2)]
        found = verdicts(compare_results(results(sides[0]), results(sides[1])))
        alarms += bool({Verdict.BETTER, Verdict.WORSE} & set(found.values()))
    assert alarms < 10
