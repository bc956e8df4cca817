"""The images and labels of a data set, from where its record says that they are."""

from __future__ import annotations

import hashlib
import math
from importlib import resources
from pathlib import Path

import numpy as np

from glyphline.data.fetch import fetch, mirrors_of
from glyphline.data.formats import read_images, read_labels
from glyphline.data.pack import Labelled, read_pack
from glyphline.data.records import Bundled, Dataset, Split
from glyphline.errors import FormatError

HEADERS_BYTES = 8192  # more than those of IDX, npy, zip and gzip take together


def read_dataset(name: str, dataset: Dataset, own_mirror: str | None, downloads: Path) -> tuple[Labelled, Labelled]:
    """Training and test data: images (n, side, side) or (n, side, side, 3) uint8, and labels (n,), uint8 or uint16.

    own_mirror: a folder or URL that holds files as `<name>/<file>`, asked before the record's own mirrors.
    downloads: the folder whose <name>/ keeps what was downloaded. Raises FetchError, FormatError.
    """
    if dataset.bundled:
        return read_bundled(dataset.bundled, dataset.image_shape, len(dataset.class_names))
    if dataset.pack:
        return read_pack(name, dataset)
    mirrors = mirrors_of(name, dataset, own_mirror)

    def read(split: Split) -> Labelled:
        # What does not shrink when it is compressed grows by less than a hundredth.
        shape = (split.count, *dataset.image_shape)
        files = (split.images, math.prod(shape)), (split.labels, split.count)
        images, labels = (
            fetch(file, mirrors, downloads / name, values + values // 100 + HEADERS_BYTES) for file, values in files
        )
        return read_images(images, shape), read_labels(labels, split.count, len(dataset.class_names))

    assert dataset.train is not None
    assert dataset.test is not None
    return read(dataset.train), read(dataset.test)


def read_bundled(bundled: Bundled, image_shape: tuple[int, ...], class_count: int) -> tuple[Labelled, Labelled]:
    """Training and test data inside an installed package, divided by position. Raises FormatError."""
    where = f"{bundled.package}: {bundled.file}"
    try:
        with resources.as_file(resources.files(bundled.package) / bundled.file) as path:
            rows = np.loadtxt(path, delimiter=",", dtype=np.uint8, ndmin=2)
        images, labels = rows[:, :-1].reshape(-1, *image_shape), rows[:, -1]
    except (ModuleNotFoundError, TypeError):
        raise FormatError(f"{where}: no such package is installed") from None
    except ValueError as error:
        raise FormatError(
            f"{where}: this is no table of {'x'.join(map(str, image_shape))} grey levels and a class: {error}"
        ) from None
    digest = f"sha256:{hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()}"
    if digest != bundled.digest:
        raise FormatError(
            f"{where}: the digest of its images is {digest}, expected {bundled.digest}; install the version of "
            "the package that requirements.lock names"
        )
    if labels.max() >= class_count:
        raise FormatError(
            f"{where}: label {labels.max()} is not one of the {class_count} classes 0 to {class_count - 1}"
        )
    is_test = np.arange(1, len(labels) + 1) % bundled.test_every == 0
    return (images[~is_test], labels[~is_test]), (images[is_test], labels[is_test])
