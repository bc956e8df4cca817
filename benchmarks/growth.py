"""How time and memory grow with the data: preprocess and one epoch of training on 1, 2, 4 and 8 times the images.

python -m benchmarks.growth
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.processes import REPOSITORY, Measured, measure, prepare, python
from glyphline import paths
from glyphline.params import load_params

FACTORS = (1, 2, 4, 8)
COPIES = 2  # of the bundled 4,000 images at factor 1, so that starting the process does not hide their cost


def repeat(source: Path, target: Path, times: int) -> None:
    """Write a training set in which every image comes so many times."""
    with np.load(source) as raw:
        np.savez(target, images=np.tile(raw["images"], (times, 1, 1)), labels=np.tile(raw["labels"], times))


def row(name: str, runs: list[Measured]) -> str:
    cells = [f"{run.seconds:.1f} s, {run.peak_bytes / 2**30:.2f} GiB" for run in runs]
    # What each doubling adds, over what the first one added: 1, 2, 4 where the cost is linear.
    steps = [after.seconds - before.seconds for before, after in pairwise(runs)]
    cells.append(" : ".join(f"{step / steps[0]:.1f}" for step in steps))
    return f"| {name} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*", default=["mlp", "pooled", "fast"], help="default: %(default)s")
    names = parser.parse_args().variants
    variants = load_params(REPOSITORY / paths.PARAMS).variants
    unknown = [name for name in names if name not in variants]
    if unknown:
        parser.error(f"no such variant: {', '.join(unknown)}; there are {', '.join(variants)}")
    measured: dict[str, list[Measured]] = {name: [] for name in ("preprocess", *names)}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder, {"variants": {name: variants[name].model_dump() | {"epochs": 1} for name in names}})
        original = folder / "train.npz"
        shutil.copy(folder / paths.RAW_TRAIN, original)
        for factor in FACTORS:
            repeat(original, folder / paths.RAW_TRAIN, COPIES * factor)
            measured["preprocess"].append(measure(python("stages.preprocess"), folder))
            for name in names:
                measured[name].append(measure(python("stages.train", name), folder))
    print("| stage | " + " | ".join(f"{4000 * COPIES * factor:,} images" for factor in FACTORS) + " | steps |")
    print("|" + "---|" * (len(FACTORS) + 2))
    for name, runs in measured.items():
        print(row(name if name == "preprocess" else f"`{name}`, an epoch", runs))


if __name__ == "__main__":
    main()
