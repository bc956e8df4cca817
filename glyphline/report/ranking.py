"""Which variant is best, and whether by more than chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pandas as pd

from glyphline.evaluation.metrics import METRICS
from glyphline.evaluation.significance import Compared, SeedStatistics, Verdict, compare_means, judge


@dataclass(frozen=True)
class Ranking:
    """metric: the one that ranks. variants: the best first. rivals: all but the first of them, each compared with it,
    from the winner to the rival, so that the difference is 0 or less. comparisons: how many the p-values allow for.
    """

    metric: str
    variants: list[str]
    rivals: dict[str, Compared]
    comparisons: int

    @property
    def winner(self) -> str:
        return self.variants[0]

    @property
    def beaten(self) -> list[str]:
        """The rivals that are worse than the winner by more than noise explains."""
        return [name for name, rival in self.rivals.items() if rival.verdict is Verdict.WORSE]

    @property
    def unbeaten(self) -> list[str]:
        return [name for name in self.rivals if name not in self.beaten]


def rank(test: Mapping[str, Mapping[str, Any]], predictions: pd.DataFrame, metric: str) -> Ranking:
    """Rank variants by one of METRICS, then by loss, and compare the first with each other one on the same images.

    test: by variant, its metrics. predictions: a row a test image, with its label and a column for each variant. The
    p-values are corrected for all pairs of variants, not for the winner's alone: it is the results that made it the
    winner, and the best of many equals stands out by chance.
    """
    variants = sorted(test, key=lambda name: (-test[name][metric], test[name]["loss"]))
    classes = {name: predictions[name].to_numpy() for name in ("label", *variants)}
    seeds = {name: SeedStatistics.of(test[name], metric) for name in variants}
    pairs = list(combinations(variants, 2))
    compared = judge(
        [
            (
                METRICS[metric].compare(classes["label"], classes[better], classes[other]),
                compare_means(seeds[better], seeds[other]),
            )
            for better, other in pairs
        ]
    )
    rivals = {other: each for (better, other), each in zip(pairs, compared, strict=True) if better == variants[0]}
    return Ranking(metric, variants, rivals, sum(each.verdict is not Verdict.UNCHANGED for each in compared))
