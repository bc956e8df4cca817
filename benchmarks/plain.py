"""The reference systems as their authors ran them: plain Keras on NumPy arrays, the test set as validation set.

python -m benchmarks.plain original --data data/raw --model original.keras

Nothing of Glyphline is used, so that benchmarks/side_by_side.py has something to compare it with. Layers, optimisers
and epochs are those of the studies R1 to R4 (docs/variants.md).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class System:
    """A study's network and how it was fitted. `hidden` makes its layers from the module keras.layers."""

    hidden: Callable[[Any], list[keras.Layer]]
    optimizer: Callable[[Any], keras.optimizers.Optimizer]
    batch_size: int
    epochs: int


def _two_convolutions(layers: Any, dropout: bool) -> list[keras.Layer]:
    return [
        layers.Conv2D(32, (3, 3), activation="relu"),
        layers.Conv2D(64, (3, 3), activation="relu"),
        layers.MaxPooling2D((2, 2)),
        *([layers.Dropout(0.25)] if dropout else []),
        layers.Flatten(),
        layers.Dense(128, activation="relu"),
        *([layers.Dropout(0.5)] if dropout else []),
    ]


def _two_convolutions_pooled(layers: Any) -> list[keras.Layer]:
    return [
        layers.Conv2D(32, (3, 3), activation="relu"),
        layers.MaxPooling2D((2, 2)),
        layers.Conv2D(64, (3, 3), activation="relu"),
        layers.MaxPooling2D((2, 2)),
    ]


SYSTEMS = {
    "original": System(lambda layers: _two_convolutions(layers, True), lambda keras: keras.optimizers.Adam(), 128, 20),
    "pooled": System(
        lambda layers: [*_two_convolutions_pooled(layers), layers.Flatten(), layers.Dense(128, activation="relu")],
        lambda keras: keras.optimizers.Adam(),
        100,
        10,
    ),
    "adadelta": System(
        lambda layers: _two_convolutions(layers, False), lambda keras: keras.optimizers.Adadelta(1.0), 128, 12
    ),
    "mlp": System(
        lambda layers: [layers.Flatten(), layers.Dense(512, activation="relu")],
        lambda keras: keras.optimizers.RMSprop(),
        128,
        15,
    ),
    "convnet": System(
        lambda layers: [*_two_convolutions_pooled(layers), layers.Flatten(), layers.Dropout(0.5)],
        lambda keras: keras.optimizers.Adam(),
        128,
        15,
    ),
}


def run(name: str, data: Path, model: Path, epochs: int | None) -> float:
    """Fit a system on data/train.npz as uint8 images and labels, save it, and return its accuracy on data/test.npz."""
    import keras

    with np.load(data / "train.npz") as train, np.load(data / "test.npz") as test:
        x_train, y_train, x_test, y_test = train["images"], train["labels"], test["images"], test["labels"]
    x_train = x_train.astype("float32")[..., np.newaxis] / 255
    x_test = x_test.astype("float32")[..., np.newaxis] / 255
    classes = int(y_train.max()) + 1
    y_train, y_test = keras.utils.to_categorical(y_train, classes), keras.utils.to_categorical(y_test, classes)

    system = SYSTEMS[name]
    network = keras.Sequential(
        [
            keras.Input(x_train.shape[1:]),
            *system.hidden(keras.layers),
            keras.layers.Dense(classes, activation="softmax"),
        ]
    )
    network.compile(optimizer=system.optimizer(keras), loss="categorical_crossentropy", metrics=["accuracy"])
    network.fit(
        x_train,
        y_train,
        batch_size=system.batch_size,
        epochs=epochs or system.epochs,
        validation_data=(x_test, y_test),
        verbose=2,
    )
    _, accuracy = network.evaluate(x_test, y_test, verbose=0)
    network.save(model)
    return float(accuracy)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("--data", type=Path, required=True, help="a folder with train.npz and test.npz")
    parser.add_argument("--model", type=Path, required=True, help="the .keras file to write")
    parser.add_argument("--epochs", type=int, help="default: as the study")
    arguments = parser.parse_args()
    print(f"test accuracy {run(arguments.system, arguments.data, arguments.model, arguments.epochs):.4f}")


if __name__ == "__main__":
    main()
