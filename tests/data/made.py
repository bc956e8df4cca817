"""Small labelled sets in every form that `glyphline data add` reads, made of the same images."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.fuzzing import idx, mat, npy, npz, parquet, tar

CLASSES = ("2", "10", "a")
SIDE = 28


def glyphs(count: int, seed: int) -> NDArray[np.uint8]:
    """Light, different blots on black, (count, SIDE, SIDE)."""
    images = np.zeros((count, SIDE, SIDE), np.uint8)
    images[:, 4:-4, 4:-4] = np.random.default_rng(seed).integers(0, 256, (count, SIDE - 8, SIDE - 8))
    images[:, SIDE // 2, SIDE // 2] = 255
    return images


IMAGES = glyphs(36, seed=1)
LABELS = np.arange(len(IMAGES)) % len(CLASSES)
NAMES = [CLASSES[label] for label in LABELS]
HELD_OUT = [0, 1, 3, 12, 13, 19, 30, 35]  # of these images, by a digest of their pixels


def png(image: NDArray[Any]) -> bytes:
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
    rows = [["label", *(f"pixel{n}" for n in range(SIDE * SIDE))]] if head else []
    rows += [[name, *map(str, image.ravel())] for name, image in zip(NAMES, IMAGES, strict=True)]
    return "".join(",".join([*row[1:], row[0]] if last else row) + "\n" for row in rows)


PICTURES = {f"set/pictures/{n:03}.png": png(image) for n, image in enumerate(IMAGES)}
TABLE = "file,label\n" + "".join(f"{n:03}.png,{name}\n" for n, name in enumerate(NAMES))

# The files of each form: a folder `set`, or one file.
FORMS: dict[str, dict[str, bytes]] = {
    "class folders": class_folders("set/"),
    "a wrapper": class_folders("set/wrapped/once/more/"),
    "zip": {"set.zip": npz(class_folders("glyphs/"))},
    "tar.gz": {"set.tar": tar(dict(reversed(class_folders("glyphs/").items())), "w:gz")},
    "tar": {"set.tar": tar(dict(reversed(class_folders("glyphs/").items())), "w")},
    "names and a table": PICTURES | {"set/labels.csv": TABLE.encode()},
    "csv": {"set.csv": pixel_rows(head=True).encode()},
    "csv, label last": {"set": pixel_rows(head=True, last=True).encode()},
    "csv without names": {"set.txt": pixel_rows(head=False).encode()},
    "csv without names, label last": {"set.csv": pixel_rows(head=False, last=True).encode()},
    "npz": {"set.npz": npz({"images.npy": npy(IMAGES), "labels.npy": npy(np.array(NAMES))})},
    "parquet": {"set.parquet": parquet([png(image) for image in IMAGES], LABELS.tolist(), list(CLASSES))},
    "idx": {
        "set/glyphs-images.idx": idx(IMAGES),
        "set/glyphs-labels.idx.gz": gzip.compress(idx(LABELS.astype(np.uint8))),
    },
    "mat": {"set.mat": mat(np.moveaxis(IMAGES, 0, -1), LABELS[:, np.newaxis] + 1)},
}
NUMBERS = {"idx": ["0", "1", "2"], "mat": ["1", "2", "3"]}  # where a form has no names of classes
