"""Successive halving by rungs: which trials are trained on, told from the scores of all alone.

K. Jamieson and A. Talwalkar, AISTATS 2016. A rung is over when all its trials are there, so that nothing depends on
which of them came first.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise


def sizes(trials: int, heights: Sequence[int]) -> list[int]:
    """How many trials are in each rung. heights: the epochs at its end, rising.

    The share of a rung's trials that goes on is its epochs over the next rung's, so rungs after the first take as long.
    """
    found = [trials]
    for here, following in pairwise(heights):
        found.append(-(-found[-1] * here // following))
    return found


def targets(scores: Sequence[Sequence[float]], ended: Collection[int], heights: Sequence[int]) -> list[int]:
    """The epoch up to which each trial is trained, as far as is known: no further than a rung that is not over.

    scores: of each trial after each of its epochs, the higher the better; a trial's best counts, the first of equals.
    ended: the trials that have failed, by number.
    """
    found = [heights[0]] * len(scores)
    rung = list(range(len(scores)))
    for size, (here, following) in zip(sizes(len(scores), heights)[1:], pairwise(heights), strict=True):
        if any(len(scores[trial]) < here and trial not in ended for trial in rung):
            break
        there = [trial for trial in rung if len(scores[trial]) >= here]
        rung = sorted(there, key=lambda trial: (-max(scores[trial][:here]), trial))[:size]
        for trial in rung:
            found[trial] = following
    return found
