"""A whole picture fitted into the square image of a data set: what an import does to all, and predict to one more."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glyphline.data.pixels import Floats, border, within

Bytes = NDArray[np.uint8]


def fitted(levels: Bytes, side: int, channels: int, *, inverted: bool = False, transposed: bool = False) -> Bytes:
    """An image of the data set: (side, side), or (side, side, 3) for three channels, uint8.

    levels: (height, width) or (height, width, 3) uint8, 0-255. What has the right size already keeps its bytes. What is
    larger is averaged over areas, what is smaller enlarged, with its proportions kept; the rest is filled with the
    median of its edges.
    """
    if transposed:
        levels = np.swapaxes(levels, 0, 1)
    if channels == 1 and levels.ndim == 3:
        levels = np.asarray(Image.fromarray(np.ascontiguousarray(levels)).convert("L"))
    elif channels == 3 and levels.ndim == 2:
        levels = np.repeat(levels[..., np.newaxis], 3, axis=2)
    if inverted:
        levels = 255 - levels
    height, width = levels.shape[:2]
    if (height, width) == (side, side):
        return np.ascontiguousarray(levels)
    new_width, new_height = within(width, height, side, enlarge=True)
    resampling = Image.Resampling.BOX if max(height, width) > side else Image.Resampling.BICUBIC
    small = np.asarray(Image.fromarray(np.ascontiguousarray(levels)).resize((new_width, new_height), resampling))
    image = np.empty((side, side, *levels.shape[2:]), np.uint8)
    image[...] = background(levels)
    top, left = (side - new_height) // 2, (side - new_width) // 2
    image[top : top + new_height, left : left + new_width] = small
    return image


def background(levels: Bytes) -> Bytes:
    """The median of the edges of (height, width[, 3]) levels, a number for each channel."""
    return np.asarray(np.median(levels[border(levels.shape[:2])], axis=0).astype(np.uint8))


def as_levels(colours: Floats) -> Bytes:
    """(height, width, 1 or 3) float32, 0-1, to bytes: (height, width), or (height, width, 3) where colours differ."""
    levels = np.rint(colours * 255).astype(np.uint8)
    if levels.shape[2] == 1 or is_grey(levels):
        return levels[..., 0]
    return levels


def is_grey(levels: Bytes) -> bool:
    """Whether the three channels of (height, width, 3) levels are the same everywhere."""
    return bool((levels == levels[..., :1]).all())
