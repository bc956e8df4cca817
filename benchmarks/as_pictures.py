"""A published data set as picture files, added as a stranger's: the images and labels have to be the published ones.

GLYPHLINE_MIRROR=/path/to/files python -m benchmarks.as_pictures mnist

Each image becomes a PNG in a folder of its split and its class, numbered in the order of the data set.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.processes import machine_line
from glyphline.data.add import Request, examine
from glyphline.data.records import load_dataset
from glyphline.data.source import read_dataset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", nargs="?", default="mnist", help="default: %(default)s")
    parser.add_argument("--count", type=int, help="the first so many images of each split; default: all")
    arguments = parser.parse_args()
    dataset = load_dataset(arguments.dataset)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        parts = read_dataset(arguments.dataset, dataset, os.environ.get("GLYPHLINE_MIRROR"), folder / "downloads")
        parts = tuple((images[: arguments.count], labels[: arguments.count]) for images, labels in parts)  # type: ignore[assignment]
        for split, (images, labels) in zip(("train", "test"), parts, strict=True):
            for number, (image, label) in enumerate(zip(images, labels, strict=True)):
                path = folder / "pictures" / split / str(label) / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(path)
        start = time.perf_counter()
        imported = examine(Request([str(folder / "pictures")], "pictures"))
        seconds = time.perf_counter() - start
    for line in (*imported.said, *imported.problems):
        print(line)
    expected = [np.concatenate([part[place] for part in parts]) for place in (0, 1)]
    same = np.array_equal(imported.images, expected[0]) and np.array_equal(imported.labels, expected[1])
    print(f"{machine_line()}\n{len(expected[1]):,} images in {seconds:.0f} s: {'the same' if same else 'not the same'}")
    sys.exit(not same)


if __name__ == "__main__":
    main()
