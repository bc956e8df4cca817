"""IDX and npz files: right ones are read, everything else is refused in one sentence."""

import gzip
import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from glyphline.data.formats import read_images, read_labels
from glyphline.errors import FormatError
from tests.fuzzing import LABELS, check_refusal, idx, npy, npz

COUNT = 5
IMAGES = np.random.default_rng(1).integers(0, 256, (COUNT, 28, 28), dtype=np.uint8)
MIB = 2**20


def npy_of(header: str, data: bytes) -> bytes:
    """An npy file of format 1.0 with this text as its header."""
    text = header.encode("latin-1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def refused(path: Path, content: bytes) -> str:
    """What is said after the name of a file that ought to hold images, or labels if it is called so."""
    path.write_bytes(content)
    with pytest.raises(FormatError) as caught:
        _ = read_labels(path, COUNT, 10) if path.stem == "labels" else read_images(path, IMAGES.shape)
    check_refusal(path, caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


@contextmanager
def little_memory(mebibytes: int) -> Iterator[None]:
    """Fail when the block ever holds more than that at once."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < mebibytes * MIB, f"{peak:,} bytes"


@pytest.mark.parametrize(
    ("suffix", "save"),
    [
        ("", lambda path, values: path.write_bytes(idx(values))),
        ("", lambda path, values: path.write_bytes(gzip.compress(idx(values)))),
        (".gz", lambda path, values: path.write_bytes(idx(values))),  # of IDX the name does not decide
        (".npz", np.savez),
        (".npz", np.savez_compressed),
    ],
)
def test_right_files_are_read_compressed_or_not(
    tmp_path: Path, suffix: str, save: Callable[[Path, NDArray[np.uint8]], object]
) -> None:
    images, labels = tmp_path / f"images{suffix}", tmp_path / f"labels{suffix}"
    save(images, IMAGES)
    save(labels, LABELS)
    for read, values in ((read_images(images, IMAGES.shape), IMAGES), (read_labels(labels, COUNT, 10), LABELS)):
        assert read.dtype == np.uint8
        np.testing.assert_array_equal(read, values)


def test_a_missing_file_is_the_operating_system_s_to_report(tmp_path: Path) -> None:
    for name in ("images.gz", "images.npz"):
        with pytest.raises(FileNotFoundError):
            read_images(tmp_path / name, IMAGES.shape)


def test_swapped_labels_and_images_are_called_that(tmp_path: Path) -> None:
    assert refused(tmp_path / "images", idx(LABELS)) == (
        "IDX magic 0x00000801 is not that of images (0x00000803); this is a file of labels"
    )
    assert refused(tmp_path / "labels", idx(IMAGES)).endswith("this is a file of images")
    swapped = npz({"arr_0.npy": npy(LABELS) + b" " * 3800})
    assert "shape (5,), expected uint8 of (5, 28, 28)" in refused(tmp_path / "swapped.npz", swapped)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "0 bytes are too few"),
        (b"\x00\x00\x08", "3 bytes are too few"),
        (idx(IMAGES)[:9], "the IDX header ends after 9 of 16 bytes"),
        (idx(IMAGES)[:16], "3,920 values announced, 0 found"),
        (idx(IMAGES)[:-1], "3,920 values announced, 3,919 found"),
        (idx(IMAGES) + b"\x00", "3,920 values announced, more found"),
        (idx(IMAGES, magic=0x00000D03), "IDX magic 0x00000d03 is not that of images (0x00000803)"),
        (idx(IMAGES, magic=0x03080000), "IDX magic 0x03080000"),
        (idx(IMAGES, magic=0x00000802), "IDX magic 0x00000802"),
        (idx(IMAGES, dimensions=(COUNT + 1, 28, 28)), "dimensions are (6, 28, 28), expected (5, 28, 28)"),
        (idx(IMAGES, dimensions=(COUNT, 32, 32)), "dimensions are (5, 32, 32)"),
        (idx(IMAGES, dimensions=(COUNT * 28, 28, 1)), "dimensions are (140, 28, 1)"),
        (b"<html><body>Not here</body></html>", "IDX magic 0x3c68746d"),
    ],
)
def test_what_is_not_the_announced_images_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    assert words in refused(tmp_path / "images", content)
    assert words in refused(tmp_path / "images", gzip.compress(content))


@pytest.mark.parametrize("packed", [False, True])
def test_a_header_that_claims_2_147_483_648_images_reserves_no_memory(tmp_path: Path, packed: bool) -> None:
    content = idx(IMAGES, dimensions=(2**31, 28, 28))
    with little_memory(1):
        assert "(2147483648, 28, 28)" in refused(tmp_path / "images", gzip.compress(content) if packed else content)


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    bomb = gzip.compress(idx(IMAGES) + bytes(32 * MIB))
    with little_memory(1):
        assert "more found" in refused(tmp_path / "images", bomb)


@pytest.mark.parametrize(("label", "position"), [(10, 0), (255, 4)])
def test_a_label_of_no_class_is_refused_with_its_position(tmp_path: Path, label: int, position: int) -> None:
    labels = LABELS.copy()
    labels[position] = label
    words = f"label {label} at position {position} is not one of the 10 classes 0 to 9"
    assert refused(tmp_path / "labels", idx(labels)) == words
    assert refused(tmp_path / "labels.npz", npz({"arr_0.npy": npy(labels)})) == words


class Trap:
    """Pickled into an array, it creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_pickled_array_is_refused_and_not_executed(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    array = np.array([Trap(sprung)], dtype=object)
    np.load(io.BytesIO(npy(array)), allow_pickle=True)
    assert sprung.exists(), "the trap works"
    sprung.unlink()
    padded = npy(array) + bytes(IMAGES.nbytes)
    assert "object" in refused(tmp_path / "pickled.npz", npz({"arr_0.npy": padded}))
    assert "takes" in refused(tmp_path / "pickled.npz", npz({"arr_0.npy": npy(array)}))
    assert not sprung.exists()


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({}, "found []"),
        ({"x.npy": npy(IMAGES)}, "expected the one array 'arr_0', found ['x.npy']"),
        ({"arr_0": npy(IMAGES)}, "found ['arr_0']"),
        ({"arr_0.npy": npy(IMAGES), "arr_1.npy": npy(LABELS)}, "found ['arr_0.npy', 'arr_1.npy']"),
        ({f"{i}.npy": b"" for i in range(99)}, "found ['0.npy', '1.npy', '2.npy'"),
        ({"../arr_0.npy": npy(IMAGES)}, "found ['../arr_0.npy']"),
        ({"/arr_0.npy": npy(IMAGES)}, "found ['/arr_0.npy']"),
        ({"arr_0.npy/": b""}, "found ['arr_0.npy/']"),
        ({"a\nb" * 99 + ".npy": npy(IMAGES)}, r"found ['a\nb"),
        ({"arr_0.npy": b""}, "takes 0 bytes"),
        ({"arr_0.npy": bytes(IMAGES.nbytes + 128)}, "is not an npy array"),
        ({"arr_0.npy": npy(IMAGES)[:-1]}, "does not hold the 3,920 values"),
        ({"arr_0.npy": npy(IMAGES) + b"\x00"}, "does not hold the 3,920 values"),
        ({"arr_0.npy": npy(IMAGES[:-1]) + bytes(784)}, "shape (4, 28, 28), expected uint8 of (5, 28, 28)"),
        ({"arr_0.npy": npy(IMAGES.reshape(COUNT, 784))}, "shape (5, 784), expected uint8 of (5, 28, 28)"),
        ({"arr_0.npy": npy(IMAGES.astype(np.int8))}, "is int8 of shape"),
        ({"arr_0.npy": npy(IMAGES.astype(np.float32))}, "takes 15,808 bytes"),
        ({"arr_0.npy": npy(IMAGES.view(np.bool_))}, "is bool of shape"),
        ({"arr_0.npy": npy(np.asfortranarray(IMAGES))}, "the values are in Fortran order"),
        ({"arr_0.npy": npy(IMAGES).replace(b"NUMPY\x01", b"NUMPY\x02")}, "npy format (2, 0)"),
        ({"arr_0.npy": npy_of("{'descr': (), 'fortran_order': False, 'shape': (5,28,28)}", bytes(3920))}, "npy array"),
        ({"arr_0.npy": npy_of("{'descr': '|u1', 'shape': (5,28,28)}", bytes(3920))}, "npy array"),
        ({"arr_0.npy": npy_of("{'descr': '|u1', 'fortran_order': False, 'shape': 5}", bytes(3920))}, "npy array"),
        ({"arr_0.npy": npy_of("-" * 3000 + "1", bytes(3920))}, "npy array"),
        ({"arr_0.npy": npy_of("(" * 3000, bytes(3920))}, "npy array"),
        ({"arr_0.npy": npy_of("exec('1/0')", bytes(3920))}, "npy array"),
    ],
)
def test_an_npz_of_anything_else_is_refused(tmp_path: Path, members: dict[str, bytes], words: str) -> None:
    assert words in refused(tmp_path / "wrong.npz", npz(members))


def test_twice_the_same_member_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("arr_0.npy", npy(IMAGES))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("arr_0.npy", npy(IMAGES[::-1]))
    assert "found ['arr_0.npy', 'arr_0.npy']" in refused(tmp_path / "twice.npz", stream.getvalue())


def patched(archive: bytes, local: dict[int, bytes], central: dict[int, bytes]) -> bytes:
    """A zip of one member with bytes replaced at offsets into its local and into its central header."""
    content = bytearray(archive)
    start = content.rindex(b"PK\x01\x02")
    for offset, replacement in local.items():
        content[offset : offset + len(replacement)] = replacement
    for offset, replacement in central.items():
        content[start + offset : start + offset + len(replacement)] = replacement
    return bytes(content)


GZIPPED = gzip.compress(idx(IMAGES))
RIGHT = npz({"arr_0.npy": npy(IMAGES)})
SIZE = struct.pack("<I", IMAGES.nbytes + 128)  # of the right member, unpacked
SHORT = npz({"arr_0.npy": npy(IMAGES)[:-100]}, zipfile.ZIP_STORED)


@pytest.mark.parametrize(
    ("suffix", "content", "words"),
    [
        *((".gz", GZIPPED[:kept], "damaged or cut short") for kept in (2, 8, 20, 2000, -9, -1)),
        (".gz", GZIPPED[:2000] + bytes([GZIPPED[2000] ^ 1]) + GZIPPED[2001:], "damaged"),
        (".gz", GZIPPED + gzip.compress(b"more"), "more found"),
        (".gz", GZIPPED + b"more", "damaged"),
        (".npz", npz({"arr_0.npy": npy(IMAGES)}, zipfile.ZIP_BZIP2), "packed or encrypted"),
        (".npz", npz({"arr_0.npy": npy(IMAGES)}, zipfile.ZIP_LZMA), "packed or encrypted"),
        (".npz", patched(RIGHT, {6: b"\x01\x00"}, {8: b"\x01\x00"}), "packed or encrypted"),
        (".npz", patched(RIGHT, {30: b"brr_0.npy"}, {}), "damaged"),  # the two headers disagree in the name,
        (".npz", patched(RIGHT, {}, {42: b"\xff\xff\x00\x00"}), "damaged"),  # the place,
        (".npz", patched(RIGHT, {}, {16: b"\x00\x00\x00\x00"}), "damaged"),  # the checksum,
        (".npz", patched(RIGHT, {}, {6: b"\xff\x00"}), "damaged"),  # the version
        (".npz", patched(SHORT, {18: SIZE, 22: SIZE}, {20: SIZE, 24: SIZE}), ""),  # both claim more than there is
        *((".npz", RIGHT[:kept], "damaged") for kept in (0, 3, 100, -30, -1)),
        (".npz", idx(IMAGES), "damaged"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, suffix: str, content: bytes, words: str) -> None:
    assert words in refused(tmp_path / f"images{suffix}", content)


def test_an_npz_bomb_is_refused_before_it_goes_off(tmp_path: Path) -> None:
    bomb = npz({"arr_0.npy": npy(IMAGES) + bytes(32 * MIB)})
    with little_memory(1):
        assert "takes 33,558,480 bytes" in refused(tmp_path / "bomb.npz", bomb)


def test_an_npz_bomb_that_lies_about_its_size_is_refused_too(tmp_path: Path) -> None:
    bomb = npz({"arr_0.npy": npy(IMAGES) + bytes(32 * MIB)})
    with little_memory(1):
        assert "damaged" in refused(tmp_path / "bomb.npz", patched(bomb, {22: SIZE}, {24: SIZE}))
