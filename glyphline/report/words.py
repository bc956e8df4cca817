"""Numbers and findings in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from glyphline.evaluation.numbers import (
    decimals,
    listed,
    p_value,
    percent,
    percent_interval,
    plural,
    points,
    points_interval,
)
from glyphline.report.verdict import Rival, Verdict

FREQUENT = 3  # confusions that the text names


def metric_name(metric: str) -> str:
    return metric.replace("_", " ")


def value(parameter: Any) -> str:
    """A parameter as one writes it, without YAML's punctuation."""
    if parameter is None or parameter in ([], {}):
        return "none"
    if isinstance(parameter, bool):
        return "yes" if parameter else "no"
    if isinstance(parameter, list | tuple):
        return ", ".join(value(part) for part in parameter)
    if isinstance(parameter, dict):
        return ", ".join(f"{key} {value(part)}" for key, part in parameter.items())
    return str(parameter)


def headline(test: dict[str, Any], verdict: Verdict) -> str:
    """Who comes first, with what figure."""
    best, metric = test[verdict.winner], verdict.metric
    digits = decimals(best["n"])
    tied = [name for name in verdict.ranking[1:] if test[name][metric] == best[metric]]
    first = f"{verdict.winner} comes first" if verdict.rivals else f"{verdict.winner} is alone"
    even = f", level with {listed(tied)} but of lower loss" if tied else ""
    return (
        f"{first}{even}: {metric_name(metric)} {percent(best[metric], digits)} on {plural(best['n'], 'test image')} "
        f"(95 % interval {percent_interval(best[f'{metric}_low'], best[f'{metric}_high'], digits)})."
    )


def finding(verdict: Verdict) -> str:
    """Whether the winner wins by more than noise, and against whom."""
    beaten, unbeaten, others = verdict.beaten, verdict.unbeaten, len(verdict.rivals)
    if not others:
        return "There is no other variant to compare it with."
    if not unbeaten:
        return f"It wins beyond noise against {'the other one' if others == 1 else f'each of the {others} others'}."
    if not beaten:
        whom = unbeaten[0] if others == 1 else f"any of the {others} others"
        return f"Its lead is within noise: on these images it is not measurably better than {whom}."
    return (
        f"It wins beyond noise against {listed(beaten)}. Its lead over {listed(unbeaten)} is within noise: on these "
        "images it is not measurably better."
    )


def smallest(test: dict[str, Any], train: dict[str, Any], verdict: Verdict) -> str:
    """The smallest network among those as good as the winner, where that is another one."""
    equals = [verdict.winner, *verdict.unbeaten]
    name = min(equals, key=lambda name: int(train[name]["parameters"]))
    size, largest = int(train[name]["parameters"]), int(train[verdict.winner]["parameters"])
    if size == largest:
        return ""
    metrics, metric, digits = test[name], verdict.metric, decimals(test[name]["n"])
    return (
        f"The smallest network not measurably worse is {name}: {size:,} parameters instead of "
        f"{largest:,}, {percent(metrics[metric], digits)} "
        f"({percent_interval(metrics[f'{metric}_low'], metrics[f'{metric}_high'], digits)})."
    )


def standing(name: str, verdict: Verdict, n: int) -> str:
    """A variant's place, and how far from the winner it is."""
    place = f"Place {verdict.ranking.index(name) + 1} of {len(verdict.ranking)}"
    rival = verdict.rivals.get(name)
    if rival is None:
        return f"{place}."
    paired, digits = rival.paired, decimals(n)
    return (
        f"{place}: {points(paired.difference, digits)} points ({points_interval(paired.low, paired.high, digits)}) "
        f"against {verdict.winner}, {noise(rival)}."
    )


def noise(rival: Rival) -> str:
    p = p_value(rival.p_value)
    return f"{'beyond noise' if rival.beaten else 'within noise'}, p {'' if p.startswith('<') else '= '}{p}"


def confusions(labels: pd.Series, predicted: pd.Series, class_names: Sequence[str]) -> str:
    """How many errors, and the most frequent of them: "24 of 1,000 test images wrong, most often ..."."""
    wrong = (labels != predicted).to_numpy()
    total = f"{wrong.sum():,} of {plural(len(labels), 'test image')} wrong"
    pairs, counts = np.unique(
        np.stack([labels.to_numpy()[wrong], predicted.to_numpy()[wrong]], axis=1), axis=0, return_counts=True
    )
    order = np.argsort(-counts, kind="stable")[:FREQUENT]
    named = [
        f"{class_names[true]} taken for {class_names[taken]} ({plural(int(times), 'time')})"
        for (true, taken), times in zip(pairs[order], counts[order], strict=True)
    ]
    return f"{total}, most often {listed(named)}" if named else total
