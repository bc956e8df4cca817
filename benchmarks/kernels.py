"""What each piece of glyphline/model/kernels.py saves of a whole training, from building the network to its file.

GLYPHLINE_MIRROR=... python -m benchmarks.kernels fast convnet original best --epochs 2     # minutes for each

In every round a variant is trained once with all pieces and once with each of them left to Keras. The ratio is that of
the first to the second, its median and quartiles over the rounds: 0.9 for a piece that saves a tenth.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import numpy as np

from benchmarks.processes import REPOSITORY, machine_line, prepare
from glyphline import paths
from glyphline.config import load_params
from glyphline.model import kernels, networks, training
from glyphline.model.files import save
from glyphline.model.training import Examples
from glyphline.model.variant import Variant

PIECES = ("batch_normalization", "rmsprop")
WARM_UP = 1000  # images of a short training of each kind before anything is measured


def pieces_of(variant: Variant) -> list[str]:
    """Those that networks.build uses for this variant."""
    used = []
    for piece in PIECES:
        with mock.patch.object(kernels, piece) as replaced:
            networks.build(variant, (28, 28, 1), 10, steps=1)
        if replaced.called:
            used.append(piece)
    return used


def seconds(variant: Variant, without: str | None, train: Examples, validation: Examples) -> float:
    """Seconds from building a network to its saved file, one piece left to Keras, or none."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(kernels, without) if without else nullcontext():
        start = time.perf_counter()
        save(training.fit(variant, train, validation, seed=1).network, Path(folder) / "network.keras")
        return time.perf_counter() - start


def measure(variant: Variant, train: Examples, validation: Examples, rounds: int) -> dict[str | None, list[float]]:
    """The seconds of each round, by the piece that was left to Keras; None for none."""
    ways = [None, *pieces_of(variant)]
    for without in ways:
        few = Examples(train.images[:WARM_UP], train.labels[:WARM_UP], train.class_count)
        seconds(variant.model_copy(update={"epochs": 1}), without, few, few)
    taken: dict[str | None, list[float]] = defaultdict(list)
    for count in range(rounds):
        first = count % len(ways)  # so that none always comes after the same one
        for without in ways[first:] + ways[:first]:
            taken[without].append(seconds(variant, without, train, validation))
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    variants = load_params(REPOSITORY / paths.PARAMS).variants
    parser.add_argument("variants", nargs="+", choices=list(variants), metavar="VARIANT", help=", ".join(variants))
    parser.add_argument("--dataset", default="mnist", help="default: %(default)s")
    parser.add_argument("--limit", type=int, help="images of the data set; default: all")
    parser.add_argument("--epochs", type=int, help="default: each variant's own")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        try:
            prepare(Path(name), {"dataset": arguments.dataset, "limit": arguments.limit})
        except RuntimeError as error:
            parser.error(str(error).splitlines()[-1])
        train, validation = (Examples.load(Path(name) / paths.PREPARED / split) for split in ("train", "validation"))
    training.make_deterministic(1)
    rows = [f"{machine_line()}\n", "| variant | piece | seconds without | ratio | quartiles |\n|---|---|---|---|---|"]
    for name in arguments.variants:
        changes = {"early_stopping": None} | ({"epochs": arguments.epochs} if arguments.epochs else {})
        taken = measure(variants[name].model_copy(update=changes), train, validation, arguments.rounds)
        together = taken.pop(None)
        for piece, times in taken.items():
            low, middle, high = np.quantile(np.divide(together, times), (0.25, 0.5, 0.75))
            rows.append(f"| `{name}` | `{piece}` | {np.median(times):.1f} | {middle:.3f} | {low:.3f} to {high:.3f} |")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
