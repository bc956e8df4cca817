"""`.npz` files with the same bytes for the same arrays, whatever the version of Python."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip entry can have


def save_arrays(path: Path, **arrays: NDArray[Any]) -> None:
    """Write arrays of less than 2 GiB each, for np.load, under their names and uncompressed.

    As np.savez does, but for the headers of the zip entries: np.savez asks for 64-bit ones, which Python 3.11.4 began
    to write in another way.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy", _EPOCH), "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
