"""glyphline/review/gate.py: what passes and what does not."""

from __future__ import annotations

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


def test_without_limits_everything_passes() -> None:
    assert judged(wrong(), wrong(range(500))) == []


def test_a_value_below_its_floor_fails_with_variant_metric_value_and_floor() -> None:
    assert judged(wrong(), wrong(range(100)), accuracy_floor=0.95) == ["mlp: accuracy is 90 %, below its floor of 95 %"]


def test_a_value_on_its_floor_passes() -> None:
    assert judged(wrong(), wrong(range(50)), accuracy_floor=0.95) == []


def test_a_floor_is_shown_with_all_its_digits() -> None:
    found = judged(None, wrong(range(50)), accuracy_floor=0.9501)
    assert found == ["mlp: accuracy is 95 %, below its floor of 95.01 %"]


def test_a_floor_that_was_raised_above_the_value_fails() -> None:
    assert len(judged(wrong(range(50)), wrong(range(50)), accuracy_floor=0.96)) == 1


def test_noise_excuses_a_drop_but_no_fall_through_a_floor() -> None:
    assert judged(wrong(range(49)), wrong(range(52)), accuracy_drop=0.0) == []
    assert judged(wrong(range(49)), wrong(range(52)), accuracy_floor=0.95) == [
        "mlp: accuracy is 94.8 %, below its floor of 95 %"
    ]


def test_a_drop_beyond_noise_and_beyond_what_is_allowed_fails() -> None:
    found = judged(wrong(), wrong(range(20)), accuracy_drop=0.005, balanced_accuracy_drop=0.5)
    assert found == ["mlp: accuracy fell from 100 % to 98 %, beyond noise; a drop of 0.5 points is allowed"]


def test_a_drop_beyond_noise_passes_while_it_is_allowed() -> None:
    assert judged(wrong(), wrong(range(20)), accuracy_drop=0.02) == []


def test_a_rise_passes() -> None:
    assert judged(wrong(range(50)), wrong(), accuracy_drop=0.0, accuracy_floor=0.99) == []


def test_both_metrics_are_judged() -> None:
    found = judged(wrong(), wrong(range(100)), balanced_accuracy_floor=0.95, balanced_accuracy_drop=0.0)
    assert [sentence.split(" is ")[0].split(" fell ")[0] for sentence in found] == ["mlp: balanced_accuracy"] * 2


def test_a_variant_s_own_limit_comes_before_that_of_all() -> None:
    assert judged(None, wrong(range(100)), accuracy_floor=0.95, variants={"mlp": {"accuracy_floor": 0.9}}) == []
    assert len(judged(None, wrong(range(10)), accuracy_floor=0.9, variants={"mlp": {"accuracy_floor": 0.995}})) == 1


def test_an_added_variant_has_floors_only() -> None:
    assert judged(None, wrong(range(100)), accuracy_drop=0.0) == []
    assert len(judged(None, wrong(range(100)), accuracy_floor=0.95)) == 1


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
