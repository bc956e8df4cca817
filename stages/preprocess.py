"""Divide the training images into train and validation, and make of each what a network reads.

The test images stay shut here: evaluate prepares them, with the same functions.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glyphline import paths, stage
from glyphline.config import load_params
from glyphline.data.arrays import save_array
from glyphline.data.splits import Indices, normalise, one_hot, split, subset

CHUNK = 10_000  # images normalised at a time, to keep the peak of memory low


def main() -> None:
    params = load_params(paths.PARAMS)
    class_count = len(json.loads(paths.DATASET_CARD.read_text(encoding="utf-8"))["class_names"])
    with np.load(paths.RAW_TRAIN) as raw:
        images, labels = raw["images"], raw["labels"]
    kept = subset(labels, params.limit, params.seed)
    train, validation = split(labels[kept], params.preprocess.validation_fraction, params.seed)
    for name, positions in (("train", kept[train]), ("validation", kept[validation])):
        save_split(paths.PREPARED / name, images, labels, positions, class_count)
        print(f"{name}: {len(positions):,} images")


def save_split(
    folder: Path, images: NDArray[np.uint8], labels: NDArray[np.uint8], positions: Indices, class_count: int
) -> None:
    """Write images.npy, (n, 28, 28, 1) float32 0-1, and labels.npy, (n, class_count) float32 one-hot."""
    folder.mkdir(parents=True, exist_ok=True)
    header = {"descr": "<f4", "fortran_order": False, "shape": (len(positions), *images.shape[1:], 1)}
    # Not as a memory map: there a full disk is a bus error, which nobody can catch.
    with (folder / "images.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(positions), CHUNK):
            file.write(normalise(images[positions[start : start + CHUNK]]).tobytes())
    save_array(folder / "labels.npy", one_hot(labels[positions], class_count))


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    stage.run("preprocess", main)
