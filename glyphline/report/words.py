"""Numbers and findings in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from glyphline.evaluation.metrics import METRICS
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
from glyphline.evaluation.significance import Compared, Verdict
from glyphline.report.ranking import Ranking

FREQUENT = 3  # confusions that the text names
LISTED = 20  # unreadable files and the like that the page names one by one


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


def findings(found: dict[str, Any]) -> list[tuple[str, str]]:
    """What the record of a user's data set says of its import, each with its name in words."""
    shown = {
        name: [*each[:LISTED], f"and {len(each) - LISTED:,} more"]
        if isinstance(each, list) and len(each) > LISTED
        else each
        for name, each in found.items()
    }
    return [(name.replace("_", " ").capitalize(), value(each)) for name, each in shown.items()]


def headline(test: dict[str, Any], ranking: Ranking) -> str:
    """Who comes first, with what figure."""
    best, metric = test[ranking.winner], ranking.metric
    digits = decimals(best["n"])
    tied = [name for name in ranking.variants[1:] if test[name][metric] == best[metric]]
    first = f"{ranking.winner} comes first" if ranking.rivals else f"{ranking.winner} is alone"
    even = f", level with {listed(tied)} but of lower loss" if tied else ""
    return (
        f"{first}{even}: {METRICS[metric].title} {percent(best[metric], digits)} on {plural(best['n'], 'test image')} "
        f"(95 % interval {percent_interval(best[f'{metric}_low'], best[f'{metric}_high'], digits)})."
    )


def finding(ranking: Ranking) -> str:
    """Whether the winner wins by more than noise, and against whom."""
    beaten, unbeaten, others = ranking.beaten, ranking.unbeaten, len(ranking.rivals)
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


def smallest(test: dict[str, Any], train: dict[str, Any], ranking: Ranking) -> str:
    """The smallest network among those as good as the winner, where that is another one."""
    equals = [ranking.winner, *ranking.unbeaten]
    name = min(equals, key=lambda name: int(train[name]["parameters"]))
    size, largest = int(train[name]["parameters"]), int(train[ranking.winner]["parameters"])
    if size == largest:
        return ""
    metrics, metric, digits = test[name], ranking.metric, decimals(test[name]["n"])
    return (
        f"The smallest network not measurably worse is {name}: {size:,} parameters instead of "
        f"{largest:,}, {percent(metrics[metric], digits)} "
        f"({percent_interval(metrics[f'{metric}_low'], metrics[f'{metric}_high'], digits)})."
    )


def standing(name: str, ranking: Ranking, n: int) -> str:
    """A variant's place, and how far from the winner it is."""
    place = f"Place {ranking.variants.index(name) + 1} of {len(ranking.variants)}"
    rival = ranking.rivals.get(name)
    if rival is None:
        return f"{place}."
    images, digits = rival.images, decimals(n)
    return (
        f"{place}: {points(images.difference, digits)} points ({points_interval(images.low, images.high, digits)}) "
        f"against {ranking.winner}, {noise(rival)}."
    )


def noise(rival: Compared) -> str:
    p = p_value(rival.p_value)
    noise = "beyond noise" if rival.verdict is Verdict.WORSE else "within noise"
    return f"{noise}, p {p}" if p.startswith("<") else f"{noise}, p = {p}"


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
