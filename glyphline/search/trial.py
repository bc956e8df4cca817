"""The process that trains trials, one after the other, each as if it were the first. A worker starts it.

It is a process of its own so that a trial which takes too much memory ends alone, and so that TensorFlow keeps to one
thread: sums over several depend in their last digits on how many there are.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glyphline.model import training
from glyphline.model.training import Checkpoint, Examples
from glyphline.model.variant import Variant

LONGEST_REASON = 120  # characters
METRICS = ("accuracy", "balanced_accuracy")  # of the validation images, that a trial can be judged by


class Report(NamedTuple):
    """One epoch of a trial: its number from 1, the validation score after it (0-1), the seconds up to its end."""

    trial: int
    epoch: int
    validation_score: float
    seconds: float


@dataclass(frozen=True)
class Job:
    """One trial, or a part of it: what to train up to which epoch, from where it stood, judged by which metric."""

    number: int
    variant: Variant
    seed: int
    end: int
    start: Checkpoint | None = None
    metric: str = "accuracy"


@dataclass(frozen=True)
class Stop:
    """A request to stop a trial, by its number. It may come after the trial's end, and then stops nothing."""

    number: int


@dataclass(frozen=True)
class Splits:
    """The data of all trials, and a digest of them.

    folder: where other processes of this machine find them too. With it Splits are pickled as their place, and a
    million images lie in memory once for all processes that look at them.
    """

    digest: str
    train: Examples
    validation: Examples
    folder: Path | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        if self.folder is not None:
            return Splits._mapped, (self.folder, self.digest)
        return Splits, (self.digest, self.train, self.validation)

    @classmethod
    def load(cls, folder: Path) -> Splits:
        """Map what preprocess wrote into memory."""
        md5 = hashlib.md5()
        for path in sorted(folder.glob("*/*.npy")):
            with path.open("rb") as file:
                md5.update(hashlib.file_digest(file, "md5").digest())
        return cls._mapped(folder.absolute(), md5.hexdigest())

    @classmethod
    def _mapped(cls, folder: Path, digest: str) -> Splits:
        train, validation = (Examples.load(folder / name) for name in ("train", "validation"))
        return cls(digest, train, validation, folder)

    def map(self, convert: Callable[[Any], Any]) -> Splits:
        """The same with every array converted."""
        train, validation = (
            Examples(convert(part.images), convert(part.labels), part.class_count)
            for part in (self.train, self.validation)
        )
        return Splits(self.digest, train, validation)


@dataclass(frozen=True)
class Outcome:
    """How a job ended: with a failure in a few words, or with none; a transient one may not come again.

    checkpoint: where a trial stands that ended before the last epoch of its variant.
    """

    failure: str | None = None
    transient: bool = False
    checkpoint: Checkpoint | None = None


class _StoppedError(Exception):
    """Nobody waits for this trial any more."""


def serve(descriptor: int) -> None:
    """Answer each Job with a Report an epoch and an Outcome, until the worker goes away. Splits are kept."""
    connection = Connection(descriptor)
    training.make_deterministic(seed=0, threads=1)  # each job brings its own seed

    def send(message: Report | Outcome) -> None:
        try:
            connection.send(message)
        except OSError:
            os._exit(1)  # the worker is gone

    splits: Splits | None = None
    inbox: SimpleQueue[tuple[Job, threading.Event] | Splits] = SimpleQueue()
    threading.Thread(target=_listen, args=(connection, inbox), daemon=True).start()
    while True:
        message = inbox.get()
        if isinstance(message, Splits):
            splits = message.map(training.tensor)  # once, and not for each trial
        else:
            assert splits is not None, "the data come first"
            job, stopped = message
            send(_run(job, splits, send, stopped))


def _listen(connection: Connection, inbox: SimpleQueue[tuple[Job, threading.Event] | Splits]) -> None:
    """Pass on what the worker sends, each job with the event that its stop sets."""
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


def balanced_accuracy(labels: NDArray[Any], predicted: NDArray[Any]) -> float:
    """The mean recall of the classes that occur among the labels; both (n,).

    As in glyphline.evaluation.metrics, which no search depends on: an edit there starts none again.
    """
    images, hits = np.bincount(labels), np.bincount(labels[predicted == labels], minlength=int(labels.max()) + 1)
    return float((hits[images > 0] / images[images > 0]).mean())


def _run(job: Job, splits: Splits, report: Callable[[Report], None], stopped: threading.Event) -> Outcome:
    import keras
    import tensorflow as tf

    class Watcher(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_begin(self, logs: Any = None) -> None:
            self.started = time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if stopped.is_set():
                raise _StoppedError

        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            if not np.isfinite([logs[name] for name in training.COLUMNS]).all():
                raise FloatingPointError(f"diverged in epoch {epoch + 1}")
            score = float(logs["val_accuracy"])
            if job.metric == "balanced_accuracy":
                predicted = self.model.predict(validation, verbose=0).argmax(axis=1)
                score = balanced_accuracy(np.asarray(splits.validation.labels), predicted)
            report(Report(job.number, epoch + 1, score, time.perf_counter() - self.started))

    if job.metric == "balanced_accuracy":
        size = training.evaluation_batch(splits.validation.image_shape)
        validation = training.batches(splits.validation, size).map(lambda images, _: images)
    try:
        trained = training.fit(
            job.variant,
            splits.train,
            splits.validation,
            job.seed,
            watchers=[Watcher()],
            start=job.start,
            end=job.end,
        )
    except FloatingPointError as error:
        return Outcome(str(error))
    except (MemoryError, tf.errors.ResourceExhaustedError):
        return Outcome("out of memory", transient=True)
    except _StoppedError:
        return Outcome("stopped", transient=True)
    except Exception as error:  # a network that cannot be built or run is one that cannot win
        traceback.print_exc()
        first_line = str(error).strip().partition("\n")[0]
        return Outcome(f"{type(error).__name__}: {first_line[:LONGEST_REASON]}")
    part = job.end < job.variant.epochs
    return Outcome(checkpoint=training.Checkpoint.of(trained.network, job.end) if part else None)
