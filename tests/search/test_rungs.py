"""Which trials go on, told from their scores alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyphline.search.rungs import sizes, targets

HEIGHTS = [1, 3, 9]
FIRST = [[0.1], [0.4], [0.2], [0.4], [0.3], [0.0], [0.1]]  # of seven trials, after one epoch


def going_on(further: dict[int, list[float]]) -> list[list[float]]:
    return [scores + further.get(trial, []) for trial, scores in enumerate(FIRST)]


@pytest.mark.parametrize(
    ("scores", "ended", "expected"),
    [
        ([[]], [], [1]),
        ([[0.1], [], [0.2]], [], [1, 1, 1]),  # the rung is not over
        ([[0.1], [], [0.2]], [1], [1, 1, 3]),  # it is, as trial 1 has failed
        ([[0.1], [0.2, 0.3], [0.2]], [], [1, 3, 1]),  # the first of equals, whatever comes later
        (FIRST, [], [1, 3, 1, 3, 3, 1, 1]),
        (going_on({1: [0.5, 0.6], 3: [0.7, 0.5]}), [], [1, 3, 1, 3, 3, 1, 1]),
        (going_on({1: [0.5, 0.6], 3: [0.7, 0.5], 4: [0.4, 0.6]}), [], [1, 3, 1, 9, 3, 1, 1]),  # the best, not the last
        (going_on({1: [0.5, 0.6], 3: [0.7], 4: [0.4]}), [3, 4], [1, 9, 1, 3, 3, 1, 1]),
        (going_on({1: [], 3: [], 4: []}), [1, 3, 4], [1, 3, 1, 3, 3, 1, 1]),  # none is left
    ],
)
def test_the_best_of_a_rung_go_on_when_all_are_there(
    scores: list[list[float]], ended: list[int], expected: list[int]
) -> None:
    assert targets(scores, ended, HEIGHTS) == expected


@given(st.integers(1, 200))
def test_a_rung_has_as_many_trials_as_are_let_through(trials: int) -> None:
    scores = [[trial / trials] * 9 for trial in range(trials)]
    found = targets(scores, [], HEIGHTS)
    assert [sum(end >= height for end in found) for height in HEIGHTS] == sizes(trials, HEIGHTS)
    assert found == sorted(found), "the better a trial the further it goes"
