"""IDX and npz files to arrays, refusing what is not what it says.

IDX, after http://yann.lecun.com/exdb/mnist/: two zero bytes, one byte for the type (0x08: unsigned byte), one for the
rank, each dimension as a big-endian 32-bit integer, then the values, last dimension fastest.
"""

from __future__ import annotations

import errno
import gzip
import math
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from glyphline.errors import FormatError, quoted

_KINDS = {0x00000801: "labels", 0x00000803: "images", 0x00000804: "colour images"}
_GZIP_MAGIC = b"\x1f\x8b"
_NPZ_KEY = "arr_0"
_ENCRYPTED = 0x1  # bit of a zip entry's flags
_DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError)
_NPY_HEADER_LIMIT = 4096  # bytes; NumPy writes 128 for arrays of these ranks


def read_images(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read images of this shape, (count, side, side) or (count, side, side, 3): uint8, 0-255.

    Raises FormatError where the file is not exactly that; reads no more than that many bytes of it.
    """
    return _read(path, shape)


def read_labels(path: Path, count: int, class_count: int) -> NDArray[np.uint8]:
    """Read `count` labels: (count,) uint8, 0 to class_count - 1. Raises FormatError as read_images does."""
    labels = _read(path, (count,))
    if labels.size and labels.max() >= class_count:
        raise FormatError(
            f"{path}: label {labels.max()} at position {labels.argmax()} is not one of the {class_count} classes "
            f"0 to {class_count - 1}"
        )
    return labels


@contextmanager
def decompressed(path: Path) -> Iterator[BinaryIO]:
    """The content of a file, gzipped or not, as a stream."""
    with path.open("rb") as file:
        if file.peek(2)[:2] == _GZIP_MAGIC:
            with gzip.GzipFile(fileobj=file) as stream:
                yield cast(BinaryIO, stream)
        else:
            yield file


def _read(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    try:
        if path.suffix == ".npz":
            return _read_npz(path, shape)
        return _read_idx(path, shape)
    except _DAMAGE as error:
        reason = str(error)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        reason = "its directory points outside the file"  # zipfile seeks where a damaged archive says
    raise FormatError(f"{path}: the compressed data is damaged or cut short ({_brief(reason)})")


def _read_idx(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    expected_magic = 0x800 + len(shape)
    header_bytes = 4 + 4 * len(shape)
    value_count = math.prod(shape)
    with decompressed(path) as stream:
        header = stream.read(header_bytes)
        if len(header) < 4:
            raise FormatError(f"{path}: {len(header)} bytes are too few for an IDX file")
        (magic,) = struct.unpack(">I", header[:4])
        if magic != expected_magic:
            hint = f"; this is a file of {_KINDS[magic]}" if magic in _KINDS else ""
            raise FormatError(
                f"{path}: IDX magic {magic:#010x} is not that of {_KINDS[expected_magic]} "
                f"({expected_magic:#010x}){hint}"
            )
        if len(header) < header_bytes:
            raise FormatError(f"{path}: the IDX header ends after {len(header)} of {header_bytes} bytes")
        dimensions = struct.unpack(f">{len(shape)}I", header[4:])
        if dimensions != shape:
            raise FormatError(f"{path}: the IDX dimensions are {dimensions}, expected {shape}")
        values = stream.read(value_count)
        surplus = stream.read(1)
    if len(values) != value_count or surplus:
        found = "more" if surplus else f"{len(values):,}"
        raise FormatError(f"{path}: {value_count:,} values announced, {found} found")
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)


def _read_npz(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    member = f"{_NPZ_KEY}.npy"
    with zipfile.ZipFile(path) as archive:
        if archive.namelist() != [member]:
            raise FormatError(f"{path}: expected the one array {_NPZ_KEY!r}, found {quoted(archive.namelist())}")
        # The declared size bounds what zipfile will unpack, so a bomb is refused before it goes off.
        entry = archive.getinfo(member)
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or entry.flag_bits & _ENCRYPTED:
            raise FormatError(f"{path}: {_NPZ_KEY!r} is packed or encrypted in a way that NumPy does not write")
        declared = entry.file_size
        value_count = math.prod(shape)
        if not value_count < declared <= value_count + _NPY_HEADER_LIMIT:
            raise FormatError(
                f"{path}: {_NPZ_KEY!r} takes {declared:,} bytes, which an array of shape {shape} of uint8 does not"
            )
        with archive.open(member) as stream:
            try:
                found_shape, found_dtype = _npy_header(stream)
            except _DAMAGE:
                raise
            except Exception as error:  # NumPy's parser trips over wrong headers in a dozen ways
                raise FormatError(f"{path}: {_NPZ_KEY!r} is not an npy array ({_brief(str(error))})") from None
            if found_dtype != np.uint8 or found_shape != shape:
                raise FormatError(
                    f"{path}: {_NPZ_KEY!r} is {_brief(str(found_dtype))} of shape {_brief(str(found_shape))}, "
                    f"expected uint8 of {shape}"
                )
            values = stream.read(value_count)
            surplus = stream.read(1)
    if len(values) != value_count or surplus:
        raise FormatError(f"{path}: {_NPZ_KEY!r} does not hold the {value_count:,} values it announces")
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)


def _npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    """Shape and dtype of an npy stream in C order, of format 1.0, the one NumPy writes for plain arrays."""
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f"npy format {version} instead of (1, 0)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about headers that Python 2 wrote, which are read all the same
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=_NPY_HEADER_LIMIT)
    if fortran_order and len(shape) > 1:
        raise ValueError("the values are in Fortran order")
    return shape, dtype


def _brief(text: str) -> str:
    return " ".join(text.split())[:120]
