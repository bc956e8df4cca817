"""Ink told from paper, whatever the colours of the two and the light that they lie in."""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glyphline.data.pixels import Floats, Mask, border, deviation, resized, within
from glyphline.errors import PictureError

# These, and those of prepare.py, were chosen on the validation split of mnist-5k, with benchmarks/user_pictures.py;
# docs/predict.md tells what comes of it on the test set.
OVERVIEW_SIDE = 64  # longest side of the reduced picture in which ink and paper are told apart, pixels
BORDER_SAYS = 0.7  # weight of the edges against the whole in saying which of two colours is the paper
EDGE_TRUST = 3.0  # how much more the edges count in what the paper looks like
SURFACE_ROUNDS = 15  # of reweighting, until the surface hardly moves
BORDER_INK = 0.5  # weight of the ink in the border, which speaks against a division into ink and paper
CLEAR = 0.85  # of the variance explained by ink and paper: look no further
CLEARER = 0.02  # how much more a less simple paper needs
LEAST_CONTRAST = 4 / 255  # of ink and paper
LEAST_SIGNAL = 3.0  # contrast over the noise of the overview; noise alone makes a "contrast" of 1.7
MOST_NOISE = 0.1  # of the contrast, before the picture is smoothed
UNIT_BLUR = 0.28  # 1 / (2 sqrt(pi)): the Gaussian, in pixels, that leaves white noise as it is
ALONG_EDGE = 0.6  # of an edge of the picture: a stroke that runs off it, or ends at it, takes less
GLYPH_SHARE = 0.2  # of the largest part: least ink of a glyph beside a table


@functools.cache
def ndimage() -> Any:
    """scipy.ndimage, imported in less than half of the time: without modules that it loads and does not need.

    They are imported when they are first used.
    """

    class Later(ModuleType):
        def __getattr__(self, name: str) -> Any:
            return getattr(importlib.import_module(self.__name__), name)

    import scipy

    unused = [(np, "f2py"), (np, "testing"), (scipy, "special")]
    unused = [(package, name) for package, name in unused if name not in vars(package)]
    for package, name in unused:
        setattr(package, name, Later(f"{package.__name__}.{name}"))
    try:
        return importlib.import_module("scipy.ndimage")
    finally:
        for package, name in unused:
            if isinstance(vars(package)[name], Later):
                delattr(package, name)


def find_ink(colours: Floats) -> tuple[Floats, bool]:
    """How much ink is where, whatever its colour and the paper's.

    colours: (height, width, channels) float32, 0-1. Returns (height, width) float32, about 0 on the paper and 1 on the
    ink, with some noise around both, and whether the ink is darker than the paper. Raises PictureError when nothing
    stands out.
    """
    height, width = colours.shape[:2]
    overview = resized(colours, within(width, height, OVERVIEW_SIDE), Image.Resampling.BOX)
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
    # Uneven light is no ink: ink has contrast with each of the papers tried.
    if min(separation.contrast for separation, _ in seen) < LEAST_CONTRAST or best.contrast < LEAST_SIGNAL * best.noise:
        raise PictureError("nothing is drawn in it, or too faintly to be read")

    differences = colours - resized(paper, (width, height), Image.Resampling.BILINEAR)
    ink = (differences @ best.axis - best.paper_level) / best.contrast
    noise = _noise(ink)
    if noise > MOST_NOISE:
        blur = min(noise / MOST_NOISE * UNIT_BLUR, max(height, width) / 80)
        ink = ndimage().gaussian_filter(ink, blur)
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
    ink_is_darker = bool(BORDER_SAYS * light[border(shape)].mean() + (1 - BORDER_SAYS) * light.mean() > 0.5)
    if ink_is_darker:
        axis, levels = -axis, -levels
    ink = light != ink_is_darker
    paper_level = float(np.median(levels[~ink])) if not ink.all() else 0.0
    contrast = float(np.median(levels[ink])) - paper_level if ink.any() else 0.0
    noise = _noise(levels)
    parts, weights = parts_of(ink, ink)
    clarity -= BORDER_INK * float((weights[parts] > 0)[border(shape)].mean())
    return Separation(axis.astype(np.float32), paper_level, contrast, noise, clarity, ink_is_darker)


def _noise(values: NDArray[np.floating[Any]]) -> float:
    """The standard deviation of pixels from the mean around them; a drawing's outlines hardly add to it."""
    return deviation(values - ndimage().uniform_filter(values, 3))


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
    paper = np.median(overview[border(overview.shape[:2])], axis=0)
    return np.broadcast_to(paper, overview.shape).astype(np.float32)


def _unevenly_lit_paper(overview: Floats) -> Floats:
    """A colour that changes smoothly: the quadratic surface with the least absolute deviation.

    Least absolute deviations are what ink cannot bend, as long as there is less of it than of paper.
    """
    height, width, channels = overview.shape
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(-1, 6)
    values = overview.reshape(-1, channels).astype(np.float64)
    trust = np.where(border((height, width), share=0.1), EDGE_TRUST, 1.0).reshape(-1, 1)
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
    return np.asarray(ndimage().median_filter(overview, size=(side, side, 1), mode="reflect"), np.float32)


def parts_of(faint: Mask, strong: Mask) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The connected parts of faint ink, numbered from 1, and the strong ink in each, by its number; 0 for no part.

    What lies along most of an edge of the picture is a table or a shadow, and weighs nothing unless it is all there is.
    """
    parts, count = ndimage().label(faint, structure=np.ones((3, 3)))
    weights = np.bincount(parts[strong & faint], minlength=count + 1).astype(np.float64)
    edges = (parts[0], parts[-1], parts[:, 0], parts[:, -1])
    along = np.max([np.bincount(edge, minlength=count + 1) / edge.size for edge in edges], axis=0)
    others = np.where(along > ALONG_EDGE, 0, weights)
    return parts, others if others.max() >= GLYPH_SHARE * weights.max() else weights
