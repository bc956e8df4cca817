"""The images of a user's own data set in one file beside its record, datasets/<name>.npz."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glyphline import paths
from glyphline.data.arrays import save_arrays
from glyphline.data.records import Dataset
from glyphline.data.splits import Labels
from glyphline.errors import FetchError, FormatError

Labelled = tuple[NDArray[np.uint8], Labels]
KEYS = ("train_images", "train_labels", "test_images", "test_labels")


def write_pack(path: Path, train: Labelled, test: Labelled) -> str:
    """Write images and labels to a file; returns its digest, `sha256:...`. The same data give the same bytes."""
    save_arrays(path, **dict(zip(KEYS, (*train, *test), strict=True)))
    return digest_of(path)


def digest_of(path: Path) -> str:
    """`sha256:...` of a file's bytes."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def read_pack(name: str, dataset: Dataset) -> tuple[Labelled, Labelled]:
    """Training and test data of a record that has a pack. Raises FetchError without the file, FormatError for another.

    Its bytes are compared with the record's digest before anything is read of it.
    """
    path, pack = paths.pack(name), dataset.pack
    assert pack is not None
    if not path.is_file():
        raise FetchError(
            f"{path}: the packed images of data set {name} are not here; bring them with: dvc pull {path}.dvc, or "
            "make them again where the pictures are, with: glyphline data add"
        )
    digest = digest_of(path)
    if digest != pack.digest:
        raise FormatError(
            f"{path}: its digest is {digest}, and {paths.dataset(name)} says {pack.digest}; bring the right file back "
            f"with: dvc checkout {path}.dvc"
        )
    try:
        with np.load(path) as packed:
            train_images, train_labels, test_images, test_labels = (packed[key] for key in KEYS)
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise FormatError(f"{path}: this is not a file that glyphline data add wrote ({error})") from None
    parts = (train_images, train_labels), (test_images, test_labels)
    for (images, labels), count in zip(parts, (pack.train, pack.test), strict=True):
        shape = (count, *dataset.image_shape)
        if images.dtype != np.uint8 or images.shape != shape or labels.shape != (count,):
            raise FormatError(f"{path}: its images are {images.shape} {images.dtype}, expected {shape} uint8")
        if labels.max() >= len(dataset.class_names):
            raise FormatError(f"{path}: label {labels.max()} is not one of the {len(dataset.class_names)} classes")
    return parts
