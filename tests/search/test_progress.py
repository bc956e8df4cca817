from __future__ import annotations

import io
from typing import Any

from glyphline.search.progress import Progress
from glyphline.search.table import COMPLETE, FAILED, STOPPED


def row(trial: int, state: str, accuracy: float | None, epochs: int, failure: str = "") -> dict[str, Any]:
    return {"trial": trial, "state": state, "validation_accuracy": accuracy, "epochs": epochs, "failure": failure}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_a_trial_says_what_is_done_the_best_and_the_time_left() -> None:
    output = io.StringIO()
    progress = Progress(trials=4, epochs=5, before=[row(0, COMPLETE, 0.9, epochs=5)], output=output)
    progress.ended(row(2, STOPPED, 0.5, epochs=3))
    progress.ended(row(1, FAILED, None, epochs=0, failure="out of memory"))
    progress.ended(row(3, COMPLETE, 0.95, epochs=5))
    before, stopped, failed, complete = output.getvalue().splitlines()
    assert before == "1 of 4 trials were done before"
    assert stopped.startswith(
        "trial 2: validation accuracy 0.5000, stopped after 3 epochs; 2 of 4 done; best 0.9000 (trial 0); about "
    )
    assert failed.startswith("trial 1: failed, out of memory; 3 of 4 done; best 0.9000 (trial 0); about ")
    assert stopped.endswith(" s left")
    assert complete == "trial 3: validation accuracy 0.9500; 4 of 4 done; best 0.9500 (trial 3)"


def test_a_terminal_gets_a_bar_that_fills_with_the_epochs() -> None:
    output = Terminal()
    progress = Progress(trials=2, epochs=5, before=[], output=output)
    progress.epoch(0, 1)
    progress.epoch(0, 2)
    progress.ended(row(0, STOPPED, 0.5, epochs=2))
    progress.ended(row(1, COMPLETE, 0.25, epochs=5))
    progress.close()
    last = output.getvalue().replace("\r", "\n").splitlines()[-1]
    assert "2 of 2 trials; best 0.5000 (trial 0)" in last
    assert "10/10" in last
