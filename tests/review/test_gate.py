"""glyphline/review/gate.py: what passes and what does not."""

from typing import Any

import pytest

from glyphline.review.compare import compare_results
from glyphline.review.gate import failures
from glyphline.review.limits import Gate
from tests.review.conftest import Flags, wrong
from tests.review.test_compare import results


def judged(before: Flags | None, after: Flags, **limits: Any) -> list[str]:
    """What fails when the variant mlp changes like this."""
    was = {} if before is None else {"mlp": before}
    return failures(compare_results(results(was), results({"mlp": after})), Gate(**limits))


FELL = "fell from 100 % to 98 %, beyond noise; a drop of"


@pytest.mark.parametrize(
    ("before", "after", "limits", "said"),
    [
        # What is within its limits passes:
        (wrong(), wrong(range(500)), {}, []),
        (wrong(), wrong(range(50)), {"accuracy_floor": 0.95}, []),  # on its floor
        (wrong(range(49)), wrong(range(52)), {"accuracy_drop": 0.0}, []),  # within noise
        (wrong(), wrong(range(20)), {"accuracy_drop": 0.02}, []),  # beyond noise, but allowed
        (wrong(range(50)), wrong(), {"accuracy_drop": 0.0, "accuracy_floor": 0.99}, []),
        (None, wrong(range(100)), {"accuracy_drop": 0.0}, []),  # an added variant has floors only
        (None, wrong(range(100)), {"accuracy_floor": 0.95, "variants": {"mlp": {"accuracy_floor": 0.9}}}, []),
        # What is beyond them does not:
        (wrong(), wrong(range(100)), {"accuracy_floor": 0.95}, ["accuracy is 90 %, below its floor of 95 %"]),
        (None, wrong(range(50)), {"accuracy_floor": 0.9501}, ["accuracy is 95 %, below its floor of 95.01 %"]),
        # Noise excuses a drop, but no fall through a floor, and no floor that was raised above the value.
        (wrong(range(49)), wrong(range(52)), {"accuracy_floor": 0.95}, ["accuracy is 94.8 %, below its floor of 95 %"]),
        (wrong(range(50)), wrong(range(50)), {"accuracy_floor": 0.96}, ["accuracy is 95 %, below its floor of 96 %"]),
        (
            wrong(),
            wrong(range(20)),
            {"accuracy_drop": 0.005, "balanced_accuracy_drop": 0.01, "balanced_accuracy_floor": 0.99},
            [
                f"accuracy {FELL} 0.5 points is allowed",
                "balanced_accuracy is 98 %, below its floor of 99 %",
                f"balanced_accuracy {FELL} 1 points is allowed",
            ],
        ),
        (
            None,
            wrong(range(10)),
            {"accuracy_floor": 0.9, "variants": {"mlp": {"accuracy_floor": 0.995}}},
            ["accuracy is 99 %, below its floor of 99.5 %"],
        ),
    ],
)
def test_what_is_beyond_its_limits_and_nothing_else_fails_with_variant_metric_values_and_limit(
    before: Flags | None, after: Flags, limits: dict[str, Any], said: list[str]
) -> None:
    assert judged(before, after, **limits) == [f"mlp: {each}" for each in said]


def test_a_variant_with_limits_of_its_own_cannot_be_dropped_in_silence() -> None:
    found = judged(wrong(), wrong(), variants={"gone": {"accuracy_floor": 0.9}})
    assert found == ["gone: the gate has limits for it, but it has no test metrics"]


def test_other_test_images_leave_the_floors() -> None:
    before = results({"mlp": wrong()}, params={"dataset": "mnist"})
    comparison = compare_results(before, results({"mlp": wrong(range(100))}))
    assert failures(comparison, Gate(accuracy_drop=0.0)) == []
    assert len(failures(comparison, Gate(accuracy_floor=0.95))) == 1


@pytest.mark.parametrize(("after", "failing"), [(wrong(range(10)), 0), (wrong(range(11)), 1)])
def test_a_drop_that_no_test_can_judge_is_held_to_the_limit(after: Flags, failing: int) -> None:
    before = results({"mlp": wrong()}, labels=None, predictions={})
    found = failures(compare_results(before, results({"mlp": after})), Gate(accuracy_drop=0.01))
    assert len(found) == failing
    assert all("without predictions noise cannot be told" in sentence for sentence in found)
