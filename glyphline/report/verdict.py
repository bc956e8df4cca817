"""Which variant is best, and whether by more than chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pandas as pd

from glyphline.evaluation.seeds import Spread, compare_means
from glyphline.evaluation.significance import Paired, compare, compare_balanced, holm

SIGNIFICANCE = 0.05  # of all comparisons together


@dataclass(frozen=True)
class Rival:
    """A variant against the winner. paired: from the winner to it, so that its difference is 0 or less.

    p_value: of the test images and the seeds together, corrected for the number of comparisons.
    """

    paired: Paired
    p_value: float

    @property
    def beaten(self) -> bool:
        """Whether it is worse than the winner by more than chance explains."""
        return self.p_value < SIGNIFICANCE


@dataclass(frozen=True)
class Verdict:
    """metric: the one that ranks. ranking: the variants, the best first. rivals: all but the first of them."""

    metric: str
    ranking: list[str]
    rivals: dict[str, Rival]
    comparisons: int

    @property
    def winner(self) -> str:
        return self.ranking[0]

    @property
    def beaten(self) -> list[str]:
        return [name for name, rival in self.rivals.items() if rival.beaten]

    @property
    def unbeaten(self) -> list[str]:
        return [name for name, rival in self.rivals.items() if not rival.beaten]


def judge(test: Mapping[str, Mapping[str, Any]], predictions: pd.DataFrame, metric: str) -> Verdict:
    """Rank variants by a metric of theirs, then by loss, and compare the first with each other one on the same images.

    test: by variant, its metrics. predictions: a row a test image, with its label and a column for each variant.
    metric: accuracy or balanced_accuracy. Where both of a pair were trained with several seeds, the p-value is that of
    the claim that neither the test images nor the seeds explain the difference: the larger one of the two tests (R. L.
    Berger, Multiparameter hypothesis testing and acceptance sampling, Technometrics 24, 1982). The p-values are
    corrected for all pairs of variants, not for the winner's alone: it is the results that made it the winner, and the
    best of many equals stands out by chance.
    """
    ranking = sorted(test, key=lambda name: (-test[name][metric], test[name]["loss"]))
    labels = predictions["label"].to_numpy()
    right = {name: predictions[name].to_numpy() == labels for name in ranking}
    pairs = list(combinations(ranking, 2))
    compared = [
        compare_balanced(right[better], right[other], labels)
        if metric == "balanced_accuracy"
        else compare(right[better], right[other])
        for better, other in pairs
    ]
    corrected = holm(
        [
            max(paired.p_value, _seeds_p_value(test[better], test[other], metric))
            for (better, other), paired in zip(pairs, compared, strict=True)
        ]
    )
    rivals = {
        other: Rival(paired, p_value)
        for (better, other), paired, p_value in zip(pairs, compared, corrected, strict=True)
        if better == ranking[0]
    }
    return Verdict(metric, ranking, rivals, len(pairs))


def _seeds_p_value(better: Mapping[str, Any], other: Mapping[str, Any], metric: str) -> float:
    """Two-sided p-value of the difference between the means over seeds.

    0 where not both have several seeds, so that nothing is tested; 1 where the means say the opposite.
    """
    if "seeds" not in better or "seeds" not in other:
        return 0.0
    of_better, of_other = (
        Spread(each["seeds"]["n"], each["seeds"][f"{metric}_mean"], each["seeds"][f"{metric}_sd"])
        for each in (better, other)
    )
    means = compare_means(before=of_other, after=of_better)
    assert means is not None
    return means.p_value if means.difference > 0 else 1.0
