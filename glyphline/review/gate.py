"""Whether a change may pass: the floors and allowed drops that the gate section of params.yaml sets."""

from __future__ import annotations

from collections.abc import Iterator

from glyphline.evaluation.numbers import DIGITS, exact_percent
from glyphline.review.compare import Change, Comparison, Verdict
from glyphline.review.limits import Gate
from glyphline.review.results import METRICS

BEYOND_NOISE_OR_UNKNOWN = (Verdict.WORSE, Verdict.NOT_TESTED)


def failures(comparison: Comparison, gate: Gate) -> list[str]:
    """A sentence for each cell that fails: variant, metric, value and limit.

    A value below its floor fails, unless it was at or above that floor before and the fall is within noise. A fall by
    more than the allowed drop fails when it is beyond noise, or when no test can tell. Added variants have floors only,
    and so have all where the test images changed.
    """
    changes = {review.name: review.changes for review in comparison.variants}
    found: list[str] = []
    for variant, scores in comparison.after.metrics.items():
        limits = gate.limits(variant)
        for metric in METRICS:
            change = changes[variant][metric] if variant in changes else None
            floor, drop = getattr(limits, f"{metric}_floor"), getattr(limits, f"{metric}_drop")
            found += _of_floor(variant, metric, scores[metric], floor, change)
            found += _of_drop(variant, metric, drop, change)
    missing = [variant for variant in gate.variants if variant not in comparison.after.metrics]
    return found + [f"{variant}: the gate has limits for it, but it has no test metrics" for variant in missing]


def _of_floor(variant: str, metric: str, value: float, floor: float | None, change: Change | None) -> Iterator[str]:
    if floor is None or value >= floor:
        return
    if change and change.before >= floor and change.verdict is Verdict.WITHIN_NOISE:
        return
    yield f"{variant}: {metric} is {exact_percent(value)}, below its floor of {exact_percent(floor)}"


def _of_drop(variant: str, metric: str, drop: float | None, change: Change | None) -> Iterator[str]:
    if drop is None or change is None or change.verdict not in BEYOND_NOISE_OR_UNKNOWN:
        return
    fall = round(change.before - change.after, DIGITS)
    if fall > drop:
        noise = "beyond noise" if change.verdict is Verdict.WORSE else "and without predictions noise cannot be told"
        yield (
            f"{variant}: {metric} fell from {exact_percent(change.before)} to {exact_percent(change.after)}, {noise}; "
            f"a drop of {100 * drop:g} points is allowed"
        )
