"""glyphline/predict/: a user's picture becomes the image that MNIST's makers would have made of it."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps
from scipy import ndimage

from glyphline.data.pictures import MAX_PIXELS, WORKING_SIDE, read_picture, thumbnail
from glyphline.data.pixels import Floats
from glyphline.errors import PictureError
from glyphline.predict.prepare import Prepared, prepare
from tests.conftest import Labelled, growing_by_at_most
from tests.fuzzing import picture, resealed

ORIENTATION = 0x0112
# What EXIF's orientation says was done to the picture, and what Pillow calls doing it.
TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def drawn(digit: NDArray[np.uint8]) -> Image.Image:
    """A digit dark on light at (280, 280) pixels, less a strip on the right, so that it is not square."""
    ink: NDArray[np.uint8] = 255 - digit
    return Image.fromarray(ink).resize((280, 280)).crop((0, 0, 252, 280))


def colours(levels: NDArray[Any] | Image.Image) -> Floats:
    """Grey levels 0-1, or a picture, as read_picture would give them."""
    values = np.asarray(levels, np.float32) / np.float32(255 if isinstance(levels, Image.Image) else 1)
    return np.asarray(values if values.ndim == 3 else values[..., np.newaxis], np.float32)


def difference(one: Prepared | NDArray[np.uint8], other: Prepared | NDArray[np.uint8]) -> float:
    """Mean difference of two images in grey levels; different digits are some 40 apart.

    A move by one pixel is none: where a centre of mass lies between two pixels, it may round to either.
    """
    first, second = (thing.image if isinstance(thing, Prepared) else thing for thing in (one, other))
    moved = [np.roll(first, (row, column), (0, 1)).astype(int) for row in (-1, 0, 1) for column in (-1, 0, 1)]
    return min(float(np.abs(image - second).mean()) for image in moved)


@pytest.fixture(scope="module")
def seven(digits: Labelled) -> Image.Image:
    """A seven on a page."""
    return drawn(digits[0][digits[1] == 7][5])


@pytest.fixture(scope="module")
def reference(seven: Image.Image) -> Prepared:
    """That seven, prepared without having been a file."""
    return prepare(colours(seven))


@pytest.fixture
def off(reference: Prepared, tmp_path: Path) -> Callable[..., float]:
    """The difference between a picture that was saved in a format and read again and the reference."""

    def measure(image: Image.Image, suffix: str = "png", **options: Any) -> float:
        image.save(tmp_path / f"seven.{suffix}", **options)
        return difference(prepare(read_picture(tmp_path / f"seven.{suffix}").colours), reference)

    return measure


# What MNIST's makers did


@pytest.mark.parametrize(
    ("page", "median", "nearly_all"), [(drawn, 7, 14), (lambda digit: digit / 255, 1, 10)], ids=["large", "as it is"]
)
def test_a_digit_of_mnist_comes_back_as_it_was(
    page: Callable[[NDArray[np.uint8]], Any], median: float, nearly_all: float, digits: Labelled
) -> None:
    differences = [difference(prepare(colours(page(digit))), digit) for digit in digits[0][::10]]
    assert np.median(differences) < median
    assert np.quantile(differences, 0.98) < nearly_all


def test_the_longer_side_is_20_pixels_and_the_centre_of_mass_in_the_centre(digits: Labelled) -> None:
    for digit in digits[0][::25]:
        prepared = prepare(colours(drawn(digit)))
        rows, columns = np.flatnonzero(prepared.image.any(1)), np.flatnonzero(prepared.image.any(0))
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
        assert prepared.image.max() == 255
        assert all(13.45 <= middle <= 14.55 for middle in ndimage.center_of_mass(prepared.image))


@given(st.integers(40, 400), st.integers(40, 400))
@settings(max_examples=10, deadline=None)
def test_the_aspect_ratio_is_kept(width: int, height: int) -> None:
    levels = np.ones((700, 700))
    levels[200 : 200 + height, 150 : 150 + width] = 0
    image = prepare(colours(levels)).image
    found = (np.ptp(np.flatnonzero(image.any(1))) + 1, np.ptp(np.flatnonzero(image.any(0))) + 1)
    scale = 20 / max(width, height)
    assert found == pytest.approx((height * scale, width * scale), abs=0.51)


@pytest.mark.parametrize("dark_on_light", [True, False])
def test_it_says_where_the_glyph_was_and_whether_it_was_dark(dark_on_light: bool) -> None:
    levels = np.full((200, 400), float(dark_on_light))
    levels[50:150, 300:340] = 1 - dark_on_light
    prepared = prepare(colours(levels))
    assert prepared.box == pytest.approx((0.75, 0.25, 0.85, 0.75), abs=0.01)
    assert prepared.inverted == dark_on_light


# Ink and paper


RED, GREEN = np.array([0.9, 0.1, 0.1]), np.array([0.1, 0.507, 0.1])  # of the same grey
TABLE = 20  # pixels of it that are seen beside the paper


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def dirty(page: Floats) -> Floats:
    page = page.copy()
    page[5:9, 5:9] = 0
    return page


def shadowed(page: Floats) -> Any:
    return page * (1 - 0.4 / (1 + np.exp(-(np.arange(page.shape[1]) - 120) / 10)))[:, np.newaxis]


def beside(page: Floats, *widths: tuple[int, int]) -> Any:
    return np.pad(page, (*widths, (0, 0)), constant_values=0.1)


CHANGES: dict[str, tuple[Callable[[Floats], Any], float]] = {
    "light on dark": (lambda page: 1 - page, 1),
    "contrast of 3 %": (lambda page: np.rint(255 * (0.5 + 0.03 * page)) / 255, 4),
    "contrast of 10 %": (lambda page: np.rint(255 * (0.5 + 0.1 * page)) / 255, 4),
    "contrast of 50 %": (lambda page: np.rint(255 * (0.5 + 0.5 * page)) / 255, 4),
    "red on green": (lambda page: RED + page * (GREEN - RED), 2),
    "noise": (lambda page: (page * 0.6 + 0.2 + random().normal(0, 0.15, page.shape)).clip(0, 1), 8),
    "specks": (lambda page: np.where(random().random(page.shape) < 0.03, 0, page * 0.6 + 0.2), 8),
    "dirt": (lambda page: dirty(page * 0.6 + 0.2), 1),
    "uneven light": (lambda page: (page * 0.8 + 0.1) * np.linspace(0.3, 1, len(page))[:, None, None], 6),
    "a shadow": (lambda page: shadowed(page * 0.8 + 0.1), 12),
    "a table above": (lambda page: beside(page, (TABLE, 0), (0, 0)), 2),
    "a table below": (lambda page: beside(page, (0, TABLE), (0, 0)), 2),
    "a table on the left": (lambda page: beside(page, (0, 0), (TABLE, 0)), 2),
    "a table on the right": (lambda page: beside(page, (0, 0), (0, TABLE)), 2),
}


@pytest.mark.parametrize("change", CHANGES)
def test_colour_light_and_dirt_change_nothing(change: str, seven: Image.Image, reference: Prepared) -> None:
    changed, most = CHANGES[change]
    assert difference(prepare(changed(colours(seven)).astype(np.float32)), reference) < most


def test_a_digit_cut_to_its_own_outline_keeps_its_image(digits: Labelled) -> None:
    kept = 0
    chosen = digits[0][::20]
    for digit in chosen:
        page = colours(drawn(digit))
        inked = page[..., 0] < 0.7
        rows, columns = np.flatnonzero(inked.any(1)), np.flatnonzero(inked.any(0))
        tight = page[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        kept += difference(prepare(tight), prepare(page)) < 10
    assert kept >= 0.95 * len(chosen)


def test_a_thin_line_is_made_as_wide_as_mnists_and_a_normal_one_is_not() -> None:
    def cross(width: int) -> Prepared:
        levels = np.ones((300, 300))
        levels[150 : 150 + width, 50:250] = 0
        levels[50:250, 150 : 150 + width] = 0
        return prepare(colours(levels))

    thin, normal = cross(2), cross(30)
    assert (thin.thickened, normal.thickened) == (True, False)
    assert thin.image.astype(int).sum() == pytest.approx(normal.image.astype(int).sum(), rel=0.3)


# Any size, any mode, any orientation


@pytest.mark.parametrize("side", [28, 40, 100, 1500])
def test_any_size_gives_the_same_image(side: int, seven: Image.Image, off: Callable[..., float]) -> None:
    assert off(seven.resize((side - side // 10, side))) < 8


MODES = {
    "png": ("L", "RGB", "RGBA", "LA", "P", "1", "I;16"),
    "jpg": ("RGB", "L", "CMYK"),
    "bmp": ("RGB", "1"),
    "gif": ("P",),
    "webp": ("RGB",),
    "ppm": ("RGB",),
    "tif": ("CMYK", "YCbCr", "LAB", "I", "F"),
}


@pytest.mark.parametrize(("suffix", "mode"), [(suffix, mode) for suffix, modes in MODES.items() for mode in modes])
def test_any_mode_gives_the_same_image(suffix: str, mode: str, seven: Image.Image, off: Callable[..., float]) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.asarray(seven, np.uint16) * 16)  # the 12 bits of a scanner
    elif mode == "F":
        image = Image.fromarray(np.asarray(seven, np.float32) - 1000)
    elif mode == "LAB":
        rgb, lab_profile = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        lab = ImageCms.profileToProfile(seven.convert("RGB"), rgb, lab_profile, outputMode="LAB")
        assert lab is not None
        image = lab
    else:
        image = seven.convert(mode)
    assert off(image, suffix) < 4


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", TURNED)
def test_a_picture_stored_on_its_side_is_read_upright(
    orientation: int, suffix: str, seven: Image.Image, off: Callable[..., float]
) -> None:
    stored = seven.transpose(TURNED[orientation])
    exif = stored.getexif()
    exif[ORIENTATION] = orientation
    assert off(stored, suffix, exif=exif) < 4


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_damaged_exif_data_harm_no_picture(suffix: str, seven: Image.Image, off: Callable[..., float]) -> None:
    assert off(seven, suffix, exif=b"Exif\0\0damaged") < 4


@pytest.mark.parametrize("pen", [(0, 0, 0), (255, 255, 255), (200, 30, 30)])
def test_a_digit_on_nothing_is_seen_whatever_its_colour(
    pen: tuple[int, int, int], seven: Image.Image, off: Callable[..., float]
) -> None:
    opacity = 255 - np.asarray(seven)
    page = np.broadcast_to(np.array(pen, np.uint8), (*opacity.shape, 3))
    assert off(Image.fromarray(np.dstack([page, opacity]))) < 2


@pytest.mark.parametrize("dark_page", [False, True])
def test_transparent_corners_are_no_ink(dark_page: bool, seven: Image.Image, off: Callable[..., float]) -> None:
    page = np.asarray(seven)
    pixels = np.dstack([255 - page if dark_page else page] * 3 + [np.full_like(page, 255)])
    pixels[:20, :20] = 0
    pixels[-20:, -20:] = 0
    assert off(Image.fromarray(pixels)) < 2


def test_of_an_animation_the_first_frame_is_read(seven: Image.Image, off: Callable[..., float], tmp_path: Path) -> None:
    assert off(seven.convert("P"), "gif", save_all=True, append_images=[Image.new("P", (252, 280))]) < 2
    assert read_picture(tmp_path / "seven.gif").frames == 2


def test_a_thumbnail_is_small_and_in_colour(seven: Image.Image, tmp_path: Path) -> None:
    seven.save(tmp_path / "seven.png")
    small = thumbnail(read_picture(tmp_path / "seven.png"), 100)
    assert small.shape == (100, 90, 3)
    assert small.dtype == np.uint8


# What cannot be classified


Y, X = np.mgrid[-1:1:300j, -1:1:200j]
EMPTY = {
    "white": np.ones((300, 300)),
    "black": np.zeros((50, 80)),
    "one pixel": np.full((1, 1), 0.5),
    "slope": 0.55 + 0.35 * Y,
    "uneven light": 0.9 - 0.2 * X + 0.1 * Y - 0.1 * (X * X + Y * Y),
    "noise": 0.6 + random(1).normal(0, 0.1, (300, 200)).clip(-0.4, 0.4),
    "specks": (random(2).random((300, 300)) < 0.05).astype(float),
    "a dot": np.pad(np.zeros((3, 3)), 100, constant_values=1),
}


@pytest.mark.parametrize("page", EMPTY)
def test_an_empty_page_and_a_dot_are_refused(page: str) -> None:
    with pytest.raises(PictureError, match="too small" if page == "a dot" else "nothing is drawn"):
        prepare(colours(EMPTY[page]))


@given(arrays(np.float32, array_shapes(min_dims=3, max_dims=3, max_side=40), elements=st.floats(0, 1, width=32)))
@settings(max_examples=80, deadline=None)
def test_whatever_the_pixels_there_is_an_image_or_a_reason(pixels: Floats) -> None:
    try:
        image = prepare(np.ascontiguousarray(pixels[..., :3])).image
    except PictureError:
        return
    assert image.shape == (28, 28)
    assert image.dtype == np.uint8


@pytest.mark.parametrize("side", [9_500, 20_000, 2_000_000])
def test_a_bomb_is_refused_before_it_goes_off(side: int, tmp_path: Path) -> None:
    assert Image.MAX_IMAGE_PIXELS == MAX_PIXELS
    path = tmp_path / "bomb.png"
    size = struct.pack(">II", side, side)
    path.write_bytes(resealed(picture("PNG"), lambda png: png[:16] + size + png[24:]))
    with growing_by_at_most(MAX_PIXELS // 2), pytest.raises(PictureError, match="more than 89,478,485 pixels"):
        read_picture(path)


BYTES_A_PIXEL = 4  # that Pillow's decoded picture has
MOST_BESIDE = 100 * 2**20  # bytes for what the picture is reduced to, and its colours as floats


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much memory a process had at most")
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "CMYK", "I;16", "I", "F"])
def test_a_large_picture_takes_no_more_memory_than_its_pixels_need(mode: str, tmp_path: Path) -> None:
    path, side = tmp_path / "large.tif", 5000
    Image.new(mode, (side, side)).save(path, compression="tiff_deflate")
    assert path.stat().st_size < 2**18
    with growing_by_at_most(BYTES_A_PIXEL * side * side + MOST_BESIDE):
        read_picture(path)


@pytest.mark.parametrize(
    ("mode", "width", "height"), [("L", 3000, 2100), ("RGB", 2100, 3000), ("RGBA", 9000, 700), ("F", 3000, 2100)]
)
def test_a_large_picture_is_reduced_as_pillow_does_at_once(mode: str, width: int, height: int, tmp_path: Path) -> None:
    grey = Image.radial_gradient("L").resize((width, height), Image.Resampling.NEAREST)
    page = grey if mode in "LF" else Image.merge("RGB", (grey, ImageOps.invert(grey), grey))
    page.convert(mode).save(tmp_path / "large.tif")
    seen = read_picture(tmp_path / "large.tif").colours
    assert max(seen.shape) == WORKING_SIDE
    page.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.BOX)
    expected = np.asarray(page, np.float32)
    assert np.abs(seen * 255 - expected.reshape(seen.shape)).max() < 2


def test_the_largest_floating_point_numbers_are_still_colours(tmp_path: Path) -> None:
    Image.fromarray(np.array([[-3e38, 0, 3e38, np.inf, np.nan]], np.float32)).save(tmp_path / "extreme.tif")
    assert read_picture(tmp_path / "extreme.tif").colours.ravel().tolist() == [0, 0.5, 1, 0.5, 0.5]


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tif", "webp"])
def test_a_truncated_picture_is_refused(suffix: str, seven: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / f"seven.{suffix}"
    seven.save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(PictureError, match="damaged or cut short"):
        read_picture(path)


def test_what_is_no_picture_is_refused_with_the_reason(tmp_path: Path) -> None:
    """More of them are given to the command in test_predict.py."""
    (tmp_path / "empty.png").touch()
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    for name, reason in (
        ("empty.png", "empty"),
        ("/dev/zero", "not an ordinary file"),
        ("loop.png", "cannot be read"),
        ("\0", "cannot be read"),
        ("a" * 300, "cannot be read"),
    ):
        with pytest.raises(PictureError, match=reason):
            read_picture(tmp_path / name)
