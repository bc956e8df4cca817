"""Two revisions' results side by side: what changed, and whether noise explains it. Reads and writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from glyphline import paths
from glyphline.evaluation.metrics import METRICS
from glyphline.evaluation.significance import MeanDifference, Paired, SeedStatistics, Verdict, compare_means, judge
from glyphline.review.results import Results


@dataclass(frozen=True)
class Change:
    """One metric of one variant, before and after, as fractions. over_seeds: its means, before and after.

    images: the paired comparison on the test images; seeds: that of the means over the seeds. Both None where they
    cannot be made. p_value: of both together, adjusted for the number of variants; None where there is no test.
    """

    before: float
    after: float
    over_seeds: tuple[SeedStatistics, SeedStatistics]
    images: Paired | None
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
    by_metric = {metric: _changes(before, after, metric, shared, not_comparable is None) for metric in METRICS}
    leading = after.record.leading_metric if after.record else None
    return Comparison(
        before=before,
        after=after,
        leading_metric=leading if leading in METRICS else next(iter(METRICS)),
        not_comparable=not_comparable,
        variants=[
            VariantReview(
                variant,
                {metric: changes[variant] for metric, changes in by_metric.items()},
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


def _changes(
    before: Results, after: Results, metric: str, variants: Sequence[str], comparable: bool
) -> dict[str, Change]:
    over_seeds = {
        variant: (SeedStatistics.of(before.metrics[variant], metric), SeedStatistics.of(after.metrics[variant], metric))
        for variant in variants
    }
    seeds = {variant: compare_means(*over_seeds[variant]) if comparable else None for variant in variants}
    images = {
        variant: METRICS[metric].compare(after.labels, before.predictions[variant], after.predictions[variant])
        for variant in variants
        if comparable and after.labels is not None and variant in before.predictions and variant in after.predictions
    }
    compared = judge([(images[variant], seeds[variant]) for variant in images])
    found = {variant: vars(each) for variant, each in zip(images, compared, strict=True)}
    why_not = Verdict.NOT_TESTED if comparable else Verdict.NOT_COMPARABLE
    return {
        variant: Change(
            before.metrics[variant][metric],
            after.metrics[variant][metric],
            over_seeds[variant],
            **found.get(variant, {"images": None, "seeds": seeds[variant], "p_value": None, "verdict": why_not}),
        )
        for variant in variants
    }


def _moves(before: Results, after: Results, variant: str) -> list[ClassMove]:
    was_right, is_right = before.right(variant), after.right(variant)
    if was_right is None or is_right is None or after.labels is None:
        return []
    sizes = np.bincount(after.labels)
    lost, gained = (
        np.bincount(after.labels[changed], minlength=len(sizes))
        for changed in (was_right & ~is_right, ~was_right & is_right)
    )
    moves = [
        ClassMove(int(label), after.class_name(int(label)), int(lost[label]), int(gained[label]), int(sizes[label]))
        for label in np.flatnonzero(lost + gained)
    ]
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
