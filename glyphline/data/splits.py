"""From raw images and labels to what a network reads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from glyphline.errors import DataError

Indices = NDArray[np.intp]
Labels = NDArray[np.uint8] | NDArray[np.uint16]  # classes, counted from 0; uint16 for more than 256 of them


class Preprocess(BaseModel, extra="forbid", strict=True, frozen=True):
    """How the training images are divided."""

    validation_fraction: float = Field(gt=0, lt=1, description="share of the training images held out")


def normalise(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Scale levels to the unit interval, and give grey images a channel axis.

    images: (n, height, width) or (n, height, width, 3) uint8, 0-255. Returns (n, height, width, 1 or 3) float32, 0-1.
    Raises ValueError for another dtype or shape. glyphline.model.training does the same to each batch.
    """
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] != 3):
        raise ValueError(
            f"expected (n, height, width) or (n, height, width, 3) uint8, got {images.shape} {images.dtype}"
        )
    channels = images[..., np.newaxis] if images.ndim == 3 else images
    return np.divide(channels, np.float32(255), dtype=np.float32)


def subset(labels: Labels, limit: int | None, seed: int) -> Indices:
    """Positions of `limit` examples with the classes in proportion, in ascending order; all of them for None.

    Raises DataError unless `limit`, and the rest if any, reach the number of classes, and each class has two images.
    """
    everything = np.arange(len(labels))
    if limit is None or limit == len(labels):
        return everything
    if limit > len(labels):
        raise DataError(f"limit: {limit:,} training images asked for, and the data set has {len(labels):,}")
    class_count = len(np.unique(labels))
    if limit > len(labels) - class_count:
        raise DataError(
            f"limit: {limit:,} of {len(labels):,} training images is nearly all of them; leave limit empty to use all, "
            f"or give at most {len(labels) - class_count:,}"
        )
    kept, _ = _stratified(everything, labels, limit, seed, "limit")
    return kept


def split(labels: Labels, validation_fraction: float, seed: int) -> tuple[Indices, Indices]:
    """Positions of the train and of the validation examples, each in ascending order, classes in proportion.

    With fewer validation images than classes, no two share one. Raises DataError where the train split has fewer images
    than classes, the validation split has none, or a class has one image.
    """
    validation_count = round(len(labels) * validation_fraction)
    train_count = len(labels) - validation_count
    classes, sizes = np.unique(labels, return_counts=True)
    if 0 < validation_count < len(classes) and sizes.min() > 1:
        generator = np.random.default_rng(seed)
        shuffled = generator.permutation(len(labels))
        _, one_of_each = np.unique(labels[shuffled], return_index=True)
        validation = np.sort(generator.permutation(shuffled[one_of_each])[:validation_count])
        return np.setdiff1d(np.arange(len(labels)), validation), validation
    return _stratified(np.arange(len(labels)), labels, train_count, seed, "preprocess.validation_fraction (or limit)")


def _stratified(positions: Indices, labels: Labels, count: int, seed: int, key: str) -> tuple[Indices, Indices]:
    """`count` positions and the rest, the classes in proportion in both. `key` is the parameter to blame."""
    from sklearn.model_selection import train_test_split

    class_count = len(np.unique(labels))
    rest = len(labels) - count
    rarest = int(np.unique(labels, return_counts=True)[1].min())
    if min(count, rest) < class_count or rarest < 2:
        raise DataError(
            f"{key}: {len(labels):,} images of {class_count} classes (the rarest has {rarest}) cannot be divided "
            f"into {count:,} and {rest:,} with the classes in proportion; ask for more images"
        )
    chosen, others = train_test_split(positions, train_size=count, random_state=seed, stratify=labels)
    return np.sort(chosen), np.sort(others)
