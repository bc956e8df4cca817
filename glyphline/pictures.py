"""A user's own picture made into the image that a network reads, prepared as MNIST's own digits were.

MNIST's preparation, after LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document
recognition", Proceedings of the IEEE 86 (11), 1998, and http://yann.lecun.com/exdb/mnist/: the black-and-white digit is
fitted into 20x20 pixels with its aspect ratio kept, which the anti-aliasing turns grey, and placed in 28x28 pixels so
that its centre of mass is in the centre. What comes before that, finding the ink on the paper, is Glyphline's own: NIST
had scanned clean forms.
"""

from __future__ import annotations

import logging
import stat
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy import ndimage

from glyphline.errors import GlyphlineError
from glyphline.formats import SIDE

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")  # none of Pillow's that start another program
MAX_PIXELS = 89_478_485  # Pillow's own limit: a quarter of a gibibyte at three bytes a pixel
WORKING_SIDE = 1024  # longest side, in pixels, of what is looked at; larger pictures are reduced first

BOX_SIDE = 20  # the square that MNIST's digits are fitted into, pixels
CENTRE = 14  # where the centres of mass of MNIST's digits round to, counting pixels from 0
SMALLEST_SIDE = 8  # pixels; fewer do not tell one digit from another

# What follows was chosen on the validation split of mnist-5k, with benchmarks/user_pictures.py; docs/predict.md tells
# what comes of it on the test set.
OVERVIEW_SIDE = 64  # longest side of the reduced picture in which ink and paper are told apart, pixels
BORDER_SAYS = 0.7  # weight of the edges against the whole in saying which of two colours is the paper
EDGE_TRUST = 3.0  # how much more the edges count in what the paper looks like
SURFACE_ROUNDS = 15  # of reweighting, until the surface hardly moves
BORDER_INK = 0.5  # weight of the ink in the border, which speaks against a division into ink and paper
CLEAR = 0.85  # of the variance explained by ink and paper: look no further
CLEARER = 0.02  # more of it is worth a less simple paper
LEAST_CONTRAST = 4 / 255  # of ink and paper
LEAST_SIGNAL = 3.0  # contrast over the noise of the overview; noise alone makes a "contrast" of 1.7
MOST_NOISE = 0.1  # of the contrast, before the picture is smoothed
UNIT_BLUR = 0.28  # 1 / (2 sqrt(pi)): the Gaussian, in pixels, that leaves white noise as it is
LEAST_INK = 0.3  # of full ink, at the edge of a stroke
PAPER_NOISE = 4.0  # standard deviations of the paper that are not ink yet
SPECK = 0.04  # of the ink of the largest part: less is dirt
ALONG_EDGE = 0.6  # of an edge of the picture: a stroke that runs off it, or ends at it, takes less
GLYPH_SHARE = 0.2  # of the largest part, for one that may be the glyph instead
SOFT_EDGE = 0.025  # of the glyph's side
FULL_INK = 75  # percentile of the inked pixels that becomes 255
THINNEST_STROKE = 1.8  # pixels in 20x20; of MNIST's digits none is as thin, and half are between 2.9 and 3.6
NORMAL_STROKE = 3.0  # what a thinner one is widened to

logging.getLogger("PIL").addHandler(logging.NullHandler())  # what it says of a damaged file, our sentence says too

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


class PictureError(GlyphlineError):
    """A file that holds no glyph: its message says why, after the file's name."""


@dataclass(frozen=True)
class Picture:
    """A picture as read.

    colours: (height, width, 1 or 3) float32, 0-1, upright, on paper where it was transparent; no side is longer than
    WORKING_SIDE. frames: more than 1 for an animation or a document of several pages, of which this is the first.
    """

    colours: Floats
    frames: int


@dataclass(frozen=True)
class Prepared:
    """What the network is shown.

    image: (28, 28) uint8, 0 (background) to 255 (ink). inverted: whether the ink was darker than the paper and had to
    be turned, as MNIST is light on dark. box: left, top, right, bottom of the glyph as fractions of the picture's width
    and height, 0-1. thickened: whether the strokes were too thin to survive in 20x20 pixels and were made wider.
    """

    image: NDArray[np.uint8]
    inverted: bool
    box: tuple[float, float, float, float]
    thickened: bool


def read_picture(path: Path) -> Picture:
    """Read a picture of any size, mode and orientation. Raises PictureError.

    Only an ordinary file is opened, and only the formats of FORMATS are tried. The size is checked before any pixel is
    decoded.
    """
    _refuse_what_is_no_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata, which is no concern here
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # As a stream: Pillow 13 garbles an uncompressed TIFF that lies sideways when it opens it by name.
            with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
                return _decoded(image)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise PictureError(
            f"the picture has more than {MAX_PIXELS:,} pixels, the most that is read; make it smaller first"
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


def _decoded(image: Image.Image) -> Picture:
    frames = int(getattr(image, "n_frames", 1))
    image.draft(None, (WORKING_SIDE, WORKING_SIDE))  # lets the JPEG decoder leave out detail that is not looked at
    image.load()
    upright = _upright(image)
    if upright.mode.startswith(("I", "F")):
        upright = _stretched(upright)
    elif upright.has_transparency_data:
        upright = upright.convert("RGBA")
    elif upright.mode == "LAB":  # which Pillow cannot convert; its first channel is the lightness
        upright = upright.getchannel(0)
    else:
        upright = upright.convert("L" if upright.mode in ("1", "L") else "RGB")
    upright.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.BOX)
    values = np.asarray(upright, np.float32)
    if upright.mode != "F":
        values = values / np.float32(255)
    if values.ndim == 2:
        return Picture(values[..., np.newaxis], frames)
    return Picture(_on_paper(values) if upright.mode == "RGBA" else values, frames)


def _upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF orientation says; as it is where the EXIF data are damaged."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # of many kinds, and the pixels are well
        return image


def _stretched(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits, or floating point, stretched to 0-1: which part of its range is used, no file says."""
    values = np.nan_to_num(np.asarray(image, np.float32), posinf=0, neginf=0)
    low, high = float(values.min()), float(values.max())
    return Image.fromarray((values - np.float32(low)) / np.float32((high - low) or 1))


def _on_paper(values: Floats) -> Floats:
    """Lay (height, width, 4) colours with transparency on paper: (height, width, 3)."""
    colours, opacity = values[..., :3], values[..., 3:]
    drawn = colours[opacity[..., 0] > 0.5]
    if not len(drawn):
        drawn = np.zeros((1, 3), np.float32)
    if opacity[_border(opacity.shape[:2])].mean() < 0.5:
        # The glyph stands on nothing: give it the paper that shows it best.
        paper = np.full(3, drawn.mean() < 0.5, np.float32)
    else:
        paper = np.median(drawn, axis=0)  # only a corner or a hole is transparent
    return np.asarray(colours * opacity + paper * (1 - opacity), np.float32)


def prepare(colours: Floats) -> Prepared:
    """Find the glyph in a picture and prepare it as MNIST's digits were.

    colours: (height, width, channels) float32, 0-1. Raises PictureError when nothing is drawn, or too small.
    """
    ink, inverted = find_ink(colours)
    glyph = _glyph(ink)
    height, width = glyph.shape
    (top, bottom), (left, right) = _extent(glyph, axis=1), _extent(glyph, axis=0)
    side = max(bottom - top, right - left)
    if side < SMALLEST_SIDE:
        raise PictureError("what is drawn in it is too small to be read; cut the picture to the glyph")

    # The soft edges of the strokes are ink too, and what lies further off is not.
    soft = ndimage.binary_dilation(glyph, iterations=max(1, round(side * SOFT_EDGE)))
    drawn = np.where(soft, ink.clip(0, None), 0).astype(np.float32)[top:bottom, left:right]
    pixel = side / BOX_SIDE  # of the image to come, in those of the picture
    stroke = _stroke_width(glyph, pixel)
    thickened = stroke < THINNEST_STROKE * pixel
    if thickened:
        drawn = _thickened(drawn, glyph[top:bottom, left:right], (NORMAL_STROKE * pixel - stroke) / 2)
    return Prepared(
        image=centred(fitted(drawn)),
        inverted=inverted,
        box=(left / width, top / height, right / width, bottom / height),
        thickened=thickened,
    )


def find_ink(colours: Floats) -> tuple[Floats, bool]:
    """How much ink is where, whatever its colour and the paper's.

    colours: (height, width, channels) float32, 0-1. Returns (height, width) float32, about 0 on the paper and 1 on the
    ink, with some noise around both, and whether the ink is darker than the paper. Raises PictureError when nothing
    stands out.
    """
    height, width = colours.shape[:2]
    overview = _resized(colours, _within(width, height, OVERVIEW_SIDE), Image.Resampling.BOX)
    seen: list[tuple[Separation, Floats]] = []
    for paper_of in (_even_paper, _unevenly_lit_paper, _shadowed_paper):
        paper = paper_of(overview)
        seen.append((_separate(overview - paper), paper))
        if seen[-1][0].clarity > CLEAR:
            break
    # The simpler paper wins unless another one shows the ink clearly better.
    best, paper = seen[0]
    for separation, other_paper in seen[1:]:
        if separation.clarity > best.clarity + CLEARER:
            best, paper = separation, other_paper
    # A slope of light is no ink: whatever paper one thinks of, something has to be left.
    if min(separation.contrast for separation, _ in seen) < LEAST_CONTRAST or best.contrast < LEAST_SIGNAL * best.noise:
        raise PictureError("nothing is drawn in it, or too faintly to be read")

    differences = colours - _resized(paper, (width, height), Image.Resampling.BILINEAR)
    ink = (differences @ best.axis - best.paper_level) / best.contrast
    noise = _spread(_grain(ink))
    if noise > MOST_NOISE:
        blur = min(noise / MOST_NOISE * UNIT_BLUR, max(height, width) / 80)
        ink = ndimage.gaussian_filter(ink, blur)
    return np.asarray(ink, np.float32), best.ink_is_darker


@dataclass(frozen=True)
class Separation:
    """Ink told from paper.

    axis: (channels,) float32, the direction in colour from paper to ink, of length 1. paper_level: where the paper lies
    on it. contrast: how far the ink is from there. noise: how much neighbouring pixels differ. clarity: the share of
    the variance that ink and paper explain, 0-1 (Otsu's criterion), less what the ink covers of the border, where
    shadows lie and glyphs seldom do.
    """

    axis: Floats
    paper_level: float
    contrast: float
    noise: float
    clarity: float
    ink_is_darker: bool


def _separate(differences: Floats) -> Separation:
    """Divide (height, width, channels) differences from an assumed paper into ink and paper.

    Colours are measured along the direction in which they vary most, so red ink on green paper of the same grey is
    still ink.
    """
    shape, channels = differences.shape[:2], differences.shape[2]
    flat = differences.reshape(-1, channels).astype(np.float64)
    deviations = flat - np.median(flat, axis=0)
    axis = np.linalg.eigh(deviations.T @ deviations)[1][:, -1]
    axis *= np.sign(axis.sum()) or 1.0  # from dark to light, as far as that can be said of a direction in colour
    levels = (flat @ axis).reshape(shape)
    threshold, clarity = _otsu(levels)
    light = levels > threshold
    # The paper is what there is more of, above all along the edges of the picture.
    ink_is_darker = bool(BORDER_SAYS * light[_border(shape)].mean() + (1 - BORDER_SAYS) * light.mean() > 0.5)
    if ink_is_darker:
        axis, levels = -axis, -levels
    ink = light != ink_is_darker
    paper_level = float(np.median(levels[~ink])) if not ink.all() else 0.0
    contrast = float(np.median(levels[ink])) - paper_level if ink.any() else 0.0
    noise = _spread(_grain(levels))
    parts, weights = _parts(ink, ink)
    clarity -= BORDER_INK * float((weights[parts] > 0)[_border(shape)].mean())
    return Separation(axis.astype(np.float32), paper_level, contrast, noise, clarity, ink_is_darker)


def _otsu(values: NDArray[np.float64]) -> tuple[float, float]:
    """The threshold that best divides values into two classes, and the share of the variance that it explains.

    N. Otsu: A threshold selection method from gray-level histograms. IEEE Trans. SMC 9 (1), 1979.
    """
    if values.max() - values.min() < 1e-9:
        return float(values.max()), 0.0
    counts, edges = np.histogram(values, bins=256)
    middles = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)[:-1]
    above = values.size - below
    sums = np.cumsum(counts * middles)
    between = below * above * (sums[:-1] / below - (sums[-1] - sums[:-1]) / above) ** 2
    best = int(between.argmax())
    return float(edges[best + 1]), float(between[best] / values.size**2 / values.var())


def _even_paper(overview: Floats) -> Floats:
    """The same colour everywhere: the median of the edges."""
    paper = np.median(overview[_border(overview.shape[:2])], axis=0)
    return np.broadcast_to(paper, overview.shape).astype(np.float32)


def _unevenly_lit_paper(overview: Floats) -> Floats:
    """A colour that changes smoothly: the quadratic surface with the least absolute deviation.

    Least absolute deviations are what ink cannot bend, as long as there is less of it than of paper.
    """
    height, width, channels = overview.shape
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(-1, 6)
    values = overview.reshape(-1, channels).astype(np.float64)
    trust = np.where(_border((height, width), share=0.1), EDGE_TRUST, 1.0).reshape(-1, 1)
    surface = np.broadcast_to(np.median(values, axis=0), values.shape)
    for _ in range(SURFACE_ROUNDS):
        deviations = np.linalg.norm(values - surface, axis=1, keepdims=True)
        weighted = terms * trust / np.maximum(deviations, 0.01)
        # The tiny ridge keeps a picture of one row or column solvable.
        surface = terms @ np.linalg.solve(weighted.T @ terms + 1e-9 * np.eye(6), weighted.T @ values)
    return surface.reshape(overview.shape).astype(np.float32)


def _shadowed_paper(overview: Floats) -> Floats:
    """The median colour of the surroundings, which follows the edge of a shadow but no stroke of a pen."""
    side = max(3, max(overview.shape[:2]) // 3)
    return np.asarray(ndimage.median_filter(overview, size=(side, side, 1), mode="reflect"), np.float32)


def _glyph(ink: Floats) -> Mask:
    """Where the glyph is, among the ink: specks, and what hangs on the edges of the picture, left out."""
    paper = ink[ink < 0.5]
    threshold = float(np.clip(PAPER_NOISE * _spread(paper), LEAST_INK, 0.5)) if paper.size else 0.5
    parts, weights = _parts(ink > threshold, ink > 0.5)
    if not weights.any():
        raise PictureError("nothing is drawn in it, or too faintly to be read")
    kept = np.flatnonzero(weights >= SPECK * weights.max())
    return np.asarray(np.isin(parts, kept))


def _parts(faint: Mask, strong: Mask) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The connected parts of faint ink, numbered from 1, and the strong ink in each, by its number; 0 for no part.

    What lies along most of an edge of the picture is a table or a shadow, and weighs nothing unless it is all there is.
    """
    parts, count = ndimage.label(faint, structure=np.ones((3, 3)))
    weights = np.bincount(parts[strong & faint], minlength=count + 1).astype(np.float64)
    edges = (parts[0], parts[-1], parts[:, 0], parts[:, -1])
    along = np.max([np.bincount(edge, minlength=count + 1) / edge.size for edge in edges], axis=0)
    others = np.where(along > ALONG_EDGE, 0, weights)
    return parts, others if others.max() >= GLYPH_SHARE * weights.max() else weights


def fitted(drawn: Floats) -> Floats:
    """Ink cut to the glyph, (height, width), resized so that its longer side is BOX_SIDE: float32, 0-1."""
    height, width = drawn.shape
    size = _within(width, height, BOX_SIDE, enlarge=True)
    resampling = Image.Resampling.BOX if max(height, width) > BOX_SIDE else Image.Resampling.BICUBIC
    small = _resized(drawn[..., np.newaxis], size, resampling)[..., 0].clip(0, None)
    full = float(np.percentile(small[small > 0.3 * small.max()], FULL_INK))
    return np.asarray((small / full).clip(0, 1), np.float32)


def centred(small: Floats) -> NDArray[np.uint8]:
    """At most (20, 20) ink, 0-1, in (28, 28) uint8 with its centre of mass in the centre, moved by whole pixels."""
    image = np.zeros((SIDE, SIDE), np.float32)
    place = tuple(
        slice(start := int(np.clip(round(CENTRE - middle), 0, SIDE - extent)), start + extent)
        for middle, extent in zip(ndimage.center_of_mass(small), small.shape, strict=True)
    )
    image[place] = small
    return np.rint(image * 255).astype(np.uint8)


def _stroke_width(glyph: Mask, pixel: float) -> float:
    """The mean width of the strokes, with holes much smaller than `pixel` filled.

    On average, a point of a bar is a quarter of the bar's width from its edge.
    """
    smooth = ndimage.gaussian_filter(glyph.astype(np.float32), pixel / 3) > 0.5
    widths = [0.0]
    for mask in (glyph, smooth):
        distances = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        if mask.any():
            widths.append(4 * float(distances[mask].mean() - 0.5))  # from the pixel's edge, not from its middle
    return max(widths)


def _thickened(drawn: Floats, glyph: Mask, by: float) -> Floats:
    """The ink, cut to the glyph, with its strokes wider by so many pixels on each side, as is the whole."""
    margin = int(np.ceil(by))
    distances = ndimage.distance_transform_edt(~np.pad(glyph, margin))
    return np.asarray(np.maximum(np.pad(drawn, margin), (by + 0.5 - distances).clip(0, 1)), np.float32)


def thumbnail(picture: Picture, side: int) -> NDArray[np.uint8]:
    """The picture small: (height, width, 3) uint8, 0-255, no side longer than `side` pixels."""
    height, width, channels = picture.colours.shape
    small = _resized(picture.colours, _within(width, height, side), Image.Resampling.BOX)
    return np.rint(np.broadcast_to(small, (*small.shape[:2], max(3, channels))) * 255).astype(np.uint8)


def _border(shape: tuple[int, ...], share: float = 0.04) -> Mask:
    """The pixels of (height, width) nearest to the edges: so large a share of the longer side, on each side."""
    thickness = max(1, round(max(shape) * share))
    border = np.ones(shape, np.bool_)
    border[thickness:-thickness, thickness:-thickness] = False
    return border


def _extent(occupied: Mask, axis: int) -> tuple[int, int]:
    """The first occupied position and the one after the last, seen along an axis."""
    positions = np.flatnonzero(occupied.any(axis=axis))
    return int(positions[0]), int(positions[-1]) + 1


def _spread(values: NDArray[np.floating[Any]]) -> float:
    """The standard deviation that normal noise of this median absolute deviation has."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _grain(values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """What changes from one pixel to the next in (height, width): the noise, and of a drawing only the outlines."""
    return np.asarray(values - ndimage.uniform_filter(values, 3))


def _within(width: int, height: int, side: int, enlarge: bool = False) -> tuple[int, int]:
    """(width, height) in proportion, with no side longer than `side`, none shorter than a pixel."""
    scale = side / max(width, height)
    if scale >= 1 and not enlarge:
        return width, height
    return max(1, round(width * scale)), max(1, round(height * scale))


def _resized(values: Floats, size: tuple[int, int], resampling: Image.Resampling) -> Floats:
    """(height, width, channels) float32 at another (width, height)."""
    channels = np.moveaxis(values, 2, 0)
    resized = [Image.fromarray(np.ascontiguousarray(channel)).resize(size, resampling) for channel in channels]
    return np.stack([np.asarray(channel, np.float32) for channel in resized], axis=-1)
