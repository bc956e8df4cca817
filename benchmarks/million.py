"""Seconds and memory of every step on a made data set of a million images of 28x28: import, stages, search.

python -m benchmarks.million

Memory is the most that a step's processes held at one time, all of them together: shared pages count once, and so do
those of files that lie in memory. Each step has to stay within 4 GiB.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import psutil

from benchmarks.processes import machine_line, measure, python, write_params

GIB = 2**30
MOST = 4 * GIB
LOOK = 0.2  # seconds between looks at the memory
SIDE = 28
VARIANT = {"dense": [64], "optimizer": "adam", "batch_size": 512, "epochs": 1}
SEARCH = {
    "trials": 2,
    "fixed": {"batch_size": 512, "epochs": 1},
    "space": {"dense": {"choices": [[32], [64]]}},
    "final": {"epochs": 1},
}


class Watcher(threading.Thread):
    """Looks at the memory of this process' children until it is stopped."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.wait(LOOK):
            self.peak = max(self.peak, sum(_proportional(each) for each in psutil.Process().children(recursive=True)))


def _proportional(process: psutil.Process) -> int:
    """Bytes of a process, its part of what it shares with others; 0 where it has ended."""
    try:
        return int(process.memory_full_info().pss)
    except (psutil.Error, OSError):
        return 0


def made(path: Path, count: int, classes: int) -> None:
    """Different images of blots, whose brightness says their class, and their labels."""
    generator, labels = np.random.default_rng(1), np.arange(count) % classes
    images = np.zeros((count, SIDE, SIDE), np.uint8)
    for start in range(0, count, 10_000):
        part = labels[start : start + 10_000]
        images[start : start + len(part), 4:-4, 4:-4] = generator.integers(0, 128, (len(part), 20, 20))
        images[np.arange(start, start + len(part)), 5 + part % 18, 5 + part // 18 % 18] = 255
    np.savez(path, images=images, labels=labels.astype(np.uint16))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000, help="images (default: %(default)s)")
    parser.add_argument("--classes", type=int, default=100, help="default: %(default)s")
    parser.add_argument("--only", nargs="+", default=[], help="run these steps, of a folder that is there already")
    parser.add_argument("--folder", type=Path, help="keep everything here; default: a temporary one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        steps = {"data add": ["glyphline", "data", "add", "made.npz", "--name", "made"]}
        stages = (
            "check",
            "download",
            "preprocess",
            "train mlp",
            "tune found",
            "train_winner found",
            "evaluate",
            "plot",
            "report",
        )
        steps |= {stage: python(*f"stages.{stage}".split()) for stage in stages}
        if not (folder / "params.yaml").exists():
            values = {"dataset": "made", "variants": {"mlp": VARIANT}, "searches": {"found": SEARCH}}
            write_params(folder, values)
            for command in (["git", "init", "--quiet"], ["dvc", "init", "--quiet"]):
                subprocess.run(command, cwd=folder, check=True)
            made(folder / "made.npz", arguments.count, arguments.classes)
        print(f"{machine_line()}\n\n| step | seconds | GiB |\n|---|---:|---:|", flush=True)
        too_much = []
        for name, command in steps.items():
            if arguments.only and name not in arguments.only:
                continue
            watcher = Watcher()
            watcher.start()
            seconds = measure(command, folder).seconds
            watcher.stopped.set()
            print(f"| {name} | {seconds:.0f} | {watcher.peak / GIB:.2f} |", flush=True)
            if watcher.peak > MOST:
                too_much.append(name)
        if too_much:
            sys.exit(f"more than {MOST / GIB:g} GiB: {', '.join(too_much)}")


if __name__ == "__main__":
    main()
