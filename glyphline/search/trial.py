"""The process that trains trials, one after the other, each as if it were the first. A worker starts it.

It is a process of its own so that a trial which takes too much memory ends alone, and so that TensorFlow keeps to one
thread: sums over several depend in their last digits on how many there are.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

import numpy as np

from glyphline.model import training
from glyphline.model.variant import Variant

LONGEST_REASON = 120  # characters

Report = dict[str, float]  # epoch, from 1, training.COLUMNS' values after it, and the seconds of training up to there


@dataclass(frozen=True)
class Job:
    """One trial: what to train, on which data."""

    number: int
    variant: Variant
    seed: int


@dataclass(frozen=True)
class Stop:
    """A request to stop a trial, by its number. It may come after the trial's end, and then stops nothing."""

    number: int


@dataclass(frozen=True)
class Splits:
    """The data of all trials, and a digest of them."""

    digest: str
    train: training.Examples
    validation: training.Examples


@dataclass(frozen=True)
class Outcome:
    """How a job ended: with a failure in a few words, or with none. A lack of memory may pass, divergence will not."""

    failure: str | None = None
    may_pass: bool = False


class _StoppedError(Exception):
    """Nobody waits for this trial any more."""


def serve(descriptor: int) -> None:
    """Answer each Job with a Report an epoch and an Outcome, until the worker goes away. Splits are kept."""
    connection = Connection(descriptor)
    training.make_deterministic(seed=0, threads=1)  # each job brings its own seed
    splits: Splits | None = None
    inbox: SimpleQueue[tuple[Job, threading.Event] | Splits] = SimpleQueue()
    threading.Thread(target=_listen, args=(connection, inbox), daemon=True).start()
    while True:
        message = inbox.get()
        if isinstance(message, Splits):
            splits = _as_tensors(message)
        else:
            assert splits is not None, "the data come first"
            job, stopped = message
            connection.send(_outcome(job, splits, connection.send, stopped))


def _listen(connection: Connection, inbox: SimpleQueue[tuple[Job, threading.Event] | Splits]) -> None:
    stops: dict[int, threading.Event] = {}
    while True:
        try:
            message: Job | Splits | Stop = connection.recv()
        except (EOFError, OSError):
            os._exit(1)  # the worker is gone, whatever the other thread is at
        if isinstance(message, Stop):
            stops[message.number].set()
        elif isinstance(message, Job):
            stops[message.number] = threading.Event()  # a new one for another attempt at the same trial
            inbox.put((message, stops[message.number]))
        else:
            inbox.put(message)


def _outcome(job: Job, splits: Splits, report: Callable[[Report], None], stopped: threading.Event) -> Outcome:
    import tensorflow as tf

    try:
        train(job, splits, report, stopped.is_set)
    except FloatingPointError as error:
        return Outcome(str(error))
    except (MemoryError, tf.errors.ResourceExhaustedError):
        return Outcome("out of memory", may_pass=True)
    except _StoppedError:
        return Outcome("stopped", may_pass=True)
    except Exception as error:  # a network that cannot be built or run is one that cannot win
        traceback.print_exc()
        first_line = str(error).strip().partition("\n")[0]
        return Outcome(f"{type(error).__name__}: {first_line[:LONGEST_REASON]}")
    return Outcome()


def train(job: Job, splits: Splits, report: Callable[[Report], None], stopped: Callable[[], bool]) -> None:
    """Train a job's network and report each epoch. Raises FloatingPointError once the loss is no number."""
    import keras

    class Watcher(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_begin(self, logs: Any = None) -> None:
            self.clock = time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if stopped():
                raise _StoppedError

        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            values = {ours: float(logs[theirs]) for theirs, ours in training.COLUMNS.items()}
            if not np.isfinite(list(values.values())).all():
                raise FloatingPointError(f"diverged in epoch {epoch + 1}")
            report({"epoch": epoch + 1, "seconds": time.perf_counter() - self.clock} | values)

    training.fit(job.variant, splits.train, splits.validation, job.seed, watchers=[Watcher()])


def _as_tensors(splits: Splits) -> Splits:
    """The same data where TensorFlow can use them without a copy for each trial."""
    import tensorflow as tf

    train, validation = (
        training.Examples(tf.constant(part.images), tf.constant(part.labels))
        for part in (splits.train, splits.validation)
    )
    return Splits(splits.digest, train, validation)
