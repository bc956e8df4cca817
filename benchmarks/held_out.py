"""A variant trained on some of the training images and judged on the others: for choosing without the test set.

GLYPHLINE_MIRROR=... dvc exp run -S dataset=mnist download
python -m benchmarks.held_out best --train 25000 --set 'filters=[64, 96, 128, 192]'

Neighbours among MNIST's training images seem to be by the same writer. The first images against the last ones, and the
other way round, then keep writers apart as the test set does; a split drawn at random has the same ones on both sides.
Images that another data set tests on are left out. TensorFlow keeps to one thread, so that several of these may run at
once.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from benchmarks.processes import machine_line
from glyphline import paths
from glyphline.config import load_params
from glyphline.model import training
from glyphline.model.inference import apply
from glyphline.model.training import Examples
from glyphline.model.variant import Variant

SPLITS = ("first", "last", "random")  # where the images lie that are trained on
SPLIT_SEED = 7
WATCHED = 1000  # of the images judged, after each epoch
# By data set, how many of its first training images choose nothing: in MNIST, the test images of mnist-5k are of them,
# at positions 23 to 5847, and neighbours of theirs.
LEFT_OUT = {"mnist": 5850}


def images_to_choose_by() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The training images of data/raw, (n, 28, 28) 0-255, and their labels, (n,), without those of LEFT_OUT."""
    name = json.loads(paths.DATASET_CARD.read_text(encoding="utf-8"))["name"]
    with np.load(paths.RAW_TRAIN) as raw:
        images, labels = (raw[part][LEFT_OUT.get(name, 0) :] for part in ("images", "labels"))
    return images, labels


def order(split: str, count: int) -> NDArray[np.intp]:
    """Positions of `count` images, those to train on in front."""
    if split == "random":
        return np.random.default_rng(SPLIT_SEED).permutation(count)
    return np.arange(count) if split == "first" else np.arange(count)[::-1]


def changed(variant: Variant, changes: list[str]) -> Variant:
    """The variant with changes such as `batch_size=64` or `augmentation.shift=3`, their values in YAML."""
    values = variant.model_dump()
    for change in changes:
        key, _, value = change.partition("=")
        *sections, name = key.split(".")
        place = values
        for section in sections:
            place = place[section]
        place[name] = YAML(typ="safe").load(value)
    return Variant.model_validate(values)


def wrong(variant: Variant, examples: Examples, train: int, seed: int) -> int:
    """How many of the examples after the first `train` a network gets wrong that was trained on those."""
    training.make_deterministic(seed, threads=1)
    parts = (slice(train), slice(train, train + WATCHED), slice(train, None))
    seen, watched, held_out = (
        Examples(examples.images[part], examples.labels[part], examples.class_count) for part in parts
    )
    probabilities = apply(training.fit(variant, seen, watched, seed).network, held_out.images)
    return int((probabilities.argmax(axis=1) != held_out.labels).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    variants = load_params(paths.PARAMS).variants
    parser.add_argument("variant", choices=list(variants), help="as in params.yaml")
    parser.add_argument("--train", type=int, required=True, metavar="N", help="images to train on")
    parser.add_argument("--splits", nargs="+", choices=SPLITS, default=["first", "last"], help="default: first last")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="change the variant")
    arguments = parser.parse_args()
    try:
        variant = changed(variants[arguments.variant], arguments.set)
    except (YAMLError, LookupError, TypeError, ValidationError):
        parser.error(
            f"--set {' '.join(arguments.set)}: docs/variants.md says what a variant may have, as in filters=[64,96]"
        )
    images, labels = images_to_choose_by()
    if not 0 < arguments.train < len(labels):
        parser.error(
            f"--train {arguments.train}: there are {len(labels):,} images to choose by, and some must be left to judge"
        )
    print(machine_line())
    for split in arguments.splits:
        positions = order(split, len(labels))
        examples = Examples(images[positions], labels[positions], int(labels.max()) + 1)
        count = wrong(variant, examples, arguments.train, arguments.seed)
        judged = len(labels) - arguments.train
        print(f"trained on {split} {arguments.train:,}: {count} of {judged:,} wrong ({count / judged:.3%})", flush=True)


if __name__ == "__main__":
    main()
