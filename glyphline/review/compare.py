"""Two revisions' results side by side: what changed, and whether noise explains it. Reads and writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glyphline import paths
from glyphline.evaluation.seeds import MeanDifference, Spread, compare_means
from glyphline.evaluation.significance import Paired, compare, compare_balanced, holm
from glyphline.review.results import METRICS, Results

SIGNIFICANCE = 0.05
Flags = NDArray[np.bool_]


class Verdict(StrEnum):
    """What a difference in a metric amounts to."""

    BETTER = "better"
    WORSE = "worse"
    WITHIN_NOISE = "within noise"
    UNCHANGED = "unchanged"
    NOT_TESTED = "not tested"
    NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True)
class Change:
    """One metric of one variant, before and after, as fractions.

    images: the paired comparison on the test images; seeds: that of the means over the seeds. Both None where they
    cannot be made. p_value: of both together, adjusted for the number of variants; None where there is no test.
    """

    before: float
    after: float
    images: Paired | None
    spreads: tuple[Spread, Spread]
    seeds: MeanDifference | None
    p_value: float | None
    verdict: Verdict


@dataclass(frozen=True)
class ClassMove:
    """What became of the n test images of one class. label: its number."""

    label: int
    name: str
    lost: int
    gained: int
    n: int

    @property
    def recall_difference(self) -> float:
        """After minus before, a fraction."""
        return (self.gained - self.lost) / self.n


@dataclass(frozen=True)
class VariantReview:
    """A variant that both revisions have. moves: the classes with changed images, those that moved most first."""

    name: str
    changes: Mapping[str, Change]
    moves: Sequence[ClassMove]
    params: Sequence[ParamChange]


@dataclass(frozen=True)
class ParamChange:
    """A parameter, its key written with dots; a value is None where the revision has no such key."""

    key: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Comparison:
    """Everything that changed in the results. not_comparable: why the test images are not the same, or None."""

    before: Results
    after: Results
    leading_metric: str
    not_comparable: str | None
    variants: Sequence[VariantReview]
    added: Sequence[str]
    removed: Sequence[str]
    params: Sequence[ParamChange]
    packages: Sequence[ParamChange]


def compare_results(before: Results, after: Results) -> Comparison:
    """All variants of both revisions, in the order of `after`."""
    not_comparable = why_not_comparable(before, after)
    shared = [variant for variant in after.metrics if variant in before.metrics]
    changes: dict[str, dict[str, Change]] = {variant: {} for variant in shared}
    for metric in METRICS:
        tested = {variant: _change(before, after, variant, metric, not_comparable) for variant in shared}
        for variant, change in _adjusted(tested).items():
            changes[variant][metric] = change
    return Comparison(
        before=before,
        after=after,
        leading_metric=after.record.leading_metric if after.record else METRICS[0],
        not_comparable=not_comparable,
        variants=[
            VariantReview(
                variant,
                changes[variant],
                [] if not_comparable else _moves(before, after, variant),
                changed_params(_variant_params(before, variant), _variant_params(after, variant)),
            )
            for variant in shared
        ],
        added=[variant for variant in after.metrics if variant not in before.metrics],
        removed=[variant for variant in before.metrics if variant not in after.metrics],
        params=changed_params(_general_params(before), _general_params(after)),
        packages=changed_params(before.packages, after.packages),
    )


def why_not_comparable(before: Results, after: Results) -> str | None:
    """A clause that says how the test images differ, or None where they are the same as far as can be told."""
    if before.dataset != after.dataset:
        return f"the data set changed from {before.dataset} to {after.dataset}"
    if before.labels is not None and after.labels is not None and not np.array_equal(before.labels, after.labels):
        if len(before.labels) != len(after.labels):
            return f"the test set changed from {len(before.labels):,} to {len(after.labels):,} images"
        return "the test images changed, or their order"
    test_sets = [results.outs.get(str(paths.RAW_TEST)) for results in (before, after)]
    if all(test_sets) and test_sets[0] != test_sets[1]:
        return f"the file of the test images changed ({paths.RAW_TEST} in dvc.lock)"
    return None


def changed_params(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[ParamChange]:
    """The keys whose values differ, in the order of `after`, then those that it lacks."""
    flat_before, flat_after = _flat(before), _flat(after)
    keys = [*flat_after, *(key for key in flat_before if key not in flat_after)]
    return [
        ParamChange(key, flat_before.get(key), flat_after.get(key))
        for key in keys
        if flat_before.get(key) != flat_after.get(key)
    ]


def _change(before: Results, after: Results, variant: str, metric: str, not_comparable: str | None) -> Change:
    """The change with a p-value that is not adjusted yet, and a verdict that takes no p-value."""
    values = before.metrics[variant][metric], after.metrics[variant][metric]
    spreads = before.spread(variant, metric), after.spread(variant, metric)
    if not_comparable:
        return Change(*values, None, spreads, None, None, Verdict.NOT_COMPARABLE)
    seeds = compare_means(*spreads)
    was_right, is_right = before.right(variant), after.right(variant)
    if was_right is None or is_right is None or after.labels is None:
        return Change(*values, None, spreads, seeds, None, Verdict.NOT_TESTED)
    if metric == "accuracy":
        images = compare(was_right, is_right)
    else:
        images = compare_balanced(was_right, is_right, after.labels)
    return Change(*values, images, spreads, seeds, _of_both(images, seeds), Verdict.UNCHANGED)


def _of_both(images: Paired, seeds: MeanDifference | None) -> float:
    """The p-value of the claim that neither kind of noise explains the difference: the larger one of the two tests.

    R. L. Berger, Multiparameter hypothesis testing and acceptance sampling, Technometrics 24, 1982.
    """
    if seeds is None:
        return images.p_value
    same_direction = images.difference * seeds.difference > 0
    return max(images.p_value, seeds.p_value) if same_direction else 1.0


def _adjusted(changes: Mapping[str, Change]) -> dict[str, Change]:
    """The changes with p-values adjusted for the number of variants that moved, and their verdicts."""
    # Where no image was lost or gained no test could ever speak: such a variant is not one of the chances to be wrong
    # (R. E. Tarone, A modified Bonferroni method for discrete data, Biometrics 46, 1990).
    moved = {name: change for name, change in changes.items() if change.images and _flips(change.images)}
    adjusted = holm([change.p_value for change in moved.values() if change.p_value is not None])
    return dict(changes) | {
        name: replace(change, p_value=p_value, verdict=_verdict(change, p_value))
        for (name, change), p_value in zip(moved.items(), adjusted, strict=True)
    }


def _verdict(change: Change, p_value: float) -> Verdict:
    if p_value >= SIGNIFICANCE or change.images is None:
        return Verdict.WITHIN_NOISE
    return Verdict.BETTER if change.images.difference > 0 else Verdict.WORSE


def _flips(images: Paired) -> int:
    return images.lost + images.gained


def _moves(before: Results, after: Results, variant: str) -> list[ClassMove]:
    was_right, is_right = before.right(variant), after.right(variant)
    if was_right is None or is_right is None or after.labels is None:
        return []
    moves = []
    for label in np.unique(after.labels):
        of_class = after.labels == label
        lost = int((of_class & was_right & ~is_right).sum())
        gained = int((of_class & ~was_right & is_right).sum())
        if lost or gained:
            moves.append(ClassMove(int(label), after.class_name(int(label)), lost, gained, int(of_class.sum())))
    return sorted(moves, key=lambda move: (-abs(move.recall_difference), -move.lost - move.gained))


def _variant_params(results: Results, variant: str) -> Mapping[str, Any]:
    variants = results.params.get("variants")
    values = variants.get(variant) if isinstance(variants, Mapping) else None
    return values if isinstance(values, Mapping) else {}


def _general_params(results: Results) -> dict[str, Any]:
    return {key: value for key, value in results.params.items() if key != "variants"}


def _flat(values: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """Keys with dots to values as text: 1 and 1.0 and true are different things to write."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{above}{key}.")
        else:
            flat[f"{above}{key}"] = "none" if value is None else str(value)
    return flat
