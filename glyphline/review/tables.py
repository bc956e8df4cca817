"""The tables of the page, as Markdown; an empty text where there is nothing to show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

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
from glyphline.review.compare import Change, Comparison, ParamChange, VariantReview
from glyphline.review.markdown import code, table
from glyphline.review.results import COSTS, Results
from glyphline.review.revision import Lines

MARKS = {Verdict.BETTER: "**▲ better**", Verdict.WORSE: "**▼ worse**"}
CLASSES_IN_A_CELL = 3
CLASSES_LISTED = 12  # of each variant
ABSENT = "not there"


def of_metric(comparison: Comparison, metric: str) -> str:
    """A row for each variant of both revisions: its verdict, and what it rests on."""
    header = ["variant", "verdict", "before", "after", "difference, points", "95 % interval", "p", "lost", "gained"]
    leading = metric == comparison.leading_metric
    rows = []
    for review in comparison.variants:
        change = review.changes[metric]
        row = [code(review.name), MARKS.get(change.verdict, str(change.verdict)), *_difference(change)]
        rows.append([*row, _moved_most(review)] if leading else row)
    body = table([*header, "classes that moved most"] if leading else header, rows, range(2, 9))
    return body + _caution(comparison, metric)


def _caution(comparison: Comparison, metric: str) -> str:
    """Which verdicts another seed might undo, as a paragraph below the table."""
    changes = {review.name: review.changes[metric] for review in comparison.variants}
    names = [code(name) for name, change in changes.items() if change.verdict in MARKS and change.seeds is None]
    if not names:
        return ""
    return (
        f"\n\n{', '.join(names)}: trained with fewer than {FEWEST_SEEDS} seeds before and after, so that the noise of "
        "training is not in the verdict; `seeds` in params.yaml measures it."
    )


def _difference(change: Change) -> list[str]:
    levels = [percent(change.before), percent(change.after)]
    images = change.images
    if images is None:
        return [*levels, *[""] * 5]
    if change.verdict is Verdict.UNCHANGED:
        return [*levels, points(0), "", "", "0", "0"]
    paired = [points(images.difference), points_interval(images.low, images.high), p_value(change.p_value or 0)]
    return [*levels, *paired, f"{images.lost:,}", f"{images.gained:,}"]


def _moved_most(review: VariantReview) -> str:
    moved = [move for move in review.moves if move.gained != move.lost][:CLASSES_IN_A_CELL]
    return ", ".join(f"{code(move.name)} {signed(move.gained - move.lost)}" for move in moved)


def of_levels(comparison: Comparison) -> str:
    """Both metrics of both revisions, each with its own interval."""
    rows = [
        [code(review.name), METRICS[metric].title]
        + [_with_interval(results, review.name, metric) for results in (comparison.before, comparison.after)]
        for review in comparison.variants
        for metric in METRICS
    ]
    return table(["variant", "metric", "before", "after"], rows, range(2, 4))


def _with_interval(results: Results, variant: str, metric: str) -> str:
    scores = results.metrics[variant]
    low, high = (scores.get(f"{metric}_{end}") for end in ("low", "high"))
    ends = "" if low is None or high is None else f" ({percent_interval(low, high)})"
    return percent(scores[metric]) + ends


def of_seeds(comparison: Comparison) -> str:
    """The means of the variants that either revision trained with several seeds."""
    header = ["variant", "metric", "before: mean ± sd", "after: mean ± sd", "difference, points", "95 % interval", "p"]
    rows = []
    for review in comparison.variants:
        for metric, change in review.changes.items():
            if any(spread.n > 1 for spread in change.over_seeds):
                seeds = change.seeds
                test = [points(seeds.difference), points_interval(seeds.low, seeds.high)] if seeds else ["", ""]
                row = [code(review.name), METRICS[metric].title, *map(_spread, change.over_seeds), *test]
                rows.append([*row, p_value(seeds.p_value) if seeds else ""])
    return table(header, rows, range(2, 7))


def _spread(spread: SeedStatistics) -> str:
    if spread.sd is None:
        return f"{percent(spread.mean)} (1 seed)"
    return f"{100 * spread.mean:.2f} ± {percent(spread.sd)} ({spread.n} seeds)"


def of_come_and_gone(comparison: Comparison) -> str:
    """The variants that only one revision has."""
    rows = [[code(name), "added", *_levels(comparison.after, name)] for name in comparison.added]
    rows += [[code(name), "removed", *_levels(comparison.before, name)] for name in comparison.removed]
    titles = [metric.title for metric in METRICS.values()]
    return table(["variant", "", *titles, "parameters", "multiply-adds"], rows, range(2, 4 + len(titles)))


def _levels(results: Results, variant: str) -> list[str]:
    levels = [percent(results.metrics[variant][metric]) for metric in METRICS]
    return [*levels, *(_cost(results, variant, cost) for cost in COSTS)]


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
    changes = list(comparison.params)
    everywhere = [change for change in _every_change(comparison) if _is_everywhere(comparison, change)]
    changes += [ParamChange(f"variants.*.{change.key}", change.before, change.after) for change in everywhere]
    for review in comparison.variants:
        changes += [
            ParamChange(f"variants.{review.name}.{change.key}", change.before, change.after)
            for change in review.params
            if change not in everywhere
        ]
    return of_changes(changes, "parameter")


def _every_change(comparison: Comparison) -> list[ParamChange]:
    return list(dict.fromkeys(change for review in comparison.variants for change in review.params))


def _is_everywhere(comparison: Comparison, change: ParamChange) -> bool:
    return len(comparison.variants) > 1 and all(change in review.params for review in comparison.variants)


def of_changes(changes: Sequence[ParamChange], thing: str) -> str:
    """Keys with their values before and after."""
    rows = [[code(change.key), *(_value(value) for value in (change.before, change.after))] for change in changes]
    return table([thing, "before", "after"], rows)


def _value(value: str | None) -> str:
    return ABSENT if value is None else code(value)


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


def of_costs(comparison: Comparison) -> str:
    """Parameters and multiply-adds of every variant of both revisions."""
    rows = []
    for review in comparison.variants:
        cells = [
            _cost(results, review.name, cost) for cost in COSTS for results in (comparison.before, comparison.after)
        ]
        rows.append([code(review.name), *cells])
    header = ["variant", "parameters before", "after", "multiply-adds before", "after"]
    return table(header, rows, range(1, 5))


def title_of_costs(comparison: Comparison) -> str:
    """Whether any variant costs something else now."""
    before, after = comparison.before.costs, comparison.after.costs
    changed = [review.name for review in comparison.variants if before[review.name] != after[review.name]]
    return f"Cost: {plural(len(changed), 'variant') + ' changed' if changed else 'unchanged'}"


def _cost(results: Results, variant: str, cost: str) -> str:
    costs = results.costs[variant]
    return f"{costs[cost]:,}" if cost in costs else ""
