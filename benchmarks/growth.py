"""How time and memory grow with the data: preprocess and three epochs of training on 1, 2, 4 and 8 times the images.

python -m benchmarks.growth

Seconds of preprocess are those of its work, and of a training those of its epochs: starting Python and TensorFlow takes
longer, and by turns less and more. The least of several rounds counts: what else the machine does only adds.
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

from benchmarks.processes import REPOSITORY, Measured, machine_line, measure, prepare, python
from glyphline import paths
from glyphline.config import load_params

FACTORS = (1, 2, 4, 8)
EPOCHS = 3
COPIES = 2  # of the bundled 4,000 images at factor 1, so that what a process does once does not hide their cost
IMAGES = 4000 * COPIES  # at factor 1


def repeat(source: Path, target: Path, times: int) -> None:
    """Write a training set in which every image comes so many times."""
    with np.load(source) as raw:
        np.savez(target, images=np.tile(raw["images"], (times, 1, 1)), labels=np.tile(raw["labels"], times))


def run_stage(folder: Path, stage: str) -> Measured:
    """A stage, named as in dvc.yaml, in a folder that is prepared: seconds of its work, peak memory of the process."""
    name, _, variant = stage.partition("@")
    measured = measure(python(f"stages.{name}", *filter(None, [variant])), folder)
    record = json.loads((folder / paths.RUNS / f"{stage}.json").read_text(encoding="utf-8"))
    return replace(measured, seconds=record.get("training_seconds", record["seconds"]))


def least(runs: Sequence[Measured]) -> Measured:
    """The least seconds and the least memory of several runs."""
    return replace(runs[0], seconds=min(run.seconds for run in runs), peak_bytes=min(run.peak_bytes for run in runs))


def row(name: str, runs: Sequence[Measured]) -> str:
    milliseconds, mebibytes = [1000 * run.seconds for run in runs], [run.peak_bytes / 2**20 for run in runs]
    cells = [f"{time / 1000:.2f} s, {size / 1024:.2f} GiB" for time, size in zip(milliseconds, mebibytes, strict=True)]
    return f"| {name} | " + " | ".join([*cells, further(milliseconds), further(mebibytes)]) + " |"


def further(costs: Sequence[float]) -> str:
    """What each doubling adds for 1,000 images: equal where the cost is linear."""
    sizes = [IMAGES * factor / 1000 for factor in FACTORS]
    added = zip(pairwise(costs), pairwise(sizes), strict=True)
    return ", ".join(f"{(after - before) / (more - fewer):.1f}" for (before, after), (fewer, more) in added)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*", default=["mlp", "fast"], help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    variants = load_params(REPOSITORY / paths.PARAMS).variants
    unknown = [name for name in arguments.variants if name not in variants]
    if unknown:
        parser.error(f"no such variant: {', '.join(unknown)}; there are {', '.join(variants)}")
    names = {"preprocess": "preprocess"} | {
        f"train@{name}": f"`{name}`, {EPOCHS} epochs" for name in arguments.variants
    }
    runs: dict[tuple[str, int], list[Measured]] = {(stage, factor): [] for stage in names for factor in FACTORS}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shorter = {name: variants[name].model_dump() | {"epochs": EPOCHS} for name in arguments.variants}
        prepare(folder, {"variants": shorter})
        original = folder / "train.npz"
        shutil.copy(folder / paths.RAW_TRAIN, original)
        for _ in range(arguments.rounds):
            for factor in FACTORS:
                repeat(original, folder / paths.RAW_TRAIN, COPIES * factor)
                for stage in names:
                    runs[stage, factor].append(run_stage(folder, stage))
    print(f"{machine_line()}\n")
    print(
        "| stage | "
        + " | ".join(f"{IMAGES * factor:,} images" for factor in FACTORS)
        + " | ms for 1,000 more | MiB for 1,000 more |"
    )
    print("|" + "---|" * (len(FACTORS) + 3))
    for stage, name in names.items():
        print(row(name, [least(runs[stage, factor]) for factor in FACTORS]))


if __name__ == "__main__":
    main()
