"""The reference systems as their authors ran them: plain Keras on NumPy arrays, watched on validation images.

python -m benchmarks.plain original --data data/prepared --model original.keras

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
from numpy.typing import NDArray

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


def run(name: str, data: Path, model: Path, epochs: int | None) -> None:
    """Fit a system on the uint8 images and labels of data/train/, watched on those of data/validation/, and save it."""
    import keras

    (x_train, y_train), (x_validation, y_validation) = (_read(data / split) for split in ("train", "validation"))
    classes = int(y_train.max()) + 1
    y_train, y_validation = (keras.utils.to_categorical(labels, classes) for labels in (y_train, y_validation))

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
        validation_data=(x_validation, y_validation),
        verbose=2,
    )
    model.parent.mkdir(parents=True, exist_ok=True)
    network.save(model)


def _read(folder: Path) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    images, labels = np.load(folder / "images.npy"), np.load(folder / "labels.npy")
    return images.astype("float32")[..., np.newaxis] / 255, labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("--data", type=Path, required=True, help="a folder that preprocess wrote")
    parser.add_argument("--model", type=Path, required=True, help="the .keras file to write")
    parser.add_argument("--epochs", type=int, help="default: as the study")
    arguments = parser.parse_args()
    run(arguments.system, arguments.data, arguments.model, arguments.epochs)


if __name__ == "__main__":
    main()
