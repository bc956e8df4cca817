"""glyphline/pictures/: a user's picture becomes the image that MNIST's makers would have made of it."""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps
from scipy import ndimage

from glyphline.errors import PictureError
from glyphline.predict.pixels import Floats
from glyphline.predict.prepare import Prepared, prepare
from glyphline.predict.read import MAX_PIXELS, WORKING_SIDE, read_picture, thumbnail
from tests.conftest import REPOSITORY, Labelled
from tests.fuzzing import PICTURE_KINDS, picture

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
NOTHING = "nothing is drawn"


def drawn(digit: NDArray[np.uint8], side: int = 280) -> Image.Image:
    """A digit dark on light at (side, side) pixels, less a strip on the right, so that it is not square."""
    ink: NDArray[np.uint8] = 255 - digit
    return Image.fromarray(ink).resize((side, side)).crop((0, 0, side - side // 10, side))


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


def saved(image: Image.Image, path: Path, **options: object) -> Prepared:
    image.save(path, **options)  # type: ignore[arg-type]
    return prepare(read_picture(path).colours)


@pytest.fixture(scope="module")
def seven(digits: Labelled) -> NDArray[np.uint8]:
    return np.asarray(digits[0][digits[1] == 7][5])


@pytest.fixture(scope="module")
def reference(seven: NDArray[np.uint8]) -> Prepared:
    return prepare(colours(drawn(seven)))


# What MNIST's makers did


def test_a_digit_drawn_large_and_dark_on_light_comes_back_as_in_mnist(digits: Labelled) -> None:
    differences = [difference(prepare(colours(drawn(digit))), digit) for digit in digits[0][::10]]
    assert np.median(differences) < 7
    assert np.quantile(differences, 0.98) < 14


def test_an_image_of_mnist_itself_comes_back_as_it_is(digits: Labelled) -> None:
    differences = [difference(prepare(colours(digit / 255)), digit) for digit in digits[0][::10]]
    assert np.median(differences) < 1
    assert np.quantile(differences, 0.98) < 10


def test_the_longer_side_is_20_pixels_and_the_centre_of_mass_in_the_centre(digits: Labelled) -> None:
    for digit in digits[0][::25]:
        prepared = prepare(colours(drawn(digit)))
        assert prepared.image.shape == (28, 28)
        assert prepared.image.dtype == np.uint8
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


def test_the_box_says_where_the_glyph_was() -> None:
    levels = np.ones((200, 400))
    levels[50:150, 300:340] = 0
    assert prepare(colours(levels)).box == pytest.approx((0.75, 0.25, 0.85, 0.75), abs=0.01)


# Ink and paper


def test_light_on_dark_and_dark_on_light_give_the_same_image(seven: NDArray[np.uint8]) -> None:
    dark_on_light = prepare(colours(drawn(seven)))
    light_on_dark = prepare(1 - colours(drawn(seven)))
    assert (dark_on_light.inverted, light_on_dark.inverted) == (True, False)
    assert difference(dark_on_light, light_on_dark) < 1


@pytest.mark.parametrize("contrast", [0.03, 0.1, 0.5])
def test_low_contrast_changes_nothing(contrast: float, seven: NDArray[np.uint8], reference: Prepared) -> None:
    levels = np.rint(255 * (0.5 + contrast * colours(drawn(seven)))) / 255
    assert difference(prepare(levels.astype(np.float32)), reference) < 4


def test_red_on_green_of_the_same_grey_is_told_apart(seven: NDArray[np.uint8], reference: Prepared) -> None:
    red, green = np.array([0.9, 0.1, 0.1], np.float32), np.array([0.1, 0.507, 0.1], np.float32)
    paper = colours(drawn(seven))
    assert difference(prepare(red + paper * (green - red)), reference) < 2


def test_noise_specks_and_dirt_leave_the_digit_as_it_is(seven: NDArray[np.uint8], reference: Prepared) -> None:
    random = np.random.default_rng(0)
    levels = colours(drawn(seven)) * 0.6 + 0.2
    noisy = (levels + random.normal(0, 0.15, levels.shape)).clip(0, 1).astype(np.float32)
    assert difference(prepare(noisy), reference) < 8
    speckled = np.where(random.random(levels.shape) < 0.03, 0, levels).astype(np.float32)
    assert difference(prepare(speckled), reference) < 8
    dirty = levels.copy()
    dirty[5:9, 5:9] = 0
    assert difference(prepare(dirty), reference) < 1


def test_uneven_light_and_a_shadow_are_no_ink(seven: NDArray[np.uint8], reference: Prepared) -> None:
    levels = colours(drawn(seven)) * 0.8 + 0.1
    slope = np.linspace(0.3, 1, levels.shape[0], dtype=np.float32)[:, np.newaxis, np.newaxis]
    assert difference(prepare(levels * slope), reference) < 6
    shadow = 1 - 0.4 / (1 + np.exp(-(np.arange(levels.shape[1], dtype=np.float32) - 120) / 10))
    assert difference(prepare(levels * shadow[:, np.newaxis].astype(np.float32)), reference) < 12


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_the_table_beside_the_paper_is_no_ink(side: str, seven: NDArray[np.uint8], reference: Prepared) -> None:
    widths = {
        "top": ((20, 0), (0, 0)),
        "bottom": ((0, 20), (0, 0)),
        "left": ((0, 0), (20, 0)),
        "right": ((0, 0), (0, 20)),
    }
    levels = np.pad(colours(drawn(seven))[..., 0], widths[side], constant_values=0.1)
    assert difference(prepare(colours(levels)), reference) < 2


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
def test_any_size_gives_the_same_image(
    side: int, seven: NDArray[np.uint8], reference: Prepared, tmp_path: Path
) -> None:
    assert difference(saved(drawn(seven, side), tmp_path / "seven.png"), reference) < 8


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        ("L", "png"),
        ("RGB", "png"),
        ("RGBA", "png"),
        ("LA", "png"),
        ("P", "png"),
        ("1", "png"),
        ("I;16", "png"),
        ("RGB", "jpg"),
        ("L", "jpg"),
        ("CMYK", "jpg"),
        ("RGB", "bmp"),
        ("1", "bmp"),
        ("P", "gif"),
        ("RGB", "webp"),
        ("RGB", "ppm"),
        ("CMYK", "tif"),
        ("YCbCr", "tif"),
        ("LAB", "tif"),
        ("I", "tif"),
        ("F", "tif"),
    ],
)
def test_any_mode_gives_the_same_image(
    mode: str, suffix: str, seven: NDArray[np.uint8], reference: Prepared, tmp_path: Path
) -> None:
    grey = drawn(seven)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey, np.uint16) * 16)  # the 12 bits of a scanner
    elif mode == "F":
        image = Image.fromarray(np.asarray(grey, np.float32) - 1000)
    elif mode == "LAB":
        rgb, lab_profile = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        lab = ImageCms.profileToProfile(grey.convert("RGB"), rgb, lab_profile, outputMode="LAB")
        assert lab is not None
        image = lab
    else:
        image = grey.convert(mode)
    assert difference(saved(image, tmp_path / f"seven.{suffix}"), reference) < 4


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", TURNED)
def test_a_picture_stored_on_its_side_is_read_upright(
    orientation: int, suffix: str, seven: NDArray[np.uint8], reference: Prepared, tmp_path: Path
) -> None:
    stored = drawn(seven).transpose(TURNED[orientation])
    exif = stored.getexif()
    exif[ORIENTATION] = orientation
    assert difference(saved(stored, tmp_path / f"seven.{suffix}", exif=exif), reference) < 4


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_damaged_exif_data_harm_no_picture(
    suffix: str, seven: NDArray[np.uint8], reference: Prepared, tmp_path: Path
) -> None:
    assert difference(saved(drawn(seven), tmp_path / f"seven.{suffix}", exif=b"Exif\0\0damaged"), reference) < 4


@pytest.mark.parametrize("pen", [(0, 0, 0), (255, 255, 255), (200, 30, 30)])
def test_a_digit_on_nothing_is_seen_whatever_its_colour(
    pen: tuple[int, int, int], seven: NDArray[np.uint8], reference: Prepared, tmp_path: Path
) -> None:
    opacity = 255 - np.asarray(drawn(seven))
    pixels = np.dstack([np.broadcast_to(np.array(pen, np.uint8), (*opacity.shape, 3)), opacity])
    assert difference(saved(Image.fromarray(pixels), tmp_path / "seven.png"), reference) < 2


@pytest.mark.parametrize("dark_page", [False, True])
def test_transparent_corners_are_no_ink(
    dark_page: bool, seven: NDArray[np.uint8], reference: Prepared, tmp_path: Path
) -> None:
    page = np.asarray(drawn(seven))
    pixels = np.dstack([255 - page if dark_page else page] * 3 + [np.full_like(page, 255)])
    pixels[:20, :20] = 0
    pixels[-20:, -20:] = 0
    assert difference(saved(Image.fromarray(pixels), tmp_path / "seven.png"), reference) < 2


def test_of_an_animation_the_first_frame_is_read(seven: NDArray[np.uint8], reference: Prepared, tmp_path: Path) -> None:
    frames = [drawn(seven).convert("P"), Image.new("P", (252, 280))]
    frames[0].save(tmp_path / "seven.gif", save_all=True, append_images=frames[1:])
    picture = read_picture(tmp_path / "seven.gif")
    assert picture.frames == 2
    assert difference(prepare(picture.colours), reference) < 2


def test_a_thumbnail_is_small_and_in_colour(seven: NDArray[np.uint8], tmp_path: Path) -> None:
    drawn(seven, 1000).save(tmp_path / "seven.png")
    small = thumbnail(read_picture(tmp_path / "seven.png"), 100)
    assert small.shape == (100, 90, 3)
    assert small.dtype == np.uint8


# What cannot be classified


def uneven_page() -> NDArray[np.float64]:
    y, x = np.meshgrid(np.linspace(-1, 1, 300), np.linspace(-1, 1, 200), indexing="ij")
    return np.asarray(0.9 - 0.2 * x + 0.1 * y - 0.1 * (x * x + y * y))


@pytest.mark.parametrize(
    "levels",
    [
        np.ones((300, 300)),
        np.zeros((50, 80)),
        np.full((1, 1), 0.5),
        np.linspace(0.2, 0.9, 300)[:, np.newaxis] * np.ones((1, 200)),
        uneven_page(),
        0.6 + np.random.default_rng(1).normal(0, 0.1, (300, 200)).clip(-0.4, 0.4),
        (np.random.default_rng(2).random((300, 300)) < 0.05).astype(float),
    ],
    ids=["white", "black", "one pixel", "slope", "uneven light", "noise", "specks"],
)
def test_an_empty_page_is_refused(levels: NDArray[np.float64]) -> None:
    with pytest.raises(PictureError, match=NOTHING):
        prepare(colours(levels))


def test_a_dot_is_too_small_to_be_a_glyph() -> None:
    levels = np.ones((300, 300))
    levels[100:103, 100:103] = 0
    with pytest.raises(PictureError, match="too small"):
        prepare(colours(levels))


@given(arrays(np.float32, array_shapes(min_dims=3, max_dims=3, max_side=40), elements=st.floats(0, 1, width=32)))
@settings(max_examples=80, deadline=None)
def test_whatever_the_pixels_there_is_an_image_or_a_reason(pixels: Floats) -> None:
    try:
        image = prepare(np.ascontiguousarray(pixels[..., :3])).image
    except PictureError:
        return
    assert image.shape == (28, 28)
    assert image.dtype == np.uint8


def png(width: int, height: int) -> bytes:
    """A PNG that announces so many pixels and has none."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [9_500, 20_000, 2_000_000])
def test_a_bomb_is_refused_before_it_goes_off(side: int, tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(side, side))
    started = time.perf_counter()
    with pytest.raises(PictureError, match="more than 89,478,485 pixels"):
        read_picture(path)
    assert time.perf_counter() - started < 1


def test_the_limit_that_is_named_is_pillows() -> None:
    assert Image.MAX_IMAGE_PIXELS == MAX_PIXELS


BYTES_A_PIXEL = 4  # that Pillow's decoded picture has
MOST_BESIDE = 100 * 2**20  # bytes for what the picture is reduced to, and its colours as floats
PEAK = """
import sys
from pathlib import Path
from glyphline.predict.read import read_picture

def peak():
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024

before = peak()
read_picture(Path(sys.argv[1]))
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much memory a process had at most")
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "CMYK", "I;16", "I", "F"])
def test_a_large_picture_takes_no_more_memory_than_its_pixels_need(mode: str, tmp_path: Path) -> None:
    path, side = tmp_path / "large.tif", 5000
    Image.new(mode, (side, side)).save(path, compression="tiff_deflate")
    assert path.stat().st_size < 2**18
    command = [sys.executable, "-c", PEAK, str(path)]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert int(result.stdout) < BYTES_A_PIXEL * side * side + MOST_BESIDE


@pytest.mark.parametrize(("width", "height"), [(3000, 2100), (2100, 3000), (9000, 700)])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "F"])
def test_a_large_picture_is_reduced_as_pillow_reduces_it_at_once(
    mode: str, width: int, height: int, tmp_path: Path
) -> None:
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
def test_a_truncated_picture_is_refused(suffix: str, seven: NDArray[np.uint8], tmp_path: Path) -> None:
    path = tmp_path / f"seven.{suffix}"
    drawn(seven).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(PictureError, match="damaged or cut short"):
        read_picture(path)


def test_what_is_no_picture_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("no picture", encoding="utf-8")
    (tmp_path / "empty.png").touch()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    for name, reason in (
        ("notes.png", "not a PNG"),
        ("empty.png", "empty"),
        ("missing.png", "no such file"),
        (".", "directory"),
        ("pipe.png", "not an ordinary file"),
        ("loop.png", "cannot be read"),
        ("\0", "cannot be read"),
        ("a" * 300, "cannot be read"),
    ):
        with pytest.raises(PictureError, match=reason):
            read_picture(tmp_path / name)
    with pytest.raises(PictureError, match="not an ordinary file"):
        read_picture(Path("/dev/zero"))


@given(kind=st.sampled_from(PICTURE_KINDS), kept=st.integers(0, 60), rest=st.binary(max_size=200))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_bytes_are_read_or_refused(
    kind: str, kept: int, rest: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)  # so that a random size costs no second
    path = tmp_path / "random"
    path.write_bytes(picture(kind)[:kept] + rest)
    read_or_refused(path)


@given(
    kind=st.sampled_from(PICTURE_KINDS),
    errors=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=8),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_picture_with_wrong_bytes_is_read_or_refused(
    kind: str, errors: list[tuple[int, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    content = bytearray(picture(kind))
    for position, value in errors:
        content[position % len(content)] = value
    path = tmp_path / "wrong"
    path.write_bytes(content)
    read_or_refused(path)


def read_or_refused(path: Path) -> None:
    with contextlib.suppress(PictureError):
        prepare(read_picture(path).colours)
