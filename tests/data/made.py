"""Small labelled sets in every form that `glyphline data add` reads, made of the same images."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests import fuzzing
from tests.fuzzing import idx

CLASSES = ("2", "10", "a")
EACH = 12
SIDE = 28


def glyphs(count: int = EACH * len(CLASSES), side: int = SIDE, seed: int = 1) -> NDArray[np.uint8]:
    """Light, different blots on black, (count, side, side)."""
    images = np.zeros((count, side, side), np.uint8)
    images[:, 4:-4, 4:-4] = np.random.default_rng(seed).integers(0, 256, (count, side - 8, side - 8))
    images[:, side // 2, side // 2] = 255
    return images


IMAGES = glyphs()
LABELS = np.arange(len(IMAGES)) % len(CLASSES)
NAMES = [CLASSES[label] for label in LABELS]


def png(image: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def class_folders(prefix: str = "") -> dict[str, bytes]:
    """Numbered pictures in a folder for each class."""
    return {f"{prefix}{name}/{n:03}.png": png(image) for n, (name, image) in enumerate(zip(NAMES, IMAGES, strict=True))}


def pixel_rows(head: bool, last: bool = False) -> str:
    rows = [",".join(["label", *(f"pixel{n}" for n in range(SIDE * SIDE))])] if head else []
    for name, image in zip(NAMES, IMAGES, strict=True):
        pixels = [str(level) for level in image.ravel()]
        rows.append(",".join([*pixels, name] if last else [name, *pixels]))
    if head and last:
        rows[0] = ",".join([*(f"pixel{n}" for n in range(SIDE * SIDE)), "label"])
    return "\n".join(rows) + "\n"


def zipped(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "set.zip", "w") as archive:
        for name, content in class_folders("glyphs/").items():
            archive.writestr(name, content)
    return folder / "set.zip"


def tarred(folder: Path, mode: str = "w:gz") -> Path:
    with tarfile.open(folder / "set.tar", mode) as archive:  # type: ignore[call-overload]
        for name, content in reversed(class_folders("glyphs/").items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return folder / "set.tar"


def text(folder: Path, content: str, name: str = "set.csv") -> Path:
    (folder / name).write_text(content, encoding="utf-8")
    return folder / name


def names_and_table(folder: Path) -> Path:
    files = {f"pictures/{n:03}.png": png(image) for n, image in enumerate(IMAGES)}
    write_files(folder / "set", files)
    text(folder / "set", "file,label\n" + "".join(f"{n:03}.png,{name}\n" for n, name in enumerate(NAMES)), "labels.csv")
    return folder / "set"


def npz(folder: Path) -> Path:
    np.savez_compressed(folder / "set", images=IMAGES, labels=np.array(NAMES))
    return folder / "set.npz"


def mat(folder: Path) -> Path:
    from scipy.io import savemat

    savemat(folder / "set.mat", {"X": np.moveaxis(IMAGES, 0, -1), "y": LABELS[:, np.newaxis] + 1})
    return folder / "set.mat"


def idx_pair(folder: Path) -> Path:
    labels = LABELS.astype(np.uint8)
    files = {"glyphs-images.idx": idx(IMAGES), "glyphs-labels.idx.gz": gzip.compress(idx(labels))}
    return write_files(folder / "set", files)


def parquet(folder: Path) -> Path:
    content = fuzzing.parquet([png(image) for image in IMAGES], LABELS.tolist(), list(CLASSES))
    return write_files(folder, {"set.parquet": content}) / "set.parquet"


# Those that say the names of the classes, and those that number them.
FORMS: dict[str, Callable[[Path], Path]] = {
    "class folders": lambda folder: write_files(folder / "set", class_folders()),
    "a wrapper": lambda folder: write_files(folder / "set", class_folders("wrapped/once/more/")),
    "zip": zipped,
    "tar.gz": tarred,
    "tar": lambda folder: tarred(folder, "w"),
    "names and a table": names_and_table,
    "csv": lambda folder: text(folder, pixel_rows(head=True)),
    "csv, label last": lambda folder: text(folder, pixel_rows(head=True, last=True), "set"),
    "csv without names": lambda folder: text(folder, pixel_rows(head=False), "set.txt"),
    "csv without names, label last": lambda folder: text(folder, pixel_rows(head=False, last=True)),
    "npz": npz,
    "parquet": parquet,
}
NUMBERED: dict[str, Callable[[Path], Path]] = {"idx": idx_pair, "mat": mat}
