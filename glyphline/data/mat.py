"""The arrays in a MATLAB file, written as npz: `python -m glyphline.data.mat FILE NPZ`.

A process of its own reads it, because damaged bytes lead SciPy's reader, which is compiled, past the end of its memory.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 1 << 33  # of one array
DEEPEST = 5  # structures in one another, as EMNIST has them


def main(source: str, target: str) -> None:
    """Write each array of numbers or text under its path, joined by _. For a wrong file the exit status is not 0."""
    from scipy.io import loadmat, whosmat

    if any(8 * math.prod(shape) > MOST_BYTES for _, shape, _ in whosmat(source)):
        sys.exit(1)  # it would take more memory than is read of one array
    found: dict[str, NDArray[Any]] = {}

    def walk(name: str, value: Any, depth: int) -> None:
        if isinstance(value, np.ndarray) and value.dtype == object and value.size == 1 and depth < DEEPEST:
            walk(name, value.item(), depth + 1)
        elif hasattr(value, "_fieldnames") and depth < DEEPEST:
            for inner in value._fieldnames:
                walk(f"{name}_{inner}", getattr(value, inner), depth + 1)
        elif isinstance(value, np.ndarray) and value.dtype.kind in "buifUS" and value.size > 1:
            found[name] = value

    for name, value in loadmat(source, struct_as_record=False).items():
        if not name.startswith("__"):
            walk(name, value, 0)
    np.savez(target, allow_pickle=False, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
