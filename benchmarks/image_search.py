"""The search `auto` beside a search of KerasTuner's for image networks with as many seconds: accuracy on the test set.

    GLYPHLINE_MIRROR=/path/to/files PYTHONPATH=.venv/bench python -m benchmarks.image_search

Both train and are watched on the splits that preprocess makes, and both take as long for the search as for the winner's
training. Glyphline's seconds are those of its two stages, each from the start of the process to its end. KerasTuner's
Hyperband searches the blocks of its CIFAR-10 example, fewer and narrower, so that an epoch takes seconds on two
cores; its winner is trained until its time is over, and counts as it was after its best epoch.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import processes
from glyphline import paths
from glyphline.data.records import dataset_names
from glyphline.model import inference
from glyphline.stage import machine

NAME, BATCH_SIZE = "auto", 128


def search_with_keras_tuner(searched: float, trained: float, seed: int) -> None:
    """In a folder whose data are prepared: search until time.time() is `searched`, train until it is `trained`.

    Prints how many trials there were, how many epochs the winner was trained for, and its accuracy.
    """
    import keras
    import keras_tuner

    class Deadline(keras.callbacks.Callback):  # type: ignore[misc]
        def __init__(self, end: float) -> None:
            super().__init__()
            self.end, self.epochs = end, 0

        def __deepcopy__(self, memo: object) -> Deadline:
            return self  # each trial is given a copy of its callbacks

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if time.time() > self.end:
                self.model.stop_training = True
                tuner.oracle.max_trials = len(tuner.oracle.trials)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.epochs += 1

    def read(path: Path) -> tuple[Any, Any]:
        images, labels = (np.load(path / f"{part}.npy") for part in ("images", "labels"))
        return as_input(images), labels

    def as_input(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return (images.reshape(*images.shape[:3], -1) / 255).astype(np.float32)

    def build(hp: Any) -> keras.Model:
        network = keras.Sequential([keras.Input(train[0].shape[1:])])
        for block in range(hp.Int("blocks", 2, 3)):
            for _ in range(hp.Int("convolutions", 1, 2)):
                filters = hp.Int(f"filters_{block}", 16, 64, step=16)
                network.add(keras.layers.Conv2D(filters, 3, padding="same"))
                network.add(keras.layers.BatchNormalization())
                network.add(keras.layers.ReLU())
            pooling = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}
            network.add(pooling[hp.Choice(f"pooling_{block}", list(pooling))](2))
        network.add(keras.layers.GlobalAveragePooling2D())
        network.add(keras.layers.Dense(hp.Int("units", 30, 100, step=10), activation="relu"))
        network.add(keras.layers.Dropout(hp.Float("dropout", 0, 0.5, step=0.1)))
        network.add(keras.layers.Dense(int(train[1].max()) + 1, activation="softmax"))
        rate = hp.Float("learning_rate", 1e-4, 1e-2, sampling="log")
        network.compile(keras.optimizers.Adam(rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        return network

    keras.utils.set_random_seed(seed)
    train, validation = (read(paths.PREPARED / split) for split in ("train", "validation"))
    tuner = keras_tuner.Hyperband(build, objective="val_accuracy", max_epochs=9, seed=seed, directory="keras_tuner")
    given = {"validation_data": validation, "batch_size": BATCH_SIZE, "verbose": 2}
    tuner.search(*train, callbacks=[Deadline(searched)], **given)
    network = tuner.hypermodel.build(tuner.get_best_hyperparameters()[0])
    best = keras.callbacks.ModelCheckpoint(
        "best.weights.h5", "val_accuracy", save_best_only=True, save_weights_only=True
    )
    deadline = Deadline(trained)
    network.fit(*train, epochs=1000, callbacks=[deadline, best], **given)
    network.load_weights("best.weights.h5")
    with np.load(paths.RAW_TEST) as raw:
        predicted = network.predict(as_input(raw["images"]), verbose=0).argmax(axis=1)
        accuracy = float((predicted == raw["labels"]).mean())
    print(f"{len(tuner.oracle.trials)} trials, {deadline.epochs} epochs\n{accuracy}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=dataset_names(), default="fashion-mnist", help="default: %(default)s")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1234], help="a round each; default: 1234")
    arguments = parser.parse_args()
    print(
        f"{processes.machine_line()}\n\n| seed | search | seconds | test accuracy, % |\n|---|---|---|---|", flush=True
    )
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            changes = {"dataset": arguments.dataset, "seed": seed, "threads": machine()["cores"]}
            processes.prepare(folder, changes)
            stages = [processes.python(f"stages.{stage}", NAME) for stage in ("tune", "train_winner")]
            tune, train = (processes.measure(command, folder).seconds for command in stages)
            with np.load(folder / paths.RAW_TEST) as raw:
                found = inference.probabilities(folder / paths.model(NAME), raw["images"]).argmax(axis=1)
                ours = float((found == raw["labels"]).mean())
            print(f"| {seed} | Glyphline, `{NAME}` | {tune:.0f} + {train:.0f} | {100 * ours:.2f} |", flush=True)
            now = time.time()
            search = f"search_with_keras_tuner({now + tune}, {now + tune + train}, {seed})"
            program = f"from benchmarks.image_search import search_with_keras_tuner; {search}"
            theirs = processes.measure([sys.executable, "-c", program], folder)
            *_, counts, accuracy = theirs.output.splitlines()
            print(f"| {seed} | KerasTuner, {counts} | {theirs.seconds:.0f} | {100 * float(accuracy):.2f} |", flush=True)


if __name__ == "__main__":
    main()
