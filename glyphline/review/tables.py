"""The tables of the page, as Markdown; an empty text where there is nothing to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from glyphline.evaluation.metrics import METRICS
from glyphline.evaluation.numbers import (
    MINUS,
    p_value,
    percent,
    percent_interval,
    plural,
    points,
    points_interval,
    signed,
)
from glyphline.evaluation.significance import FEWEST_SEEDS, SeedStatistics, Verdict
from glyphline.review.compare import Comparison, ParamChange, VariantReview
from glyphline.review.markdown import code, table
from glyphline.review.results import COSTS, Results
from glyphline.review.revision import Lines

MARKS = {Verdict.BETTER: "**▲ better**", Verdict.WORSE: "**▼ worse**"}
CLASSES_IN_A_CELL = 3
CLASSES_LISTED = 12  # of each variant


def of_metric(comparison: Comparison, metric: str) -> str:
    """A row for each variant of both revisions: its verdict, and what it rests on."""
    header = ["variant", "verdict", "before", "after", "difference, points", "95 % interval", "p", "lost", "gained"]
    leading = metric == comparison.leading_metric
    rows, of_few_seeds = [], []
    for review in comparison.variants:
        change = review.changes[metric]
        images, tested = change.images, [""] * 5
        if images is not None and change.verdict is Verdict.UNCHANGED:
            tested = [points(0), "", "", "0", "0"]
        elif images is not None and change.p_value is not None:
            tested = [points(images.difference), points_interval(images.low, images.high), p_value(change.p_value)]
            tested += [f"{images.lost:,}", f"{images.gained:,}"]
        verdict = MARKS.get(change.verdict, str(change.verdict))
        rows.append([code(review.name), verdict, percent(change.before), percent(change.after), *tested])
        if leading:
            moved = [move for move in review.moves if move.gained != move.lost][:CLASSES_IN_A_CELL]
            rows[-1].append(", ".join(f"{code(move.name)} {signed(move.gained - move.lost)}" for move in moved))
        if change.verdict in MARKS and change.seeds is None:
            of_few_seeds.append(code(review.name))
    body = table([*header, "classes that moved most"] if leading else header, rows, range(2, 9))
    if not of_few_seeds:
        return body
    few = f"trained with fewer than {FEWEST_SEEDS} seeds before and after"
    noise = "so that the noise of training is not in the verdict; `seeds` in params.yaml measures it."
    return f"{body}\n\n{', '.join(of_few_seeds)}: {few}, {noise}"


def of_levels(comparison: Comparison) -> str:
    """Every metric of both revisions, each with its own interval."""

    def level(scores: Mapping[str, Any], metric: str) -> str:
        low, high = scores.get(f"{metric}_low"), scores.get(f"{metric}_high")
        ends = "" if low is None or high is None else f" ({percent_interval(low, high)})"
        return percent(scores[metric]) + ends

    sides = (comparison.before, comparison.after)
    rows = [
        [code(review.name), metric.title, *(level(side.metrics[review.name], metric.name) for side in sides)]
        for review in comparison.variants
        for metric in METRICS.values()
    ]
    return table(["variant", "metric", "before", "after"], rows, range(2, 4))


def of_seeds(comparison: Comparison) -> str:
    """The means of the variants that either revision trained with several seeds."""

    def moments(side: SeedStatistics) -> str:
        if side.sd is None:
            return f"{percent(side.mean)} (1 seed)"
        return f"{100 * side.mean:.2f} ± {percent(side.sd)} ({side.n} seeds)"

    header = ["variant", "metric", "before: mean ± sd", "after: mean ± sd", "difference, points", "95 % interval", "p"]
    rows = []
    for review in comparison.variants:
        for metric, change in review.changes.items():
            if any(side.n > 1 for side in change.over_seeds):
                seeds, tested = change.seeds, [""] * 3
                if seeds:
                    tested = [points(seeds.difference), points_interval(seeds.low, seeds.high), p_value(seeds.p_value)]
                rows.append([code(review.name), METRICS[metric].title, *map(moments, change.over_seeds), *tested])
    return table(header, rows, range(2, 7))


def of_come_and_gone(comparison: Comparison) -> str:
    """The variants that only one revision has."""
    titles = [metric.title for metric in METRICS.values()]
    rows = [
        [code(name), what, *(percent(side.metrics[name][metric]) for metric in METRICS), *_costs(side, name)]
        for what, side, names in (
            ("added", comparison.after, comparison.added),
            ("removed", comparison.before, comparison.removed),
        )
        for name in names
    ]
    return table(["variant", "", *titles, "parameters", "multiply-adds"], rows, range(2, 4 + len(titles)))


def of_classes(variants: Sequence[VariantReview]) -> str:
    """What became of the images of each class, in the variants where any moved."""
    rows = [
        [
            code(review.name),
            code(move.name),
            f"{move.n:,}",
            str(move.lost),
            str(move.gained),
            points(move.recall_difference),
        ]
        for review in variants
        for move in review.moves[:CLASSES_LISTED]
    ]
    body = table(["variant", "class", "images", "lost", "gained", "recall, points"], rows, range(2, 6))
    cut = any(len(review.moves) > CLASSES_LISTED for review in variants)
    return f"{body}\n\nOf each variant the {CLASSES_LISTED} classes that moved most." if cut else body


def of_params(comparison: Comparison) -> str:
    """The parameters that changed; what changed alike in every variant stands once."""
    everywhere: list[ParamChange] = []
    if len(comparison.variants) > 1:
        first, *others = (review.params for review in comparison.variants)
        everywhere = [change for change in first if all(change in params for params in others)]
    changes = [*comparison.params, *(replace(change, key=f"variants.*.{change.key}") for change in everywhere)]
    changes += [
        replace(change, key=f"variants.{review.name}.{change.key}")
        for review in comparison.variants
        for change in review.params
        if change not in everywhere
    ]
    return of_changes(changes, "parameter")


def of_changes(changes: Sequence[ParamChange], thing: str) -> str:
    """Keys with their values before and after."""
    rows = [
        [code(change.key), *("not there" if value is None else code(value) for value in (change.before, change.after))]
        for change in changes
    ]
    return table([thing, "before", "after"], rows)


def of_lines(comparison: Comparison, lines: Sequence[Lines]) -> tuple[str, str]:
    """How many lines of code changed, and a table of the files that judge the change or that stages use."""
    used_by = [*comparison.before.used_by.items(), *comparison.after.used_by.items()]
    rows, used = [], []
    for file in lines:
        users = {name for path, names in used_by for name in names if PurePath(file.path).is_relative_to(path)}
        if users:
            used.append(file)
        if users or file.judges:
            named = ", ".join(map(code, sorted(users))) or "none, but it decides how this change is judged"
            rows.append([code(file.path), str(file.added), str(file.removed), named])
    others = [file for file in lines if file not in used]
    title = f"Code: {_sum_of(used)} that stages use, {_sum_of(others)} that none uses"
    body = table(["file", "lines added", "removed", "stages that use it"], rows, range(1, 3))
    return title, body or ("No stage uses what changed." if others else "")


def _sum_of(lines: Sequence[Lines]) -> str:
    added, removed = sum(file.added for file in lines), sum(file.removed for file in lines)
    return f"+{added:,} {MINUS}{removed:,} lines in {plural(len(lines), 'file')}"


def of_costs(comparison: Comparison) -> tuple[str, str]:
    """Whether any variant costs something else now, and the parameters and multiply-adds of each."""
    names = [review.name for review in comparison.variants]
    before, after = comparison.before, comparison.after
    changed = [name for name in names if before.costs[name] != after.costs[name]]
    title = f"Cost: {plural(len(changed), 'variant') + ' changed' if changed else 'unchanged'}"
    header = ["variant", "parameters before", "after", "multiply-adds before", "after"]
    rows = [
        [code(name), *(cell for pair in zip(_costs(before, name), _costs(after, name), strict=True) for cell in pair)]
        for name in names
    ]
    return title, table(header, rows, range(1, 5))


def _costs(results: Results, variant: str) -> list[str]:
    costs = results.costs[variant]
    return [f"{costs[cost]:,}" if cost in costs else "" for cost in COSTS]
