"""The pictures of the HTML page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from glyphline.evaluation.metrics import METRICS
from glyphline.evaluation.significance import Verdict
from glyphline.figures.changes import Interval, Row, class_changes, differences, flips
from glyphline.figures.style import Picture, shown
from glyphline.review.changed import Changed
from glyphline.review.compare import Comparison, VariantReview

MOST_SHOWN = 32  # images of one gallery
MOST_CLASSES = 90  # that moved, in one figure


def draw(comparison: Comparison, changed: Changed | None) -> Iterator[tuple[str, Picture]]:
    """The differences, the classes that moved, and the images that changed where they are on this machine.

    Each with the key of the section of the page that it belongs to.
    """
    moved = [review for review in comparison.variants if review.moves]
    if not moved:
        return
    record = comparison.after.record
    dataset = record.title if record else comparison.after.dataset
    for metric in METRICS:
        section = "leading" if metric == comparison.leading_metric else metric
        rows = [row for review in moved if (row := _row(review, metric))]
        yield section, differences(rows, metric, dataset)
    yield "classes", _class_changes(moved, dataset)
    if changed:
        for review in moved:
            lost, gained = changed.flips(review.name)
            for found, what in ((lost, "right before, wrong after"), (gained, "wrong before, right after")):
                if found:
                    yield "images", flips(found[:MOST_SHOWN], len(found), f"{review.name}: {what}", dataset)


def _row(review: VariantReview, metric: str) -> Row | None:
    change = review.changes[metric]
    if change.images is None:
        return None
    images = Interval(change.images.difference, change.images.low, change.images.high)
    seeds = Interval(change.seeds.difference, change.seeds.low, change.seeds.high) if change.seeds else None
    return Row(review.name, str(change.verdict), change.verdict in (Verdict.BETTER, Verdict.WORSE), images, seeds)


def _class_changes(moved: Sequence[VariantReview], dataset: str) -> Picture:
    net_moves = Counter[tuple[int, str, int]]()
    for review in moved:
        net_moves.update({(move.label, move.name, move.n): abs(move.gained - move.lost) for move in review.moves})
    classes = sorted(each for each, _ in net_moves.most_common(MOST_CLASSES))
    columns = {label: column for column, (label, _, _) in enumerate(classes)}
    net = np.zeros((len(moved), len(classes)), np.int64)
    for row, review in enumerate(moved):
        for move in review.moves:
            if move.label in columns:
                net[row, columns[move.label]] = move.gained - move.lost
    names, sizes = shown([name for _, name, _ in classes]), np.array([n for _, _, n in classes])
    return class_changes([review.name for review in moved], names, net, sizes, dataset, count=len(net_moves))
