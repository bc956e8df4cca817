"""What a file is, told by its content and not by its name."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from pathlib import Path
from typing import Literal

from glyphline.data.tree import HEAD_BYTES, damage_said
from glyphline.errors import FormatError

Kind = Literal["zip", "tar", "npz", "npy", "idx", "parquet", "mat", "table", "picture", "other"]

REFUSED = {
    b"\x89HDF\r\n\x1a\n": "this is an HDF5 file, which is not read here; save its arrays with numpy.savez",
    b"MATLAB 7.3 MAT-file": "this is a MATLAB file of version 7.3, which is HDF5; save it again with -v7",
    b"%PDF": "this is a PDF; export its pictures as PNG files",
    b"7z\xbc\xaf\x27\x1c": "this is a 7z archive; unpack it, or pack it again as zip",
    b"Rar!": "this is a rar archive; unpack it, or pack it again as zip",
    b"ARROW1": "this is an Arrow file; save the table as Parquet or CSV",
}
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
_PLAIN_PICTURES = (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6")  # then a space or the end of the line
PICTURE_NAMES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".pnm"}
TABLE_NAMES = {".csv", ".tsv", ".txt", ""}


def kind_of(path: Path) -> Kind:
    """What a file holds. Raises FormatError, with a sentence, for what is not read here."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    kind = kind_of_head(head)
    if kind == "zip":
        with damage_said(path, "the archive is damaged or cut short"), zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        if names and all(name.endswith(".npy") for name in names):
            return "npz"
    if kind == "other":
        refuse(head, str(path))
    return kind


def refuse(head: bytes, where: str) -> None:
    """Raise FormatError where a file begins like one that is not read here."""
    for magic, sentence in REFUSED.items():
        if head.startswith(magic):
            raise FormatError(f"{where}: {sentence}")
    if head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        raise FormatError(
            f"{where}: this is a Python pickle, which can run code and is not read; save its arrays with numpy.savez"
        )


def kind_of_head(head: bytes) -> Kind:
    """What begins with these bytes; `other` for none of the kinds."""
    if head[:2] == b"\x1f\x8b":
        head = _inflated(head)  # IDX and tables are read gzipped too; all else that is gzipped is a tar
        return "idx" if _is_idx(head) else "table" if _is_table(head) and not _is_tar(head) else "tar"
    magics: dict[bytes, Kind] = {
        b"PK\3\4": "zip",
        b"PK\5\6": "zip",
        b"BZh": "tar",
        b"\xfd7zXZ\0": "tar",
        b"\x93NUMPY": "npy",
        b"PAR1": "parquet",
        b"MATLAB 5.0 MAT-file": "mat",
    }
    tests: dict[Kind, bool] = {
        "tar": _is_tar(head),
        "idx": _is_idx(head),
        "picture": is_picture(head),
        "table": _is_table(head),
    }
    for magic, kind in magics.items():
        if head.startswith(magic):
            return kind
    return next((kind for kind, holds in tests.items() if holds), "other")


def is_picture(head: bytes) -> bool:
    """Whether these bytes are the beginning of a picture that is read here."""
    if head.startswith(b"BM") and len(head) > 14 and head[6:10] == b"\0\0\0\0":
        return True
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return True
    return head.startswith(_PICTURES) or (head.startswith(_PLAIN_PICTURES) and head[2:3].isspace())


def _is_tar(head: bytes) -> bool:
    return head[257:262] == b"ustar"


def _is_idx(head: bytes) -> bool:
    return (
        head[:2] == b"\0\0" and head[2:3] in b"\x08\x09\x0b\x0c\x0d\x0e" and head[3:4] in (b"\1", b"\2", b"\3", b"\4")
    )


def _is_table(head: bytes) -> bool:
    """Text with letters or digits in it, and no control characters but tabs and ends of lines."""
    for cut in range(4):  # the head may end within a character
        try:
            text = head[: len(head) - cut].decode("utf-8-sig")
        except UnicodeDecodeError:
            continue
        return bool(text.strip()) and all(letter.isprintable() or letter in "\t\r\n" for letter in text)
    return False


def _inflated(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(head, HEAD_BYTES)
    except zlib.error:
        return b""


def open_text(path: Path) -> io.TextIOWrapper:
    """A text file, gzipped or not, from its start."""
    with path.open("rb") as start:
        packed = start.read(2) == b"\x1f\x8b"
    if packed:
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open("r", encoding="utf-8-sig", newline="")
