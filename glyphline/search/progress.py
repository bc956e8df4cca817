"""What a search says while it runs: trials done, the best so far, the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from tqdm import tqdm

from glyphline.search.table import COMPLETE, FAILED

Row = Mapping[str, Any]  # a trial that has ended, as in the table


class Progress:
    """A bar on a terminal, a line a trial elsewhere. The time left is as if coming trials took as long as past ones."""

    def __init__(self, trials: int, epochs: int, before: Sequence[Row], output: TextIO | None = None) -> None:
        self._trials, self._epochs = trials, epochs
        self._output = output or sys.stdout
        self._started = time.perf_counter()
        self._ended = list(before)
        self._before = len(before)
        self._epochs_of: dict[int, int] = {}  # by the number of the trial
        self._bar = (
            tqdm(
                total=trials * epochs,
                initial=len(before) * epochs,
                unit="epoch",
                file=self._output,
                dynamic_ncols=True,
            )
            if self._output.isatty()
            else None
        )
        if before:
            self.note(f"{len(before)} of {trials} trials were done before")

    def note(self, text: str) -> None:
        """Say something that is no trial's end."""
        if self._bar is not None:
            self._bar.write(text, file=self._output)
        else:
            print(text, file=self._output, flush=True)

    def epoch(self, trial: int, epoch: int) -> None:
        """A trial has done this many epochs."""
        if self._bar is not None:
            self._bar.update(epoch - self._epochs_of.get(trial, 0))
        self._epochs_of[trial] = epoch

    def ended(self, row: Row) -> None:
        """A trial ended."""
        self._ended.append(row)
        self.epoch(row["trial"], self._epochs)
        if row["state"] == FAILED:
            result = f"failed, {row['failure']}"
        else:
            result = f"validation accuracy {row['validation_accuracy']:.4f}"
            if row["state"] != COMPLETE:
                result += f", {row['state']} after {row['epochs']} epochs"
        done = f"{len(self._ended)} of {self._trials}"
        best = self._best()
        if self._bar is None:
            self.note(f"trial {row['trial']}: {result}; {done} done{best}{self._left()}")
        else:
            self._bar.set_description_str(f"{done} trials{best}")
            if row["state"] == FAILED:
                self.note(f"trial {row['trial']}: {result}")

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()

    def _best(self) -> str:
        accuracies = [(row["validation_accuracy"], -row["trial"]) for row in self._ended if row["state"] != FAILED]
        if not accuracies:
            return ""
        accuracy, number = max(accuracies)
        return f"; best {accuracy:.4f} (trial {-number})"

    def _left(self) -> str:
        todo = self._trials - len(self._ended)
        if not todo:
            return ""
        seconds = (time.perf_counter() - self._started) / (len(self._ended) - self._before) * todo
        return f"; about {seconds:.0f} s left" if seconds < 120 else f"; about {seconds / 60:.0f} min left"
