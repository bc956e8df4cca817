from __future__ import annotations

import io
from typing import Any

from glyphline.search.progress import Progress
from glyphline.search.settings import Search
from glyphline.search.table import COMPLETE, FAILED, STOPPED
from tests.search.conftest import SEARCH


def row(trial: int, state: str, score: float | None, epochs: int, failure: str = "") -> dict[str, Any]:
    return {"trial": trial, "state": state, "validation_score": score, "epochs": epochs, "failure": failure}


def search(**changes: Any) -> Search:
    return Search.model_validate(SEARCH | {"fixed": {"epochs": 5}} | changes)


def test_a_line_a_trial_says_what_is_done_the_best_and_the_time_left() -> None:
    output = io.StringIO()
    progress = Progress(search(), "balanced_accuracy", threads=2, output=output)
    progress.before(row(0, COMPLETE, 0.9, epochs=5), 5)
    for epoch in (1, 2, 3):
        progress.epoch(2, epoch, seconds=2)
    progress.ended(row(2, STOPPED, 0.5, epochs=3), 5, done=2, rung=4, trials=4)
    progress.ended(row(1, FAILED, None, epochs=0, failure="out of memory"), 5, done=3, rung=4, trials=4)
    progress.ended(row(3, COMPLETE, 0.95, epochs=5), 5, done=4, rung=4, trials=4)
    assert output.getvalue().splitlines() == [
        "trial 2: validation balanced accuracy 0.5000, stopped after 3 epochs; 2 of 4 done; best 0.9000 (trial 0); "
        "about 10 s left",
        "trial 1: failed, out of memory; 3 of 4 done; best 0.9000 (trial 0); about 5 s left",
        "trial 3: validation balanced accuracy 0.9500; 4 of 4 done; best 0.9500 (trial 3)",
    ]


def test_a_line_says_the_rung_and_the_time_that_all_rungs_take() -> None:
    output = io.StringIO()
    rungs = search(stopping="rungs", rungs=[1], trials=10)
    progress = Progress(rungs, "accuracy", threads=1, output=output)
    progress.epoch(4, 1, seconds=3)
    progress.ended(row(4, STOPPED, 0.5, epochs=1), 1, done=1, rung=10, trials=10)
    # Nine trials of one epoch, then the best two of the ten for four more.
    left = f"about {3 * (9 + 2 * 4)} s left"
    said = "rung 1 of 2, trial 4: validation accuracy 0.5000 after 1 epochs; 1 of 10 done; best 0.5000 (trial 4)"
    assert output.getvalue() == f"{said}; {left}\n"


def test_minutes_are_over_when_one_trial_more_would_end_later() -> None:
    progress = Progress(search(minutes=1), "accuracy", threads=2, output=io.StringIO())
    assert not progress.out_of_time(100), "nothing is known yet"
    progress.epoch(0, 1, seconds=4)
    # So many trials of five epochs, four seconds an epoch, two at a time, but for the epoch that is done.
    assert [progress.out_of_time(trials) for trials in (1, 5, 7, 20)] == [False, False, True, True]


def test_a_terminal_gets_a_bar_that_fills_with_the_epochs() -> None:
    output = io.StringIO()
    output.isatty = lambda: True  # type: ignore[method-assign]
    progress = Progress(search(trials=2), "accuracy", threads=1, output=output)
    progress.epoch(0, 1)
    progress.epoch(0, 2)
    progress.ended(row(0, STOPPED, 0.5, epochs=2), 5, done=1, rung=2, trials=2)
    progress.ended(row(1, COMPLETE, 0.25, epochs=5), 5, done=2, rung=2, trials=2)
    progress.close()
    last = output.getvalue().replace("\r", "\n").splitlines()[-1]
    assert "2 of 2 trials; best 0.5000 (trial 0)" in last
    assert "10/10" in last
