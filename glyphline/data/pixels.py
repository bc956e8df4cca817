"""Arithmetic on pixels that reading a picture, finding its ink and preparing its glyph share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


def border(shape: tuple[int, ...], share: float = 0.04) -> Mask:
    """The pixels of (height, width) nearest to the edges: so large a share of the longer side, on each side."""
    thickness = max(1, round(max(shape) * share))
    border = np.ones(shape, np.bool_)
    border[thickness:-thickness, thickness:-thickness] = False
    return border


def deviation(values: NDArray[np.floating[Any]]) -> float:
    """The standard deviation that normal noise of this median absolute deviation has."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def within(width: int, height: int, side: int, enlarge: bool = False) -> tuple[int, int]:
    """(width, height) in proportion, with no side longer than `side`, none shorter than a pixel."""
    scale = side / max(width, height)
    if scale >= 1 and not enlarge:
        return width, height
    return max(1, round(width * scale)), max(1, round(height * scale))


def resized(values: Floats, size: tuple[int, int], resampling: Image.Resampling) -> Floats:
    """(height, width, channels) float32 at another (width, height)."""
    channels = np.moveaxis(values, 2, 0)
    resized = [Image.fromarray(np.ascontiguousarray(channel)).resize(size, resampling) for channel in channels]
    return np.stack([np.asarray(channel, np.float32) for channel in resized], axis=-1)
