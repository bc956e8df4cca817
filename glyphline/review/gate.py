"""Whether a change may pass: the floors and allowed drops that the gate section of params.yaml sets."""

from __future__ import annotations

from glyphline.evaluation.metrics import METRICS
from glyphline.evaluation.numbers import DIGITS, exact_percent
from glyphline.evaluation.significance import Verdict
from glyphline.review.compare import Comparison
from glyphline.review.limits import Gate

FAILING = {
    Verdict.WORSE: "beyond noise",
    Verdict.NOT_TESTED: "and without predictions noise cannot be told",
}


def failures(comparison: Comparison, gate: Gate) -> list[str]:
    """A sentence for each cell that fails: variant, metric, value and limit.

    A value below its floor fails. A fall by more than the allowed drop fails when it is beyond noise, or when no test
    can tell. Added variants have floors only, and so have all where the test images changed.
    """
    changes = {review.name: review.changes for review in comparison.variants}
    found = []
    for variant, scores in comparison.after.metrics.items():
        for metric in METRICS:
            value, (floor, drop) = scores[metric], gate.limits(variant).of(metric)
            if floor is not None and value < floor:
                low = f"{exact_percent(value)}, below its floor of {exact_percent(floor)}"
                found.append(f"{variant}: {metric} is {low}")
            change = changes[variant][metric] if variant in changes else None
            if drop is None or change is None or change.verdict not in FAILING:
                continue
            if round(change.before - value, DIGITS) > drop:
                fall = f"{exact_percent(change.before)} to {exact_percent(value)}, {FAILING[change.verdict]}"
                found.append(f"{variant}: {metric} fell from {fall}; a drop of {100 * drop:g} points is allowed")
    missing = [variant for variant in gate.variants if variant not in comparison.after.metrics]
    return found + [f"{variant}: the gate has limits for it, but it has no test metrics" for variant in missing]
