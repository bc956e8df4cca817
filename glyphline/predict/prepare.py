"""A picture's glyph cut out, and made into the image that a network reads."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glyphline.data import fit
from glyphline.data.pictures import Picture
from glyphline.data.pixels import Floats, Mask, deviation, resized, within
from glyphline.data.records import Pictures
from glyphline.errors import PictureError
from glyphline.predict.ink import find_ink, ndimage, parts_of

SIDE = 28  # of MNIST's images, pixels
BOX_SIDE = 20  # the square that MNIST's digits are fitted into, pixels
CENTRE = 14  # where the centres of mass of MNIST's digits round to, counting pixels from 0
SMALLEST_GLYPH = 8  # pixels; fewer do not tell one digit from another

LEAST_INK = 0.3  # of full ink, at the edge of a stroke
PAPER_NOISE = 4.0  # standard deviations of the paper that are not ink yet
SPECK = 0.04  # of the ink of the largest part: less is dirt
SOFT_EDGE = 0.025  # of the glyph's side
FULL_INK = 75  # percentile of the inked pixels that becomes 255
THINNEST_STROKE = 1.8  # pixels in 20x20; of MNIST's digits none is as thin, and half are between 2.9 and 3.6
NORMAL_STROKE = 3.0  # what a thinner one is widened to
BLUR_REACH = 4 / 3  # pixels in 20x20 that the blur of small holes reaches
WHOLE = (0.0, 0.0, 1.0, 1.0)  # of a picture, as a box


@dataclass(frozen=True)
class Prepared:
    """What the network is shown.

    image: (28, 28) uint8, 0 (background) to 255 (ink); as `fitted` of glyphline.data.fit gives it where the record
    of the data set asks for that. inverted: whether light and dark changed places, as MNIST is light on dark. box:
    left, top, right, bottom of the glyph as fractions of the picture's width and height, 0-1. thickened: whether the
    strokes were too thin to survive in 20x20 pixels and were made wider.
    """

    image: NDArray[np.uint8]
    inverted: bool
    box: tuple[float, float, float, float]
    thickened: bool


@dataclass(frozen=True)
class Preparation:
    """How the pictures of a data set become its images: the keys of its record that say so."""

    side: int = SIDE
    channels: int = 1
    pictures: Pictures = field(default_factory=Pictures)

    def __call__(self, picture: Picture) -> Prepared:
        """The image of a picture, read with `pictures.values`. Raises PictureError."""
        if self.pictures.how == "centred":
            return prepare(picture.colours)
        levels, inverted = fit.as_levels(picture.colours), self.pictures.inverted
        if inverted is None:
            inverted = levels.shape[:2] != (self.side, self.side) and fit.is_dark_on_light(levels)
        turned = {"inverted": inverted, "transposed": self.pictures.transposed, "trimmed": self.pictures.trimmed}
        return Prepared(fit.fitted(levels, self.side, self.channels, **turned), inverted, WHOLE, thickened=False)


def prepare(colours: Floats) -> Prepared:
    """Find the glyph in a picture and prepare it as MNIST's digits were. An image of MNIST keeps its bytes.

    colours: (height, width, channels) float32, 0-1. Raises PictureError when nothing is drawn, or too small.
    """
    levels = fit.as_levels(colours)
    if _is_prepared(levels):
        return Prepared(levels, inverted=False, box=WHOLE, thickened=False)
    ink, inverted = find_ink(colours)
    glyph = _glyph(ink)
    height, width = glyph.shape
    rows, columns = (np.flatnonzero(glyph.any(axis=axis)) for axis in (1, 0))
    top, bottom, left, right = (int(edge) for edge in (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1))
    side = max(bottom - top, right - left)
    if side < SMALLEST_GLYPH:
        raise PictureError("what is drawn in it is too small to be read; cut the picture to the glyph")

    # The soft edges of the strokes are ink too, and what lies further off is not.
    soft = ndimage().binary_dilation(glyph, iterations=max(1, round(side * SOFT_EDGE)))
    drawn = np.where(soft, ink.clip(0, None), 0).astype(np.float32)[top:bottom, left:right]
    pixel = side / BOX_SIDE  # of the image to come, in those of the picture
    around = round(BLUR_REACH * pixel) + 1  # further off, the strokes' width is not looked for
    near = glyph[max(0, top - around) : bottom + around, max(0, left - around) : right + around]
    stroke = _stroke_width(near, pixel)
    thickened = stroke < THINNEST_STROKE * pixel
    if thickened:
        drawn = _thickened(drawn, glyph[top:bottom, left:right], (NORMAL_STROKE * pixel - stroke) / 2)
    return Prepared(
        image=centred(fitted(drawn)),
        inverted=inverted,
        box=(left / width, top / height, right / width, bottom / height),
        thickened=thickened,
    )


def _is_prepared(levels: NDArray[np.uint8]) -> bool:
    """Whether it is prepared already: light on black, as large as the box or a pixel less, and centred."""
    if levels.shape != (SIDE, SIDE) or not levels.any():
        return False
    rows, columns = (np.flatnonzero(levels.any(axis=axis)) for axis in (1, 0))
    longest = max(np.ptp(rows), np.ptp(columns)) + 1
    centre = ndimage().center_of_mass(levels)
    return longest in (BOX_SIDE - 1, BOX_SIDE) and all(round(middle) == CENTRE for middle in centre)


def _glyph(ink: Floats) -> Mask:
    """Where the glyph is, among the ink: specks, and what hangs on the edges of the picture, left out."""
    paper = ink[ink < 0.5]
    threshold = float(np.clip(PAPER_NOISE * deviation(paper), LEAST_INK, 0.5)) if paper.size else 0.5
    parts, weights = parts_of(ink > threshold, ink > 0.5)
    if not weights.any():
        raise PictureError("nothing is drawn in it, or too faintly to be read")
    kept = np.flatnonzero(weights >= SPECK * weights.max())
    return np.asarray(np.isin(parts, kept))


def fitted(drawn: Floats) -> Floats:
    """Ink cut to the glyph, (height, width), resized so that its longer side is BOX_SIDE: float32, 0-1."""
    height, width = drawn.shape
    size = within(width, height, BOX_SIDE, enlarge=True)
    resampling = Image.Resampling.BOX if max(height, width) > BOX_SIDE else Image.Resampling.BICUBIC
    small = resized(drawn[..., np.newaxis], size, resampling)[..., 0].clip(0, None)
    full = float(np.percentile(small[small > 0.3 * small.max()], FULL_INK))
    return np.asarray((small / full).clip(0, 1), np.float32)


def centred(small: Floats) -> NDArray[np.uint8]:
    """At most (20, 20) ink, 0-1, in (28, 28) uint8 with its centre of mass in the centre, moved by whole pixels."""
    image = np.zeros((SIDE, SIDE), np.float32)
    place = tuple(
        slice(start := int(np.clip(round(CENTRE - middle), 0, SIDE - length)), start + length)
        for middle, length in zip(ndimage().center_of_mass(small), small.shape, strict=True)
    )
    image[place] = small
    return np.rint(image * 255).astype(np.uint8)


def _stroke_width(glyph: Mask, pixel: float) -> float:
    """The mean width of the strokes, with holes much smaller than `pixel` filled.

    On average, a point of a bar is a quarter of the bar's width from its edge.
    """
    smooth = ndimage().gaussian_filter(glyph.astype(np.float32), pixel / 3, truncate=3 * BLUR_REACH) > 0.5
    widths = [0.0]
    for mask in (glyph, smooth):
        distances = ndimage().distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        if mask.any():
            widths.append(4 * float(distances[mask].mean() - 0.5))  # from the pixel's edge, not from its middle
    return max(widths)


def _thickened(drawn: Floats, glyph: Mask, by: float) -> Floats:
    """The ink, cut to the glyph, with its strokes wider by so many pixels on each side, as is the whole."""
    margin = int(np.ceil(by))
    distances = ndimage().distance_transform_edt(~np.pad(glyph, margin))
    return np.asarray(np.maximum(np.pad(drawn, margin), (by + 0.5 - distances).clip(0, 1)), np.float32)
