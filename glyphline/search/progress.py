"""What a search says while it runs: trials done, the best so far, the time left."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from tqdm import tqdm

from glyphline.search.table import COMPLETE


class Progress:
    """A bar on a terminal, a line a trial elsewhere. The time left is as if coming trials took as long as past ones."""

    def __init__(self, trials: int, epochs: int, done: int, output: TextIO | None = None) -> None:
        self._trials, self._epochs = trials, epochs
        self._output = output or sys.stdout
        self._started = time.perf_counter()
        self._best: tuple[float, int] | None = None
        self._ended = self._kept = done
        self._seen: dict[int, int] = {}  # epochs of each trial under way
        self._bar = (
            tqdm(total=trials * epochs, initial=done * epochs, unit="epoch", file=self._output, dynamic_ncols=True)
            if self._output.isatty()
            else None
        )
        if done:
            self.note(f"{done} of {trials} trials were done before")

    def note(self, text: str) -> None:
        """Say something that is no trial's end."""
        if self._bar is not None:
            self._bar.write(text, file=self._output)
        else:
            print(text, file=self._output, flush=True)

    def epoch(self, trial: int, epoch: int) -> None:
        """A trial has done this many epochs."""
        self._advance(epoch - self._seen.get(trial, 0))
        self._seen[trial] = epoch

    def known(self, trial: int, accuracy: float | None) -> None:
        """A trial that was done before had this validation accuracy."""
        self._consider(trial, accuracy)

    def ended(self, trial: int, state: str, accuracy: float | None, epochs: int, reason: str = "") -> None:
        """A trial ended: state as in the table, accuracy its best on the validation split."""
        self._ended += 1
        self._advance(self._epochs - self._seen.get(trial, 0))
        self._seen[trial] = self._epochs
        self._consider(trial, accuracy)
        what = f"failed, {reason}" if accuracy is None else f"validation accuracy {accuracy:.4f}"
        after = "" if state == COMPLETE else f", {state} after {epochs} epochs" if accuracy is not None else ""
        best = f"; best {self._best[0]:.4f} (trial {self._best[1]})" if self._best else ""
        line = f"trial {trial}: {what}{after}; {self._ended} of {self._trials} done{best}"
        if self._bar is None:
            self.note(line + self._left())
        else:
            self._bar.set_description_str(f"{self._ended} of {self._trials} trials{best}")
            if accuracy is None:
                self.note(line)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()

    def _consider(self, trial: int, accuracy: float | None) -> None:
        if accuracy is not None and (self._best is None or (-accuracy, trial) < (-self._best[0], self._best[1])):
            self._best = (accuracy, trial)

    def _advance(self, epochs: int) -> None:
        if self._bar is not None and epochs > 0:
            self._bar.update(epochs)

    def _left(self) -> str:
        todo = self._trials - self._ended
        if not todo:
            return ""
        done_now = max(self._ended - self._kept, 1)
        seconds = (time.perf_counter() - self._started) / done_now * todo
        return f"; about {seconds:.0f} s left" if seconds < 120 else f"; about {seconds / 60:.0f} min left"
