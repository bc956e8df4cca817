"""Numbers and findings in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from glyphline.report.verdict import Rival, Verdict

SPACE = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
MANY = 5_000  # test images from which on a percentage has two decimals
FREQUENT = 3  # confusions that the text names


def metric_name(metric: str) -> str:
    return metric.replace("_", " ")


def percent(fraction: float, n: int) -> str:
    """A share of n images: 0.976 to "97.6 %", with a second decimal where n supports it."""
    return f"{100 * fraction:.{decimals(n)}f}{SPACE}%"


def interval(low: float, high: float, n: int) -> str:
    return f"{100 * low:.{decimals(n)}f} to {percent(high, n)}"


def points(difference: float, n: int) -> str:
    """A difference of shares of n images in percentage points, with its sign and a true minus."""
    rounded = round(100 * difference, decimals(n))
    return f"{rounded:+.{decimals(n)}f}".replace("-", MINUS) if rounded else f"{0:.{decimals(n)}f}"


def decimals(n: int) -> int:
    return 2 if n >= MANY else 1


def count(value: float) -> str:
    return f"{value:,.0f}"


def short(value: float) -> str:
    """1199882 to "1.20 M"."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * unit:  # what rounds to 1000 k is 1 M
            return f"{value / unit:#.3g}".removesuffix(".") + SPACE + name
    return f"{value:.0f}"


def p_value(p: float) -> str:
    return f"p{SPACE}<{SPACE}0.001" if p < 0.001 else f"p{SPACE}={SPACE}{p:.{3 if p < 0.1 else 2}f}"


def listed(names: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def plural(n: int, singular: str) -> str:
    return f"{count(n)} {singular}{'' if n == 1 else 's'}"


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
    best = test[verdict.winner]
    n, metric = best["n"], verdict.metric
    tied = [name for name in verdict.ranking[1:] if test[name][metric] == best[metric]]
    first = f"{verdict.winner} comes first" if verdict.rivals else f"{verdict.winner} is alone"
    even = f", level with {listed(tied)} but of lower loss" if tied else ""
    return (
        f"{first}{even}: {metric_name(metric)} {percent(best[metric], n)} on {plural(n, 'test image')} "
        f"(95{SPACE}% interval {interval(best[f'{metric}_low'], best[f'{metric}_high'], n)})."
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


def thrift(test: dict[str, Any], train: dict[str, Any], verdict: Verdict) -> str:
    """The smallest network among those as good as the winner, where that is another one."""
    equals = [verdict.winner, *verdict.unbeaten]
    smallest = min(equals, key=lambda name: int(train[name]["parameters"]))
    size, largest = int(train[smallest]["parameters"]), int(train[verdict.winner]["parameters"])
    if size == largest:
        return ""
    metrics = test[smallest]
    return (
        f"The smallest network not measurably worse is {smallest}: {count(size)} parameters instead of "
        f"{count(largest)}, {percent(metrics[verdict.metric], metrics['n'])} "
        f"({interval(metrics[f'{verdict.metric}_low'], metrics[f'{verdict.metric}_high'], metrics['n'])})."
    )


def standing(name: str, verdict: Verdict, n: int) -> str:
    """A variant's place, and how far from the winner it is."""
    place = f"Place {verdict.ranking.index(name) + 1} of {len(verdict.ranking)}"
    rival = verdict.rivals.get(name)
    if rival is None:
        return f"{place}."
    paired = rival.paired
    return (
        f"{place}: {points(paired.difference, n)} points ({points(paired.low, n)} to {points(paired.high, n)}) against "
        f"{verdict.winner}, {noise(rival)}."
    )


def noise(rival: Rival) -> str:
    return f"{'beyond noise' if rival.beaten else 'within noise'}, {p_value(rival.p_value)}"


def confusions(labels: pd.Series, predicted: pd.Series, class_names: Sequence[str]) -> str:
    """How many errors, and the most frequent of them: "24 of 1,000 test images wrong, most often ..."."""
    wrong = (labels != predicted).to_numpy()
    total = f"{count(int(wrong.sum()))} of {plural(len(labels), 'test image')} wrong"
    pairs, counts = np.unique(
        np.stack([labels.to_numpy()[wrong], predicted.to_numpy()[wrong]], axis=1), axis=0, return_counts=True
    )
    order = np.argsort(-counts, kind="stable")[:FREQUENT]
    named = [
        f"{class_names[true]} taken for {class_names[taken]} ({plural(int(times), 'time')})"
        for (true, taken), times in zip(pairs[order], counts[order], strict=True)
    ]
    return f"{total}, most often {listed(named)}" if named else total


def signed(number: float) -> str:
    return f"{number:+.3f}".replace("-", MINUS)
