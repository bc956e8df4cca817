"""A picture file, of whatever kind, to colours."""

from __future__ import annotations

import logging
import math
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from glyphline.data.pixels import Floats, border, resized, within
from glyphline.errors import PictureError

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")  # none of Pillow's that start another program
MAX_PIXELS = 89_478_485  # Pillow's own limit: a quarter of a gibibyte at three bytes a pixel
LARGEST = 1e38  # of floating-point grey: high - low, at most twice this, still fits a float32
WORKING_SIDE = 1024  # longest side, in pixels, of what is looked at; larger pictures are reduced first

logging.getLogger("PIL").addHandler(logging.NullHandler())  # what it says of a damaged file, our sentence says too


@dataclass(frozen=True)
class Picture:
    """A picture as read.

    colours: (height, width, 1 or 3) float32, 0-1, upright, on paper where it was transparent; no side is longer than
    WORKING_SIDE. frames: more than 1 for an animation or a document of several pages, of which this is the first.
    values: of grey of more than 8 bits the values that became 0 and 1; else None.
    """

    colours: Floats
    frames: int
    values: tuple[float, float] | None = None


def read_picture(path: Path, values: tuple[float, float] | None = None) -> Picture:
    """Read a picture of any size, mode and orientation. Raises PictureError.

    Only an ordinary file is opened. values: what is black and what is white where grey has more than 8 bits; by default
    the darkest and the lightest value of the picture.
    """
    _refuse_what_is_no_file(path)
    try:
        # As a stream: Pillow 13 garbles an uncompressed TIFF that lies sideways when it opens it by name.
        with path.open("rb") as file:
            return decode_picture(file, values)
    except OSError as error:
        raise PictureError(f"the file cannot be read ({error.strerror})") from None


def decode_picture(
    file: IO[bytes], values: tuple[float, float] | None = None, most_pixels: int = MAX_PIXELS
) -> Picture:
    """As read_picture, from a stream that can seek.

    Only the formats of FORMATS are tried. The size is checked before any pixel is decoded. most_pixels: at most
    MAX_PIXELS.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata, which is no concern here
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=FORMATS) as image:
                if image.width * image.height > most_pixels:
                    raise Image.DecompressionBombError
                return _decoded(image, values)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise PictureError(
            f"the picture has more than {most_pixels:,} pixels, the most that is read; make it smaller first"
        ) from None
    except UnidentifiedImageError:
        raise PictureError("this is not a PNG, JPEG, BMP, GIF, TIFF, WebP or PPM picture") from None
    except MemoryError:
        raise PictureError("there is not enough memory for a picture of this size") from None
    except Exception as error:  # Pillow's decoders raise whatever damaged bytes lead them to, even AttributeError
        if isinstance(error, OSError) and error.errno is not None:
            raise PictureError(f"the file cannot be read ({error.strerror})") from None
        raise PictureError("the picture is damaged or cut short") from None


def _refuse_what_is_no_file(path: Path) -> None:
    try:
        status = path.stat()
    except FileNotFoundError:
        raise PictureError("there is no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise PictureError(f"the file cannot be read ({reason})") from None
    if stat.S_ISDIR(status.st_mode):
        raise PictureError("this is a directory, not a picture")
    if not stat.S_ISREG(status.st_mode):
        raise PictureError("this is not an ordinary file")  # a pipe or a device could keep us waiting for ever
    if status.st_size == 0:
        raise PictureError("the file is empty")


def _decoded(image: Image.Image, extremes: tuple[float, float] | None) -> Picture:
    frames = int(getattr(image, "n_frames", 1))
    image.draft(None, (WORKING_SIDE, WORKING_SIDE))  # lets the JPEG decoder leave out detail that is not looked at
    image.load()
    if not image.mode.startswith(("I", "F")):
        extremes = None
    elif extremes is None:
        extremes = _extremes(image)
    upright = _upright(_reduced(image, extremes), image)
    values = np.asarray(upright, np.float32)
    if upright.mode != "F":
        values = values / np.float32(255)
    if values.ndim == 2:
        return Picture(values.clip(0, 1)[..., np.newaxis], frames, extremes)
    return Picture(_on_paper(values) if upright.mode == "RGBA" else values, frames)


def _reduced(image: Image.Image, extremes: tuple[float, float] | None) -> Image.Image:
    """L, RGB, RGBA, or F in 0-1, no side longer than WORKING_SIDE.

    Converted and averaged tile by tile: next to the decoded picture itself there is never another of its size.
    """
    size = within(*image.size, WORKING_SIDE)
    if size == image.size:
        return _converted(image, extremes)
    # Twice the working size at least: the rest is left to resize, which weighs the pixels that lie on a boundary.
    factors = max(1, image.width // (2 * size[0])), max(1, image.height // (2 * size[1]))
    width, height = image.width / factors[0], image.height / factors[1]
    reduced: Image.Image | None = None
    for tile, (left, top) in _tiles(image, factors):
        part = _converted(tile, extremes).reduce(factors)
        if reduced is None:
            reduced = Image.new(part.mode, (math.ceil(width), math.ceil(height)))
        reduced.paste(part, (left // factors[0], top // factors[1]))
    assert reduced is not None
    return reduced.resize(size, Image.Resampling.BOX, (0, 0, width, height))


def _tiles(image: Image.Image, factors: tuple[int, int]) -> Iterator[tuple[Image.Image, tuple[int, int]]]:
    """Copies of parts of the picture, each with its left and top edge, which are multiples of the factors."""
    width, height = (max(WORKING_SIDE // factor, 1) * factor for factor in factors)
    for top in range(0, image.height, height):
        for left in range(0, image.width, width):
            box = (left, top, min(left + width, image.width), min(top + height, image.height))
            yield image.crop(box), (left, top)


def _converted(tile: Image.Image, extremes: tuple[float, float] | None) -> Image.Image:
    if extremes is not None:
        low, high = extremes
        return Image.fromarray((_values(tile) - np.float32(low)) / np.float32((high - low) or 1))
    if tile.has_transparency_data:
        return tile.convert("RGBA")
    if tile.mode == "LAB":  # which Pillow cannot convert; its first channel is the lightness
        return tile.getchannel(0)
    return tile.convert("L" if tile.mode in ("1", "L") else "RGB")


def _extremes(image: Image.Image) -> tuple[float, float]:
    """The range to which grey of 16 or 32 bits, or floating point, is stretched: which part it uses, no file says."""
    found = [
        (float(values.min()), float(values.max())) for values in (_values(tile) for tile, _ in _tiles(image, (1, 1)))
    ]
    return min(low for low, _ in found), max(high for _, high in found)


def _values(tile: Image.Image) -> Floats:
    values = np.nan_to_num(np.asarray(tile, np.float32), posinf=0, neginf=0)
    return values.clip(-LARGEST, LARGEST)


def _upright(reduced: Image.Image, image: Image.Image) -> Image.Image:
    """Turned as the EXIF orientation of `image` says; as it is where the EXIF data are damaged."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        if orientation == 1:
            return reduced
        reduced.getexif()[ExifTags.Base.Orientation] = orientation
        return ImageOps.exif_transpose(reduced)
    except Exception:  # of many kinds, and the pixels are well
        return reduced


def _on_paper(values: Floats) -> Floats:
    """Lay (height, width, 4) colours with transparency on paper: (height, width, 3)."""
    colours, opacity = values[..., :3], values[..., 3:]
    drawn = colours[opacity[..., 0] > 0.5]
    if not len(drawn):
        drawn = np.zeros((1, 3), np.float32)
    if opacity[border(opacity.shape[:2])].mean() < 0.5:
        # The glyph stands on nothing: give it the paper that shows it best.
        paper = np.full(3, drawn.mean() < 0.5, np.float32)
    else:
        paper = np.median(drawn, axis=0)  # only a corner or a hole is transparent
    return np.asarray(colours * opacity + paper * (1 - opacity), np.float32)


def thumbnail(picture: Picture, side: int) -> NDArray[np.uint8]:
    """The picture small: (height, width, 3) uint8, 0-255, no side longer than `side` pixels."""
    height, width, channels = picture.colours.shape
    small = resized(picture.colours, within(width, height, side), Image.Resampling.BOX)
    return np.rint(np.broadcast_to(small, (*small.shape[:2], max(3, channels))) * 255).astype(np.uint8)
