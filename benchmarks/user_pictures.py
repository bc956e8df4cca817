"""Measure what the preparation of a user's own pictures is worth.

Test digits are drawn as people's pictures come: larger, smaller, off-centre, dark on light, coloured, noisy, badly lit.
Each picture is written as a real file and classified twice: squeezed to 28x28 with its grey as it is ("before"), and
prepared by glyphline.predict ("after"). The last column of numbers is the accuracy on the same digits untouched.

    python -m benchmarks.user_pictures --model models/small_l2.keras

prints a Markdown table; --examples FOLDER draws one picture of each kind instead. The digits and everything random
about the pictures follow --seed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from benchmarks.processes import machine_line
from glyphline import paths
from glyphline.data.pictures import read_picture
from glyphline.errors import PictureError
from glyphline.model.inference import best_trained, check_model, probabilities
from glyphline.predict.prepare import SIDE, prepare

Floats = NDArray[np.float64]
Digit = NDArray[np.uint8]  # (28, 28), 0 (background) to 255 (ink)

SIDEWAYS = {3: 180, 6: 90, 8: 270}  # EXIF orientation: degrees that the stored pixels are turned anti-clockwise
EXIF_ORIENTATION = 0x0112


def enlarged(digit: Digit, side: int) -> Floats:
    """The digit's ink at (side, side) pixels, 0-1."""
    drawn = Image.fromarray(digit).convert("F").resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray((np.asarray(drawn, np.float64) / 255).clip(0, 1))


def placed(ink: Floats, height: int, width: int, rng: Generator) -> Floats:
    """The ink somewhere on a page of (height, width)."""
    page = np.zeros((height, width))
    top, left = (int(rng.integers(0, free + 1)) for free in (height - ink.shape[0], width - ink.shape[1]))
    page[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return page


def cropped(ink: Floats) -> Floats:
    """The ink without its margin."""
    box = ndimage.find_objects((ink > 0.2).astype(int))[0]
    return np.asarray(ink[box])


def grey(levels: Floats) -> Image.Image:
    return Image.fromarray(np.rint(levels.clip(0, 1) * 255).astype(np.uint8))


def drawn_on(ink: Floats, paper: Floats, pen: Floats) -> Image.Image:
    """The ink in the pen's colour on paper of another: both (3,) red, green, blue, 0-1, or (height, width, 3)."""
    return grey(paper + ink[..., np.newaxis] * (pen - paper))


def colours(rng: Generator) -> tuple[Floats, Floats]:
    """Two colours, each (3,), a clear difference apart but often of the same grey."""
    while True:
        paper, pen = rng.random(3), rng.random(3)
        if np.linalg.norm(paper - pen) > 0.5:
            return paper, pen


def uneven_light(shape: tuple[int, int], rng: Generator) -> Floats:
    """A slope and darker corners: the brightest point is 1, the darkest about 0.5."""
    y, x = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    angle = rng.uniform(0, 2 * np.pi)
    slope = 0.2 * (x * np.cos(angle) + y * np.sin(angle))
    light = 1 + slope - rng.uniform(0.05, 0.15) * (x * x + y * y)
    return np.asarray(light / light.max())


def shadow(shape: tuple[int, int], rng: Generator) -> Floats:
    """A soft-edged shadow over a part of the page: 1 outside, 0.6 inside."""
    y, x = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    angle, offset = rng.uniform(0, 2 * np.pi), rng.uniform(-0.5, 0.5)
    edge = (x * np.cos(angle) + y * np.sin(angle) - offset) / 0.15
    return np.asarray(1 - 0.4 / (1 + np.exp(-edge)))


def thinned(ink: Floats) -> NDArray[np.bool_]:
    """The middle lines of the strokes, one pixel wide (Zhang and Suen 1984)."""
    mask = np.pad(ink > 0.5, 1)
    while True:
        before = mask.copy()
        for first in (True, False):
            around = [np.roll(mask, shift, (0, 1)) for shift in _AROUND]  # north, then clockwise
            count = np.sum(around, axis=0)
            starts = sum((~around[k] & around[(k + 1) % 8]).astype(int) for k in range(8))
            north, east, south, west = around[0], around[2], around[4], around[6]
            if first:
                free = ~(north & east & south) & ~(east & south & west)
            else:
                free = ~(north & east & west) & ~(north & south & west)
            mask = mask & ~((count >= 2) & (count <= 6) & (starts == 1) & free)
        if (mask == before).all():
            return mask[1:-1, 1:-1]


_AROUND = [(1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1)]


# One function a degradation: a digit to a picture and how it is saved. Unless it says otherwise, dark on light.


def large(digit: Digit, rng: Generator) -> Image.Image:
    return grey(1 - enlarged(digit, int(rng.integers(200, 600))))


def light_on_dark(digit: Digit, rng: Generator) -> Image.Image:
    return grey(enlarged(digit, int(rng.integers(200, 600))))


def off_centre(digit: Digit, rng: Generator) -> Image.Image:
    return grey(1 - placed(enlarged(digit, int(rng.integers(60, 160))), 300, 400, rng))


def tiny(digit: Digit, rng: Generator) -> Image.Image:
    return grey(1 - placed(enlarged(digit, 28), 300, 400, rng))


def tight(digit: Digit, rng: Generator) -> Image.Image:
    return grey(1 - cropped(enlarged(digit, int(rng.integers(100, 400)))))


def low_contrast(digit: Digit, rng: Generator) -> Image.Image:
    paper = rng.uniform(0.2, 0.8)
    return grey(paper + rng.choice([-0.08, 0.08]) * placed(enlarged(digit, 200), 260, 260, rng))


def noisy(digit: Digit, rng: Generator) -> Image.Image:
    levels = 0.8 - 0.6 * placed(enlarged(digit, 200), 260, 260, rng)
    return grey(levels + rng.normal(0, 0.2, levels.shape))


def specks(digit: Digit, rng: Generator) -> Image.Image:
    levels = 1 - placed(enlarged(digit, 200), 260, 260, rng)
    return grey(np.where(rng.random(levels.shape) < 0.05, rng.integers(0, 2, levels.shape), levels))


def coloured(digit: Digit, rng: Generator) -> Image.Image:
    paper, pen = colours(rng)
    return drawn_on(placed(enlarged(digit, 200), 260, 260, rng), paper, pen)


def badly_lit(digit: Digit, rng: Generator) -> Image.Image:
    levels = 0.95 - 0.6 * placed(enlarged(digit, 200), 300, 300, rng)
    return grey(levels * uneven_light((300, 300), rng))


def shadowed(digit: Digit, rng: Generator) -> Image.Image:
    levels = 0.95 - 0.7 * placed(enlarged(digit, 200), 300, 300, rng)
    return grey(levels * shadow((300, 300), rng))


def table_edge(digit: Digit, rng: Generator) -> Image.Image:
    widths = np.zeros(4, int)  # above, below, left, right
    widths[rng.integers(0, 4)] = rng.integers(10, 40)
    levels = 1 - placed(enlarged(digit, 200), 260, 260, rng)
    return grey(np.pad(levels, widths.reshape(2, 2), constant_values=0.2))


def blurred(digit: Digit, rng: Generator) -> Image.Image:
    return grey(1 - ndimage.gaussian_filter(placed(enlarged(digit, 200), 260, 260, rng), rng.uniform(2, 5)))


def thin_pen(digit: Digit, rng: Generator) -> Image.Image:
    line = ndimage.binary_dilation(thinned(enlarged(digit, 140)), np.ones((2, 2)))
    return grey(1 - placed(line.astype(np.float64), 200, 200, rng))


def sideways(digit: Digit, rng: Generator) -> Image.Image:
    orientation = int(rng.choice(list(SIDEWAYS)))
    picture = large(digit, rng).rotate(SIDEWAYS[orientation], expand=True)
    picture.getexif()[EXIF_ORIENTATION] = orientation
    return picture


def transparent(digit: Digit, rng: Generator) -> Image.Image:
    ink = placed(enlarged(digit, 200), 260, 260, rng)
    pen = np.full(3, rng.integers(0, 2))  # black or white
    return grey(np.concatenate([np.broadcast_to(pen, (*ink.shape, 3)), ink[..., np.newaxis]], axis=2))


def other_modes(digit: Digit, rng: Generator) -> Image.Image:
    picture = large(digit, rng)
    mode = rng.choice(["1", "P", "LA", "CMYK", "I;16"])
    if mode == "I;16":
        return Image.fromarray(np.asarray(picture, np.uint16) * 16)  # the 12 bits of many cameras and scanners
    return picture.convert(str(mode))


def photograph(digit: Digit, rng: Generator) -> Image.Image:
    height, width = 480, 640
    ink = ndimage.gaussian_filter(placed(enlarged(digit, int(rng.integers(150, 300))), height, width, rng), 1.5)
    paper = rng.uniform(0.75, 0.95) + rng.uniform(-0.05, 0.05, 3)
    pen = rng.uniform(0.05, 0.35, 3)
    levels = (paper + ink[..., np.newaxis] * (pen - paper)) * uneven_light((height, width), rng)[..., np.newaxis]
    return grey(levels + rng.normal(0, 0.04, levels.shape))


def tilted(digit: Digit, rng: Generator) -> Image.Image:
    return grey(1 - ndimage.rotate(enlarged(digit, 200), rng.uniform(-15, 15), reshape=False, order=1))


DEGRADATIONS: dict[str, tuple[Callable[[Digit, Generator], Image.Image], str, dict[str, Any]]] = {
    "large, dark on light": (large, "png", {}),
    "large, light on dark": (light_on_dark, "png", {}),
    "off-centre, smaller": (off_centre, "png", {}),
    "tiny in a large picture": (tiny, "png", {}),
    "no margin": (tight, "png", {}),
    "low contrast (8 %)": (low_contrast, "png", {}),
    "noise (a third of the contrast)": (noisy, "png", {}),
    "specks (5 % of the pixels)": (specks, "png", {}),
    "coloured pen and paper": (coloured, "png", {}),
    "uneven light": (badly_lit, "png", {}),
    "a shadow's edge": (shadowed, "png", {}),
    "a dark table beside the paper": (table_edge, "png", {}),
    "out of focus": (blurred, "png", {}),
    "JPEG of quality 10": (large, "jpg", {"quality": 10}),
    "thin pen": (thin_pen, "png", {}),
    "on its side, with EXIF": (sideways, "jpg", {}),
    "transparent": (transparent, "png", {}),
    "1-bit, palette, LA, CMYK, 16-bit": (other_modes, "tif", {}),
    "like a photograph, JPEG": (photograph, "jpg", {"quality": 75}),
    "tilted up to 15 degrees": (tilted, "png", {}),
}


def before(path: Path) -> Digit:
    """The picture squeezed to (28, 28) with its grey as it is."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L").resize((SIDE, SIDE)), np.uint8)


def after(path: Path) -> Digit | None:
    """The picture as Glyphline prepares it, or None where it is refused."""
    try:
        return prepare(read_picture(path).colours).image
    except PictureError:
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="default: the one in models/ with the best validation accuracy")
    parser.add_argument(
        "--data", type=Path, default=paths.RAW_TEST, help="npz with images and labels (default: %(default)s)"
    )
    parser.add_argument("--count", type=int, default=1000, help="digits to draw, at most (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1234, help="default: %(default)s")
    parser.add_argument("--only", default="", help="measure the degradations whose names contain this")
    parser.add_argument("--examples", type=Path, metavar="FOLDER", help="write one picture of each kind, and stop")
    arguments = parser.parse_args()
    with np.load(arguments.data) as data:
        images, labels = data["images"], data["labels"]
    chosen = np.sort(np.random.default_rng(arguments.seed).permutation(len(labels))[: arguments.count])
    digits, labels = images[chosen], labels[chosen]

    if arguments.examples:
        write_examples(digits, arguments.examples, arguments.seed)
        return
    model = arguments.model or best_trained()
    check_model(model)

    def right(inputs: Sequence[Digit | None]) -> int:
        """How many are classified right; a refused picture is not."""
        shown = [np.zeros((SIDE, SIDE), np.uint8) if image is None else image for image in inputs]
        read = np.array([image is not None for image in inputs])
        return int((read & (probabilities(model, np.stack(shown)).argmax(axis=1) == labels)).sum())

    untouched = right(list(digits))
    totals = np.zeros(4, int)
    print(f"{machine_line()}\n")
    print("| picture | digits | before | after | untouched |")
    print("|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, (degrade, suffix, options)) in enumerate(DEGRADATIONS.items()):
            if arguments.only not in name:
                continue
            path = Path(folder) / f"picture.{suffix}"
            squeezed, prepared = [], []
            for position, digit in zip(chosen, digits, strict=True):
                save(degrade(digit, np.random.default_rng([arguments.seed, number, int(position)])), path, options)
                squeezed.append(before(path))
                prepared.append(after(path))
            counts = np.array([len(digits), right(squeezed), right(prepared), untouched])
            totals += counts
            print(row(name, *counts), flush=True)
    print(row("all", *totals))


def save(picture: Image.Image, path: Path, options: dict[str, Any]) -> None:
    exif: dict[str, Any] = {"exif": picture.getexif()} if EXIF_ORIENTATION in picture.getexif() else {}
    picture.save(path, **options, **exif)


def write_examples(digits: NDArray[np.uint8], folder: Path, seed: int) -> None:
    """One picture of each degradation, of digits spread over all there are."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (degrade, suffix, options) in enumerate(DEGRADATIONS.values()):
        digit = digits[number * len(digits) // len(DEGRADATIONS)]
        path = folder / f"{number + 1:02d}-{degrade.__name__.replace('_', '-')}.{suffix}"
        save(degrade(digit, np.random.default_rng([seed, number])), path, options)


def row(name: str, count: int, *right: int) -> str:
    return f"| {name} | {count:,} | " + " | ".join(f"{100 * number / count:.1f} %" for number in right) + " |"


if __name__ == "__main__":
    main()
