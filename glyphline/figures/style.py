"""How every figure looks: its fonts, colours and headline, and where things stand on it.

Places and sizes are in inches from the top left corner of the figure: automatic layouts take as long as the drawing.
"""

from __future__ import annotations

import functools
import io
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ParamSpec

import numpy as np
from matplotlib import font_manager, ft2font
from matplotlib import style as matplotlib_style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

Arguments = ParamSpec("Arguments")

WIDTH = 9.0  # inches
DPI = 110  # so that a figure is 990 pixels wide, a little more than a README shows
MARGIN = 0.3  # inches
LONGEST_NAME = 30  # of a class, characters
MOST_SIGNS = 10  # that a sentence names
HEAD = 0.95  # inches that the headline takes

# Okabe and Ito's colours, which the colour-blind tell apart too.
TRAIN = "#0072B2"
VALIDATION = "#D55E00"
TEST = "#009E73"
RIGHT = "#0072B2"
WRONG = "#D55E00"
INK = "#222222"
QUIET = "#6B6B6B"
FAINT = "#D9D9D9"

_FAMILIES = ["DejaVu Sans", "IPAexGothic"]
_BASE = {
    "font.family": _FAMILIES,
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # a $ in the name of a class is a dollar
    "axes.edgecolor": "#9A9A9A",
    "axes.linewidth": 0.8,
    "axes.labelcolor": INK,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "axes.grid": True,
    "grid.color": "#EBEBEB",
    "grid.linewidth": 0.8,
    "xtick.color": "#9A9A9A",
    "ytick.color": "#9A9A9A",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Picture:
    """A figure, its caption, and what it shows in words for those who do not see it."""

    figure: Figure
    caption: str
    alt: str


@contextmanager
def house_style() -> Iterator[None]:
    """matplotlib's defaults with this module's on top, and afterwards whatever was set before."""
    _register_kana_font()
    with matplotlib_style.context(["default", _BASE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # `cover` says it once
        yield


def shown(names: Sequence[str]) -> list[str]:
    """Names of classes as figures write them: on one line, and of long ones the beginning and, longer, the end."""
    start, end = LONGEST_NAME // 3, LONGEST_NAME - LONGEST_NAME // 3 - 1
    lines = [name if name.isprintable() else ascii(name) for name in names]
    return [line if len(line) <= LONGEST_NAME else f"{line[:start]}…{line[-end:]}" for line in lines]


def cover(names: Iterable[str]) -> str | None:
    """Let figures write names in fonts of this machine where theirs lack a character.

    Returns a sentence about characters that no font has, and that are drawn as boxes.
    """
    _register_kana_font()
    lacking = {ord(sign) for name in names for sign in name if sign.isprintable()}
    lacking -= _signs(font_manager.findfont(_FAMILIES[0])) | _signs(str(kana_font_path()))
    others = [font for font in font_manager.fontManager.ttflist if font.style == "normal" and font.weight == 400]
    # Those without serifs first: they look like the others. Last Resort has a box for everything.
    for font in sorted(others, key=lambda font: ("Sans" not in font.name, font.name, font.fname)):
        if lacking and "Last Resort" not in font.name and (found := lacking & _signs(font.fname, font.index)):
            _FAMILIES.append(font.name)
            font_manager.fontManager.ttflist.append(replace(font, weight=700))  # as for the kana font
            lacking -= found
    if not lacking:
        return None
    some = " ".join(chr(sign) for sign in sorted(lacking)[:MOST_SIGNS])
    more = f" and {len(lacking) - MOST_SIGNS:,} more" if len(lacking) > MOST_SIGNS else ""
    return (
        f"names of classes have characters of which no font of this machine has any: {some}{more}; figures show boxes "
        "in their place, until a font that has them is installed, one of Noto Sans for instance"
    )


def _signs(file: str, index: int = 0) -> set[int]:
    """The code points that a font has."""
    try:
        return set(ft2font.FT2Font(file, face_index=index).get_charmap())
    except (OSError, RuntimeError):  # a font of the system's that cannot be read is none
        return set()


def kana_font_path() -> Path:
    """The IPAexGothic font, which has the kana that the Kuzushiji data sets name their classes with."""
    # The package that carries it changes rcParams when it is imported, so it is only looked up.
    package = find_spec("matplotlib_fontja")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("matplotlib_fontja is not installed, and names in kana need its font")
    return Path(package.origin).parent / "fonts" / "ipaexg.ttf"


@functools.cache
def _register_kana_font() -> None:
    font_manager.fontManager.addfont(kana_font_path())
    # It comes in one weight. Without this, matplotlib takes it for bold text too, and complains each time.
    font_manager.fontManager.ttflist.append(replace(font_manager.fontManager.ttflist[-1], weight=700))


def styled(draw: Callable[Arguments, Picture]) -> Callable[Arguments, Picture]:
    """Make `draw` run within house_style()."""

    @functools.wraps(draw)
    def draw_in_style(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Picture:
        with house_style():
            return draw(*args, **kwargs)

    return draw_in_style


def to_png(picture: Picture) -> bytes:
    """The picture as a PNG with its caption as Title and its alt text as Description. Equal pictures: equal bytes."""
    buffer = io.BytesIO()
    metadata = {"Software": None, "Title": picture.caption, "Description": picture.alt}
    with house_style():  # ticks are made when they are drawn
        picture.figure.savefig(buffer, format="png", metadata=metadata)
    return buffer.getvalue()


def save(picture: Picture, path: Path) -> None:
    """Write `to_png` to a file, its folder made if need be."""
    png = to_png(picture)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png)


def new_figure(title: str, subtitle: str, height: float) -> Figure:
    """An empty figure, WIDTH by `height` inches, with its headline in the uppermost HEAD inches."""
    figure = Figure(figsize=(WIDTH, height), dpi=DPI)
    FigureCanvasAgg(figure)
    write_headline(figure, title, subtitle)
    return figure


def write_headline(figure: Figure, title: str, subtitle: str) -> None:
    """Write both at the top of the figure, in smaller letters where they would be wider than it."""
    for text, top, size, weight, colour in ((title, 0.3, 13, "bold", INK), (subtitle, 0.58, 9, "normal", QUIET)):
        fitting = min(1.0, (WIDTH - 2 * MARGIN) / max(widest([text], size, weight), 0.01))
        write(figure, MARGIN, top, text, size=size * fitting, weight=weight, color=colour)


def write(figure: Figure, left: float, top: float, text: str, **properties: Any) -> None:
    """Write text on the figure, vertically centred at `top`."""
    height = figure.get_figheight()
    figure.text(left / WIDTH, 1 - top / height, text, **({"va": "center_baseline"} | properties))


def axes_at(
    figure: Figure,
    left: float,
    top: float,
    width: float,
    height: float,
    *,
    share: Axes | None = None,
    bare: bool = False,
) -> Axes:
    """New axes; `share` gives its limits to them, and `bare` ones have neither frame, grid nor ticks.

    The limits of bare axes are inches too: x from `left`, y from `top` downwards.
    """
    whole = figure.get_figheight()
    box = (left / WIDTH, 1 - (top + height) / whole, width / WIDTH, height / whole)
    axes = figure.add_axes(box, sharex=share, sharey=share)
    axes.tick_params(length=3, width=0.8)
    if bare:
        axes.set_axis_off()
        axes.set_xlim(left, left + width)
        axes.set_ylim(top + height, top)
    return axes


def widest(texts: Iterable[str], size: float, weight: str = "normal") -> float:
    """The width of the widest of the texts when written, inches."""
    figure = Figure(dpi=DPI)
    FigureCanvasAgg(figure)
    extents = [figure.text(0, 0, text, size=size, weight=weight).get_window_extent() for text in set(texts)]
    return max((float(extent.width) for extent in extents), default=0.0) / DPI


def mosaic(axes: Axes, images: NDArray[np.uint8], centres: NDArray[np.float64], side: float) -> None:
    """Show images on bare axes, in a thin frame each: grey ones black on white, coloured ones as they are.

    images: (n, height, width) uint8, 0 (paper) to 255 (ink), or (n, height, width, 3). centres: (n, 2), x and y in
    inches. side: inches.
    """
    # One picture a pixel fine instead of n axes: forty axes take a second.
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    columns, rows = round((right - left) * DPI), round((bottom - top) * DPI)
    is_grey = images.ndim == 3
    canvas = np.full((rows, columns, *images.shape[3:]), 0 if is_grey else 255, np.uint8)
    pixels = max(1, round(side * DPI))
    if max(images.shape[1:3]) > pixels - 2:  # more pixels than the tile: averaged, so that no line is lost
        size, box_filter = (pixels - 2, pixels - 2), Image.Resampling.BOX
        images = np.stack([np.asarray(Image.fromarray(image).resize(size, box_filter)) for image in images])
    margins = ((0, 0), (1, 1), (1, 1), (0, 0))[: images.ndim]
    framed = np.pad(images, margins, constant_values=30 if is_grey else 225)
    nearest_rows = np.arange(pixels) * framed.shape[1] // pixels
    nearest_columns = np.arange(pixels) * framed.shape[2] // pixels
    for image, (x, y) in zip(framed, centres, strict=True):
        row, column = round((y - top) * DPI - pixels / 2), round((x - left) * DPI - pixels / 2)
        canvas[row : row + pixels, column : column + pixels] = image[np.ix_(nearest_rows, nearest_columns)]
    box = (left, right, bottom, top)
    axes.imshow(canvas, cmap="gray_r", vmin=0, vmax=255, extent=box, aspect="auto", interpolation="nearest")


def epoch_ticks(epochs: int, most: int = 8) -> list[int]:
    """Whole numbers from 1 to `epochs`, evenly spaced but for the first, about `most` of them."""
    step = next(
        scale * factor
        for scale in (10**power for power in range(10))
        for factor in (1, 2, 5)
        if math.ceil(epochs / (scale * factor)) <= most
    )
    return sorted({1, *range(step, epochs + 1, step)})
