"""How time and memory grow with the data: preprocess and three epochs of training on 1, 2, 4 and 8 times the images.

python -m benchmarks.growth

Seconds of a training are those of its epochs: starting TensorFlow takes longer, and by turns less and more.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.processes import REPOSITORY, Measured, measure, prepare, python
from glyphline import paths
from glyphline.params import load_params

FACTORS = (1, 2, 4, 8)
EPOCHS = 3
COPIES = 2  # of the bundled 4,000 images at factor 1, so that starting the process does not hide their cost


def repeat(source: Path, target: Path, times: int) -> None:
    """Write a training set in which every image comes so many times."""
    with np.load(source) as raw:
        np.savez(target, images=np.tile(raw["images"], (times, 1, 1)), labels=np.tile(raw["labels"], times))


def train(folder: Path, variant: str) -> Measured:
    """The training of a variant in a folder that is prepared: seconds in epochs, peak memory of the process."""
    measured = measure(python("stages.train", variant), folder)
    record = json.loads((folder / paths.RUNS / f"train@{variant}.json").read_text(encoding="utf-8"))
    return replace(measured, seconds=record["training_seconds"])


def row(name: str, runs: Sequence[Measured]) -> str:
    seconds, memory = [run.seconds for run in runs], [run.peak_bytes / 2**30 for run in runs]
    cells = [f"{time:.1f} s, {size:.2f} GiB" for time, size in zip(seconds, memory, strict=True)]
    return f"| {name} | " + " | ".join([*cells, steps(seconds), steps(memory)]) + " |"


def steps(costs: Sequence[float]) -> str:
    """What each doubling adds, over what the first one added: 1, 2, 4 where the cost is linear."""
    added = [after - before for before, after in pairwise(costs)]
    return " : ".join(f"{step / added[0]:.1f}" for step in added)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*", default=["mlp", "fast"], help="default: %(default)s")
    names = parser.parse_args().variants
    variants = load_params(REPOSITORY / paths.PARAMS).variants
    unknown = [name for name in names if name not in variants]
    if unknown:
        parser.error(f"no such variant: {', '.join(unknown)}; there are {', '.join(variants)}")
    measured: dict[str, list[Measured]] = {name: [] for name in ("preprocess", *names)}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder, {"variants": {name: variants[name].model_dump() | {"epochs": EPOCHS} for name in names}})
        original = folder / "train.npz"
        shutil.copy(folder / paths.RAW_TRAIN, original)
        for factor in FACTORS:
            repeat(original, folder / paths.RAW_TRAIN, COPIES * factor)
            measured["preprocess"].append(measure(python("stages.preprocess"), folder))
            for name in names:
                measured[name].append(train(folder, name))
    print(
        "| stage | "
        + " | ".join(f"{4000 * COPIES * factor:,} images" for factor in FACTORS)
        + " | steps, s | steps, GiB |"
    )
    print("|" + "---|" * (len(FACTORS) + 3))
    for name, runs in measured.items():
        print(row(name if name == "preprocess" else f"`{name}`, {EPOCHS} epochs", runs))


if __name__ == "__main__":
    main()
