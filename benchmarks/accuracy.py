"""Accuracy on the test set of saved networks, of their average, and with small shifts averaged at test time.

python -m benchmarks.accuracy models/best.keras models/seeds/best/*.keras --shifts

Run from a folder in which the pipeline has run. The last line gives mean and standard deviation over the networks.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean, stdev

import numpy as np
from numpy.typing import NDArray

from benchmarks.processes import machine_line
from glyphline import paths
from glyphline.model import inference

SHIFTS = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]


def shifted(images: NDArray[np.uint8], down: int, right: int) -> NDArray[np.uint8]:
    """(n, side, side) images moved by up to a pixel, the border filled with background."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    side = images.shape[1]
    return padded[:, 1 - down : 1 - down + side, 1 - right : 1 - right + side]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+", type=Path, metavar="FILE", help="a .keras file")
    parser.add_argument("--shifts", action="store_true", help="also average over the nine shifts of up to one pixel")
    arguments = parser.parse_args()
    print(machine_line())
    with np.load(paths.RAW_TEST) as raw:
        images, labels = raw["images"], raw["labels"]

    def accuracy(probabilities: NDArray[np.float32]) -> float:
        return float((probabilities.argmax(axis=1) == labels).mean())

    ways = {"": [(0, 0)]} | ({"shifts averaged: ": SHIFTS} if arguments.shifts else {})
    for way, shifts in ways.items():
        probabilities = [
            np.mean([inference.probabilities(path, shifted(images, *shift)) for shift in shifts], axis=0)
            for path in arguments.networks
        ]
        each = [accuracy(one) for one in probabilities]
        for path, value in zip(arguments.networks, each, strict=True):
            print(f"{way}{path}: {value:.4f}")
        if len(each) > 1:
            print(f"{way}average of {len(each)} networks: {accuracy(np.mean(probabilities, axis=0)):.4f}")
            print(f"{way}mean {mean(each):.5f} standard deviation {stdev(each):.5f}")


if __name__ == "__main__":
    main()
