"""Divide the training images into train and validation.

The test images stay shut: only evaluate reads them.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glyphline import paths, stage
from glyphline.config import load_params
from glyphline.data.arrays import save_array
from glyphline.data.splits import Indices, Labels, split, subset

CHUNK = 10_000  # images written at a time, to keep the peak of memory low


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


def save_split(folder: Path, images: NDArray[np.uint8], labels: Labels, positions: Indices, class_count: int) -> None:
    """Write images.npy and labels.npy as they are in data/raw, and classes.npy, (class_count,): images of each class.

    They stay bytes: each batch is normalised when a network reads it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(positions), *images.shape[1:])}
    # Not as a memory map: there a full disk is a bus error, which nobody can catch.
    with (folder / "images.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(positions), CHUNK):
            file.write(images[positions[start : start + CHUNK]].tobytes())
    save_array(folder / "labels.npy", labels[positions])
    save_array(folder / "classes.npy", np.bincount(labels[positions], minlength=class_count))


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    stage.run("preprocess", main)
