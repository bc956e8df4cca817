"""What a search says while it runs: the rung, the trials that are done, the best so far, the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

from tqdm import tqdm

from glyphline.search.settings import Search
from glyphline.search.table import FAILED, STOPPED

Row = Mapping[str, Any]  # a trial that has come to the end of a rung, as in the table


class Progress:
    """A bar on a terminal, a line a trial elsewhere.

    The time left is as if all epochs to come took as long as past ones, on so many threads. metric: what is maximised.
    """

    def __init__(self, search: Search, metric: str, threads: int, output: TextIO | None = None) -> None:
        self._search, self._metric, self.threads = search, metric.replace("_", " "), max(1, threads)
        self._output = output or sys.stdout
        self._started = time.monotonic()
        self._epochs: dict[int, int] = {}  # by the number of the trial
        self._seconds = self._timed = 0.0  # of epochs, and how many of them
        self._best: tuple[float, int] | None = None  # the score, and minus the number of the trial
        self._bar = (
            tqdm(total=search.epochs(search.trials), unit="epoch", file=self._output, dynamic_ncols=True)
            if self._output.isatty()
            else None
        )

    def note(self, text: str) -> None:
        """Say something that is no trial's end."""
        if self._bar is not None:
            self._bar.write(text, file=self._output)
        else:
            print(text, file=self._output, flush=True)

    def epoch(self, trial: int, epoch: int, seconds: float = 0) -> None:
        """A trial has done this many epochs, the last in so many seconds."""
        if seconds:
            self._seconds, self._timed = self._seconds + seconds, self._timed + 1
        if self._bar is not None:
            self._bar.update(epoch - self._epochs.get(trial, 0))
        self._epochs[trial] = epoch

    def seconds_left(self, trials: int) -> float | None:
        """How long it takes until so many trials in all have ended, about; None as long as no epoch tells."""
        if not self._timed:
            return None
        left = max(0, self._search.epochs(trials) - sum(self._epochs.values()))
        return left * self._seconds / self._timed / self.threads

    def out_of_time(self, trials: int) -> bool:
        """Whether so many trials would take more than `minutes` from the beginning."""
        left = self.seconds_left(trials)
        passed = time.monotonic() - self._started
        return self._search.minutes is not None and left is not None and passed + left > 60 * self._search.minutes

    def where(self, height: int) -> str:
        """Which rung this height is the end of, where there are several: what a line begins with."""
        heights = self._search.heights
        return f"rung {heights.index(height) + 1} of {len(heights)}, " if len(heights) > 1 else ""

    def before(self, row: Row, height: int) -> None:
        """A trial had come to the end of the rung of this height before the search began."""
        self.epoch(row["trial"], height)
        self._note_best(row)

    def ended(self, row: Row, height: int, done: int, rung: int, trials: int | None) -> None:
        """A trial has come to the end of the rung of this height or ended before it.

        done: how many trials of the rung have. rung: how many it has. trials: how many in all; None until time is up.
        """
        self.epoch(row["trial"], height)
        self._note_best(row)
        where = self.where(height)
        if row["state"] == FAILED:
            result = f"failed, {row['failure']}"
        else:
            result = f"validation {self._metric} {row['validation_score']:.4f}"
            if row["state"] == STOPPED or where:
                result += f"{', stopped' if row['epochs'] < height else ''} after {row['epochs']} epochs"
        of = f"{done} of {rung}" if trials is not None else f"{done}"
        best = f"; best {self._best[0]:.4f} (trial {-self._best[1]})" if self._best else ""
        if self._bar is None:
            self.note(f"{where}trial {row['trial']}: {result}; {of} done{best}{self._left(trials)}")
        else:
            self._bar.total = max(self._bar.n, self._search.epochs(trials or done))
            self._bar.set_description_str(f"{where}{of} trials{best}")
            if row["state"] == FAILED:
                self.note(f"trial {row['trial']}: {result}")

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()

    def _note_best(self, row: Row) -> None:
        if row["state"] != FAILED:
            found = (row["validation_score"], -row["trial"])
            self._best = max(self._best, found) if self._best else found

    def _left(self, trials: int | None) -> str:
        if trials is None:
            assert self._search.minutes is not None
            seconds: float | None = max(0.0, 60 * self._search.minutes - (time.monotonic() - self._started))
        else:
            seconds = self.seconds_left(trials)
        if not seconds:
            return ""
        return f"; about {seconds:.0f} s left" if seconds < 120 else f"; about {seconds / 60:.0f} min left"
