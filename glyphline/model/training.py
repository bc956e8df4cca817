"""A variant and its data to a trained network and its history."""

from __future__ import annotations

import functools
import gc
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glyphline.model import networks
from glyphline.model.augmentation import augment
from glyphline.model.variant import Augmentation, Variant

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# What Keras calls the columns of a history, and what we do. `loss` is the cross-entropy alone: without an L2 penalty
# it compares between variants, and with the test loss.
COLUMNS = {
    "categorical_crossentropy": "loss",
    "accuracy": "accuracy",
    "val_categorical_crossentropy": "validation_loss",
    "val_accuracy": "validation_accuracy",
}
EVALUATION_BATCH = 1000  # images of 28x28 pixels that a network is applied to at once; of larger ones fewer
ITERATORS_AN_EPOCH = 2  # that Keras' fit makes over the training images; it trains on the first of them
NO_AUGMENTATION = Augmentation()
ALIGNMENT = 64  # bytes, of what TensorFlow's kernels read (EIGEN_MAX_ALIGN_BYTES)
DIGITS = 6  # decimals kept in tables and metrics


@dataclass(frozen=True)
class Examples:
    """images: (n, side, side) or (n, side, side, 3) uint8, 0-255. labels: (n,) uint8 or uint16, below class_count."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8] | NDArray[np.uint16]
    class_count: int

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Of one image as a network reads it: (side, side, 1 or 3)."""
        height, width, *channels = self.images.shape[1:]
        return height, width, channels[0] if channels else 1

    @classmethod
    def load(cls, folder: Path) -> Examples:
        """Read what preprocess wrote, without loading the images into memory yet.

        All processes that load them share the memory. What is written to an array changes no file.
        """
        images, labels = np.load(folder / "images.npy", mmap_mode="c"), np.load(folder / "labels.npy")
        return cls(images, labels, len(np.load(folder / "classes.npy")))


@dataclass(frozen=True)
class Checkpoint:
    """Where a training stands after an epoch, counted from 1: all that the network and its optimiser hold."""

    epoch: int
    arrays: list[NDArray[Any]]

    @classmethod
    def of(cls, network: keras.Model, epoch: int) -> Checkpoint:
        """That of a network which was trained for so many epochs."""
        return cls(epoch, [variable.numpy() for variable in _state(network)])

    def save(self, path: Path) -> None:
        """Write it to an `.npz` file, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, np.int64(self.epoch), *self.arrays)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read what `save` wrote."""
        with np.load(path) as file:
            epoch, *arrays = (file[f"arr_{position}"] for position in range(len(file.files)))
        return cls(int(epoch), arrays)


@dataclass(frozen=True)
class Trained:
    """What a training leaves.

    history: one row an epoch, counted from 1; columns epoch and COLUMNS' values. summary: see `summary`. seconds: of
    its epochs, without building the network.
    """

    network: keras.Model
    history: pd.DataFrame
    summary: dict[str, Any]
    seconds: float


def make_deterministic(seed: int, threads: int | None = None) -> None:
    """Import TensorFlow, seed Python, NumPy and TensorFlow, and let only deterministic kernels run.

    threads: how many TensorFlow computes with, if it has not started yet; None for one a core.
    """
    # matplotlib and scikit-learn are a third of Keras' start, and unused.
    with quiet(), _missing("matplotlib", "sklearn"), _uncollected():
        import keras
        import tensorflow as tf

        if threads is not None:
            with suppress(RuntimeError):  # it has started
                tf.config.threading.set_intra_op_parallelism_threads(threads)
                tf.config.threading.set_inter_op_parallelism_threads(threads)
        tf.config.list_logical_devices()
    tf.get_logger().setLevel("ERROR")  # not the advice about retracing: every variant is a function of its own
    keras.utils.clear_session()  # names that Keras makes up count from one again, for every network of a process
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


@contextmanager
def _missing(*packages: str) -> Iterator[None]:
    """Let the import of packages that are not imported yet fail meanwhile."""
    hidden = [package for package in packages if package not in sys.modules]
    for package in hidden:
        sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for package in hidden:
            del sys.modules[package]


@contextmanager
def _uncollected() -> Iterator[None]:
    """Spare what is imported meanwhile the collection of garbage: nearly all of TensorFlow's objects stay for good.

    Going through them takes half a second of the import, and another second when the process ends.
    """
    first, was_enabled = "tensorflow" not in sys.modules, gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
    if first:  # later there would be networks among what is frozen
        gc.freeze()


@contextmanager
def quiet() -> Iterator[None]:
    """Drop what is printed on the standard error meanwhile, TensorFlow's page about GPUs that are not there for one."""
    sys.stderr.flush()
    kept = os.dup(2)
    silence = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(silence, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(silence)


def tensor(array: Any) -> tf.Tensor:
    """The array as a tensor, which shares its memory where it can: a copy of a million images takes 0.7 GiB.

    DLPack hands over no array that is read-only, and TensorFlow's kernels read no other alignment than their own.
    """
    import tensorflow as tf

    flags = getattr(array, "flags", None)
    if flags is not None and flags.writeable and flags.c_contiguous and array.ctypes.data % ALIGNMENT == 0:
        return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
    return tf.constant(array)


def batches(
    examples: Examples,
    batch_size: int,
    shuffle_seed: int | None = None,
    augmentation: Augmentation = NO_AUGMENTATION,
    augmenting: tf.Variable | bool = True,
) -> tf.data.Dataset:
    """Images as (batch, side, side, channels) float32, 0-1, and labels, one-hot; the last batch is what is left.

    Images stay bytes until their batch is normalised, and are read where they lie: a million take 0.7 GiB, once.

    With a seed the order changes from epoch to epoch, the same way in every run, and images may be augmented: in the
    epochs that `augmenting` is true in. tf.data's autotuner is off: it would delay the end of every pass by seconds.
    """
    import tensorflow as tf

    with tf.device("CPU"):  # a variable: tf.data, where operations are deterministic, copies the tensors of a function
        images, labels = tf.Variable(tensor(examples.images), trainable=False), tf.constant(examples.labels)
    white = tf.constant(255.0)  # from outside of `gather`, where dividing by a constant may become multiplying
    count = len(examples.labels)

    def gather(chosen: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # Not of the variable itself: TensorFlow copies one that it takes rows out of.
        levels = tf.cast(tf.gather(images.value(), chosen), tf.float32)
        batch = tf.reshape(levels, (-1, *examples.image_shape)) / white
        return batch, tf.one_hot(tf.cast(tf.gather(labels, chosen), tf.int32), examples.class_count)

    def epoch(draw: tf.Tensor) -> tf.data.Dataset:
        # Shuffled as a whole: Dataset.shuffle goes position by position, a twentieth of a step of a dense network.
        order = tf.random.experimental.stateless_shuffle(tf.range(count), (shuffle_seed, draw))
        ordered = tf.data.Dataset.from_tensor_slices(order).batch(batch_size).map(gather)
        return ordered if augmentation == NO_AUGMENTATION else ordered.enumerate().map(functools.partial(move, draw))

    def move(draw: tf.Tensor, step: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        moved = functools.partial(augment, batch[0], augmentation, (draw, step))
        return tf.cond(tf.convert_to_tensor(augmenting), moved, lambda: batch[0]), batch[1]

    if shuffle_seed is None:
        dataset = tf.data.Dataset.range(count).batch(batch_size).map(gather)
    else:
        draws = tf.data.Dataset.random(shuffle_seed, rerandomize_each_iteration=True).take(1)  # another one every pass
        dataset = draws.flat_map(epoch).apply(tf.data.experimental.assert_cardinality(math.ceil(count / batch_size)))
    if tf.config.threading.get_intra_op_parallelism_threads() != 1:
        dataset = dataset.prefetch(2)  # a single thread has no other to fetch for it
    options = tf.data.Options()
    options.autotune.enabled = False
    options.deterministic = True
    return dataset.with_options(options)


def fit(
    variant: Variant,
    train: Examples,
    validation: Examples,
    seed: int,
    *,
    watchers: Sequence[keras.callbacks.Callback] = (),
    start: Checkpoint | None = None,
    end: int | None = None,
) -> Trained:
    """Build a variant's network and train it, every random number drawn from the seed.

    With early stopping the network ends with the weights of its best epoch, else with those of the last. Watchers are
    told of the progress, and where there are any nothing is printed. Raises FloatingPointError when the losses of the
    network as it ends are not numbers.

    start: where the same training stood when it ended early; its history begins after that. end: the epoch after which
    to end, if not the variant's last. In parts a training gives the bytes that it gives as a whole.
    """
    make_deterministic(seed)
    import keras
    import tensorflow as tf

    steps = variant.epochs * math.ceil(len(train.labels) / variant.batch_size)
    network = networks.build(variant, train.image_shape, train.class_count, steps)
    augmenting = tf.Variable(True, trainable=False)
    until = round(variant.augmentation.until * variant.epochs)
    callbacks: list[keras.callbacks.Callback] = [
        keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: augmenting.assign(epoch < until)),
        *watchers,
    ]
    if variant.early_stopping is not None:
        callbacks.append(
            keras.callbacks.EarlyStopping(
                monitor="val_categorical_crossentropy",
                mode="min",
                patience=variant.early_stopping,
                restore_best_weights=True,
            )
        )
    on_terminal = sys.stdout.isatty() and not watchers
    if not on_terminal and not watchers:

        def print_line(epoch: int, logs: dict[str, float]) -> None:
            cells = ", ".join(f"{ours} {logs[theirs]:.4f}" for theirs, ours in COLUMNS.items())
            print(f"epoch {epoch + 1}/{variant.epochs}: {cells}", flush=True)

        callbacks.append(keras.callbacks.LambdaCallback(on_epoch_end=print_line))
    ordered, done = batches(train, variant.batch_size, seed, variant.augmentation, augmenting), 0
    if start is not None:
        done = start.epoch
        for variable, value in zip(_state(network), start.arrays, strict=True):
            variable.assign(value)
        for _ in range(done * ITERATORS_AN_EPOCH):
            iter(ordered)  # draws an order of the images
    clock = time.perf_counter()
    fitted = network.fit(
        ordered,
        validation_data=batches(validation, evaluation_batch(validation.image_shape)),
        initial_epoch=done,
        epochs=variant.epochs if end is None else end,
        callbacks=callbacks,
        shuffle=False,  # batches() does
        verbose="auto" if on_terminal else 0,
    )
    seconds = time.perf_counter() - clock
    history = pd.DataFrame(fitted.history)[list(COLUMNS)].rename(columns=COLUMNS)
    history.insert(0, "epoch", range(done + 1, done + len(history) + 1))
    outcome = summary(history, variant.early_stopping is not None)
    if not np.isfinite([*outcome["train"].values(), *outcome["validation"].values()]).all():
        raise FloatingPointError("the loss is not a number any more")
    return Trained(network, history, outcome, seconds)


def _state(network: keras.Model) -> list[keras.Variable]:
    """All that a training changes: weights, moving averages, what dropout draws from, and the optimiser's variables."""
    if not network.optimizer.built:
        network.optimizer.build(network.trainable_variables)
    return [*network.variables, *network.optimizer.variables]


def evaluation_batch(image_shape: tuple[int, int, int]) -> int:
    """How many images of (side, side, channels) a network is applied to at once, so that memory does not grow."""
    height, width, _ = image_shape
    return max(1, EVALUATION_BATCH * 28 * 28 // max(28 * 28, height * width))


def best_epoch(history: pd.DataFrame) -> int:
    """The epoch, from 1, with the lowest validation loss, the first of equals; NaN counts as infinite."""
    losses = history["validation_loss"].fillna(np.inf).to_numpy()
    return int(history["epoch"].iloc[int(losses.argmin())])


def summary(history: pd.DataFrame, early_stopping: bool) -> dict[str, Any]:
    """Loss and accuracy of the network as saved: after its best epoch with early stopping, else after the last.

    The generalisation gap is validation loss minus train loss. The train loss is Keras' mean over an epoch, weights
    moving and dropout on, so that the gap can be negative.
    """
    by_epoch = history.set_index("epoch")
    best, last = best_epoch(history), int(by_epoch.index[-1])
    saved = by_epoch.loc[best if early_stopping else last].round(DIGITS)
    gap = (by_epoch["validation_loss"] - by_epoch["loss"]).round(DIGITS)
    return {
        "train": {"accuracy": saved["accuracy"], "loss": saved["loss"]},
        "validation": {"accuracy": saved["validation_accuracy"], "loss": saved["validation_loss"]},
        "generalisation_gap": {"best_epoch": gap[best], "last_epoch": gap[last]},
        "best_epoch": best,
        "epochs": last,
    }


def seeds(first: int, count: int) -> list[int]:
    """So many seeds, each the one after the last; after the largest comes 0."""
    return [(first + step) % 2**32 for step in range(count)]


def over_seeds(summaries: list[dict[str, Any]]) -> dict[str, float]:
    """Mean and sample standard deviation of the validation accuracy and loss over several seeds' summaries."""
    table = pd.DataFrame([summary["validation"] for summary in summaries])
    figures = {
        f"validation_{metric}_{name}": round(float(value), DIGITS)
        for metric in ("accuracy", "loss")
        for name, value in (("mean", table[metric].mean()), ("sd", table[metric].std(ddof=1)))
    }
    return {"n": len(summaries)} | figures
