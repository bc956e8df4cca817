"""A whole picture fitted into the square image of a data set: what an import does to all, and predict to one more."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glyphline.data.pixels import Floats, border, within

Bytes = NDArray[np.uint8]


CLOSE = 0.05 * 255  # levels that count as those of the corners, as Fashion-MNIST's makers trimmed their pictures


def fitted(
    levels: Bytes, side: int, channels: int, *, inverted: bool = False, transposed: bool = False, trimmed: bool = False
) -> Bytes:
    """An image of the data set: (side, side), or (side, side, 3) for three channels, uint8.

    levels: (height, width) or (height, width, 3) uint8, 0-255. What has the right size already keeps its bytes. What is
    larger is averaged over areas, what is smaller enlarged, with its proportions kept; the rest is filled with the
    median of its edges. trimmed: rows and columns at the edges that have the colour of the corners are cut off first.
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
    paper = background(levels)
    if trimmed:
        levels = _trimmed(levels)
        height, width = levels.shape[:2]
    new_width, new_height = within(width, height, side, enlarge=True)
    resampling = Image.Resampling.BOX if max(height, width) > side else Image.Resampling.BICUBIC
    small = np.asarray(Image.fromarray(np.ascontiguousarray(levels)).resize((new_width, new_height), resampling))
    image = np.empty((side, side, *levels.shape[2:]), np.uint8)
    image[...] = paper
    top, left = (side - new_height) // 2, (side - new_width) // 2
    image[top : top + new_height, left : left + new_width] = small
    return image


def background(levels: Bytes) -> Bytes:
    """The median of the edges of (height, width[, 3]) levels, a number for each channel."""
    return np.asarray(np.median(levels[border(levels.shape[:2])], axis=0).astype(np.uint8))


def _trimmed(levels: Bytes) -> Bytes:
    corners = levels[[0, 0, -1, -1], [0, -1, 0, -1]]
    stands_out = np.abs(levels - np.median(corners, axis=0)) > CLOSE
    if levels.ndim == 3:
        stands_out = stands_out.any(axis=2)
    places = [np.flatnonzero(stands_out.any(axis=axis)) for axis in (1, 0)]
    if not len(places[0]):
        return levels
    (top, bottom), (left, right) = ((place[0], place[-1] + 1) for place in places)
    return levels[top:bottom, left:right]


def is_dark_on_light(levels: NDArray[np.generic]) -> bool:
    """Whether the edges of an image, (height, width) or (height, width, 3), are lighter than its whole."""
    grey = np.asarray(levels, np.float64)
    if grey.ndim == 3:
        grey = grey.mean(axis=2)
    edges = (grey[0].sum() + grey[-1].sum() + grey[:, 0].sum() + grey[:, -1].sum()) / (2 * sum(grey.shape))
    return bool(edges > grey.mean())


def as_levels(colours: Floats) -> Bytes:
    """(height, width, 1 or 3) float32, 0-1, to bytes: (height, width), or (height, width, 3) where colours differ."""
    levels = np.rint(colours * 255).astype(np.uint8)
    if levels.shape[2] == 1 or is_grey(levels):
        return levels[..., 0]
    return levels


def is_grey(levels: Bytes) -> bool:
    """Whether the three channels of (height, width, 3) levels are the same everywhere."""
    return bool((levels == levels[..., :1]).all())
