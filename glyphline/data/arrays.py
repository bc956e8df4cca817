"""`.npy` and `.npz` files with the same bytes for the same arrays, which say why they cannot be written."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip entry can have


def save_arrays(path: Path, **arrays: NDArray[Any]) -> None:
    """Write arrays for np.load, under their names and uncompressed.

    As np.savez does, but for the headers of the zip entries: np.savez asks for 64-bit ones, which Python 3.11.4 began
    to write in another way. Only arrays that need them, from 2 GiB on, get them here.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            entry, is_large = zipfile.ZipInfo(f"{name}.npy", _EPOCH), array.nbytes + 4096 > zipfile.ZIP64_LIMIT
            with archive.open(entry, "w", force_zip64=is_large) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write one array, for np.load, as np.save does; raises the system's own OSError where it cannot.

    np.save lets the array write itself, which tells of a full disk by how many items are missing.
    """
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    path.write_bytes(content.getvalue())
