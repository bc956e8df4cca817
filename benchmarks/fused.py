"""What each piece of glyphline/fused.py saves: training steps with all of them and without one, in turns.

python -m benchmarks.fused fast convnet original best      # minutes for each

The ratio is that of a step with all of them to one without the piece; its range is that from quartile to quartile.
"""

from __future__ import annotations

import argparse
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np

from benchmarks.processes import REPOSITORY
from glyphline import paths
from glyphline.config import load_params
from glyphline.model import kernels, networks, training
from glyphline.model.training import Examples
from glyphline.model.variant import Variant

if TYPE_CHECKING:
    import keras

PIECES = ("batch_normalization", "wide_convolution", "pooled_relu", "dropout", "adam", "rmsprop")
STEPS = networks.DENSE_STEPS_PER_EXECUTION  # of each variant in its turn; no network returns to Python more rarely
SIDE, CLASSES = 28, 10  # of MNIST


def pieces_of(variant: Variant) -> list[str]:
    """Those that networks.build uses for this variant."""
    used = []
    for piece in PIECES:
        with mock.patch.object(kernels, piece) as replaced:
            build(variant)
        if replaced.called:
            used.append(piece)
    return used


def build(variant: Variant, without: str | None = None) -> keras.Model:
    """A network of 28x28 images, one piece of kernels.py left to Keras."""
    with mock.patch.object(kernels, without) if without else nullcontext():
        return networks.build(variant, (SIDE, SIDE, 1), CLASSES, STEPS)


def seconds(variant: Variant, rounds: int) -> dict[str | None, list[float]]:
    """Seconds of each round's steps, for every piece left out; None for none."""
    generator = np.random.default_rng(1)
    shown = STEPS * variant.batch_size
    images = generator.random((shown, SIDE, SIDE, 1), np.float32)
    labels = np.eye(CLASSES, dtype=np.float32)[generator.integers(CLASSES, size=shown)]
    batches = training.batches(Examples(images, labels), variant.batch_size, 1, variant.augmentation)
    built = {without: build(variant, without) for without in (None, *pieces_of(variant))}
    taken: dict[str | None, list[float]] = {without: [] for without in built}
    for count in range(rounds + 1):
        for without, network in built.items():
            start = time.perf_counter()
            network.fit(batches, verbose=0, shuffle=False)
            if count:  # the first one traces the network
                taken[without].append(time.perf_counter() - start)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    variants = load_params(REPOSITORY / paths.PARAMS).variants
    parser.add_argument("variants", nargs="+", choices=list(variants), metavar="VARIANT", help=", ".join(variants))
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    arguments = parser.parse_args()
    training.make_deterministic(1)
    print("| variant | piece | ms a step without | ratio | range |\n|---|---|---|---|---|")
    for name in arguments.variants:
        taken = seconds(variants[name], arguments.rounds)
        for without, times in taken.items():
            if without:
                low, middle, high = np.quantile(np.divide(taken[None], times), (0.25, 0.5, 0.75))
                step = 1000 * np.median(times) / STEPS
                print(f"| `{name}` | `{without}` | {step:.1f} | {middle:.2f} | {low:.2f} to {high:.2f} |", flush=True)


if __name__ == "__main__":
    main()
