"""Arrays of images and labels: npz, npy, IDX and MATLAB files."""

from __future__ import annotations

import itertools
import math
import re
import struct
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glyphline.data.examples import Example, Range, class_name, split_of, to_levels
from glyphline.data.formats import decompressed
from glyphline.data.mat import MOST_BYTES
from glyphline.data.tree import BOMB_BYTES, BOMB_TIMES, damage_said
from glyphline.errors import FormatError, printable, quoted

Array = NDArray[Any]
CHUNK = 1000  # images scaled at a time
_IMAGES = {"x", "image", "images", "img", "imgs", "data", "features", "pixels", "inputs"}
_LABELS = {"y", "label", "labels", "target", "targets", "class", "classes", "lab", "outputs"}
_IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


@dataclass(frozen=True)
class Part:
    """Images of one split, (n, height, width) or (n, height, width, 3), and their labels; None where there are none."""

    where: str
    split: str
    images: Array
    labels: Array | None


@dataclass
class ArraySource:
    """Parts, one after the other."""

    kind: str
    parts: list[Part]
    is_pictures: bool = False
    notes: list[str] = field(default_factory=list)

    def read(self, values: Range | None) -> Iterator[Example]:
        for part in self.parts:
            for start in range(0, len(part.images), CHUNK):
                images = part.images[start : start + CHUNK]
                levels = images if values is None else to_levels(images, values)
                for number, pixels in enumerate(levels, start):
                    label = None if part.labels is None else class_name(part.labels[number])
                    yield Example(f"{part.where}: image {number}", None, part.split, label, pixels)


def read_arrays(path: Path, kind: str) -> dict[str, Array]:
    """The arrays in a file by their names, "" for the one of a file that names none. Raises FormatError."""
    read = {"npz": _read_numpy, "npy": _read_numpy, "idx": _read_idx, "mat": _read_mat}[kind]
    with damage_said(path, "the file is damaged or cut short"):
        arrays = read(path)
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):
            raise FormatError(f"{path}: a member of it is no array")
        return arrays


def parts_of(arrays: Mapping[str, tuple[Path, str, Array]], split: str) -> list[Part]:
    """Images paired with labels. arrays: by a name that says which is which, the file, the key in it and the array.

    split: of all of them, or "" where their names say. Raises FormatError where it is not clear what belongs together.
    """
    groups: dict[str, dict[str, tuple[Path, str, Array]]] = {}
    for name, found in arrays.items():
        groups.setdefault(split or split_of(name), {})[name] = found
    parts = []
    for group_split, group in groups.items():
        kinds = {name: _kind(name, array) for name, (_, _, array) in group.items()}
        images = [name for name, kind in kinds.items() if kind == "images"]
        labels = [name for name, kind in kinds.items() if kind == "labels"]
        if not images and not labels:
            continue
        if len(images) != 1 or len(labels) > 1:
            path = next(iter(group.values()))[0]
            shapes = ", ".join(
                f"{printable(name)} {array.shape}" for name, (_, _, array) in itertools.islice(group.items(), 6)
            )
            raise FormatError(
                f"{path}: which array holds the images and which the labels is not clear: {shapes}; call them images "
                "and labels, or train_images, train_labels, test_images, test_labels"
            )
        path, key, array = group[images[0]]
        where = f"{path}: {key}" if key else str(path)
        found_labels = as_labels(group[labels[0]][2], str(group[labels[0]][0])) if labels else None
        shaped = as_images(array, None if found_labels is None else len(found_labels), where)
        if found_labels is not None and len(found_labels) != len(shaped):
            raise FormatError(f"{where}: {len(shaped):,} images, and {len(found_labels):,} labels")
        parts.append(Part(where, group_split, shaped, found_labels))
    return parts


def as_images(array: Array, count: int | None, where: str) -> Array:
    """An array as images, (n, height, width) or (n, height, width, 3); count: how many labels there are, if any."""
    check_numbers(array, where)
    if array.ndim in (3, 4) and count is not None and len(array) != count and array.shape[-1] == count:
        array = np.moveaxis(array, -1, 0)  # as MATLAB keeps them
    if array.ndim == 2:
        return flat_images(array, where)
    if array.ndim == 4 and array.shape[3] not in (1, 3, 4) and array.shape[1] in (1, 3):
        array = np.moveaxis(array, 1, 3)
    if array.ndim == 4 and array.shape[3] in (1, 3, 4):
        array = array[..., 0] if array.shape[3] == 1 else array[..., :3]
    elif array.ndim != 3:
        raise FormatError(f"{where}: an array of shape {array.shape} is not one of images")
    if 0 in array.shape:
        raise FormatError(f"{where}: an array of shape {array.shape} holds no image")
    return array


def flat_images(array: Array, where: str) -> Array:
    """(n, pixels) as square images, grey or in three channels."""
    pixels = array.shape[1]
    side = math.isqrt(pixels)
    if side and side * side == pixels:
        return array.reshape(-1, side, side)
    side = math.isqrt(pixels // 3)
    if side and 3 * side * side == pixels:
        return array.reshape(-1, side, side, 3)
    raise FormatError(f"{where}: {pixels:,} numbers a row are no square image, in one channel or three")


def as_labels(array: Array, where: str) -> Array:
    """An array as labels (n,): one a row, or one-hot."""
    if array.ndim == 2 and array.shape[1] > 1 and array.dtype.kind in "buif" and (array.sum(axis=1) == 1).all():
        return np.asarray(array.argmax(axis=1))
    if array.ndim == 2 and 1 in array.shape:
        array = array.reshape(-1)
    if array.ndim != 1:
        raise FormatError(f"{where}: an array of shape {array.shape} is not one of labels")
    if array.dtype.kind == "f" and not (array == np.floor(array)).all():
        raise FormatError(f"{where}: its labels are no whole numbers")
    if array.dtype.kind not in "buifUS":
        raise FormatError(f"{where}: labels of type {array.dtype} are not read")
    return array


def check_numbers(array: Array, where: str) -> None:
    """Raise FormatError for anything but finite numbers."""
    if array.dtype.kind not in "buif":
        raise FormatError(f"{where}: numbers of type {array.dtype} are no images")
    if array.dtype.kind == "f":
        for start in range(0, len(array), CHUNK):
            if not np.isfinite(array[start : start + CHUNK]).all():
                raise FormatError(f"{where}: there is a NaN or an infinity among its numbers")


def _kind(name: str, array: Array) -> str:
    words = set(re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))
    if array.ndim >= 3:
        return "images"
    if words & _LABELS and not words & _IMAGES:
        return "labels"
    if array.ndim == 2 and 1 not in array.shape:
        return "images" if words & _IMAGES or array.shape[1] >= 16 else "labels"
    if array.ndim in (1, 2) and array.size > 1 and (words & _LABELS or not words & _IMAGES):
        return "labels"
    return "other"


def _read_numpy(path: Path) -> dict[str, Array]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd headers, which are read or refused all the same
            loaded = np.load(path, mmap_mode="r", allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"": loaded}
            with loaded:
                for member in loaded.zip.infolist():
                    _check_size(f"{path}: {printable(member.filename)}", member.file_size, member.compress_size)
                return {name: loaded[name] for name in loaded.files}
    except ValueError as error:
        if re.search("object|pickle", str(error), re.IGNORECASE):
            raise FormatError(
                f"{path}: an array of Python objects in it can run code and is not read; save plain numbers"
            ) from None
        raise


def _read_idx(path: Path) -> dict[str, Array]:
    with decompressed(path) as stream:
        header = stream.read(4)
        rank = header[3]
        dimensions = struct.unpack(f">{rank}I", stream.read(4 * rank))
        dtype = np.dtype(_IDX_TYPES[header[2]])
        size = math.prod(dimensions) * dtype.itemsize
        _check_size(str(path), size, path.stat().st_size)
        content = stream.read(size)
        if len(content) != size or stream.read(1):
            raise FormatError(f"{path}: an IDX file of {quoted(dimensions)} values has not as many bytes")
    array = np.frombuffer(content, dtype).reshape(dimensions)
    return {"": array if dtype.itemsize == 1 else array.astype(dtype.newbyteorder("="))}


def _read_mat(path: Path) -> dict[str, Array]:
    with tempfile.TemporaryDirectory(prefix="glyphline-") as folder:
        arrays = Path(folder) / "arrays.npz"
        command = [sys.executable, "-m", "glyphline.data.mat", str(path.absolute()), str(arrays)]
        if subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode:
            raise FormatError(f"{path}: the MATLAB file is damaged, cut short, or larger than is read")
        return _read_numpy(arrays)


def _check_size(where: str, size: int, packed: int) -> None:
    if size > MOST_BYTES or size > max(BOMB_BYTES, BOMB_TIMES * packed):
        raise FormatError(f"{where}: it would take {size:,} bytes of memory, more than is read of one array")
