"""Make files of the official names, keys, dtypes and shapes of Kuzushiji-49 and Kuzushiji-MNIST, for when the real ones
are out of reach: printed kana, shifted and noisy, as imbalanced as the real ones.

They have digests of their own, so they work in a clone whose glyphline/datasets.py names those: --clone enters them
there. The clone is for measuring; never commit from it.

    git clone . /tmp/stand-in
    python -m benchmarks.kuzushiji_stand_in --clone /tmp/stand-in --train 232365 --test 38547
    cd /tmp/stand-in && GLYPHLINE_MIRROR=$PWD/stand-ins dvc exp run -S dataset=k49
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

from glyphline.data.formats import IMAGES_MAGIC, LABELS_MAGIC, SIDE
from glyphline.data.records import K49, KMNIST, Dataset
from glyphline.figures import kana_font_path

GLYPH_PIXELS = 22  # height of the printed kana
LARGEST_SHIFT = 3  # pixels
NOISE = 40  # standard deviation, grey levels
RAREST_SHARE = 0.065  # images of the rarest class of Kuzushiji-49 for one of the most frequent (456 of 7,000)


@dataclass(frozen=True)
class MadeFile:
    """A file that stands in for a published one."""

    name: str
    published_digest: str
    digest: str
    published_count: int
    count: int


def make(dataset: Dataset, folder: Path, train_count: int, test_count: int, seed: int) -> list[MadeFile]:
    """Write the four files of K49 or KMNIST into folder/<dataset>."""
    if dataset.train is None or dataset.test is None:
        raise ValueError(f"{dataset.name} has no files")
    (folder / dataset.name).mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    made = []
    for split, count in ((dataset.train, train_count), (dataset.test, test_count)):
        images, labels = draw(dataset.class_names, count, generator)
        for file, values in ((split.images, images), (split.labels, labels)):
            path = folder / dataset.name / file.name
            _write(path, values)
            digest = f"md5:{hashlib.md5(path.read_bytes()).hexdigest()}"
            made.append(MadeFile(file.name, file.digest, digest, file.count, count))
    return made


def enter(made: list[MadeFile], datasets_module: Path) -> None:
    """Replace the published digests and counts in a clone's glyphline/datasets.py by those of the made files."""
    text = datasets_module.read_text(encoding="utf-8")
    for file in made:
        old = f'{file.published_digest.split(":")[1]}", {file.published_count:_}'
        if old not in text:
            raise SystemExit(f"{datasets_module}: {file.name} is not in it with its published digest")
        text = text.replace(old, f'{file.digest.split(":")[1]}", {file.count:_}')
    datasets_module.write_text(text, encoding="utf-8")


def draw(
    class_names: tuple[str, ...], count: int, generator: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """`count` noisy pictures (count, 28, 28) uint8 and their labels (count,), every class at least twice."""
    frequency = np.geomspace(1.0, RAREST_SHARE, len(class_names))
    labels = generator.choice(len(class_names), size=count, p=frequency / frequency.sum()).astype(np.uint8)
    labels[: 2 * len(class_names)] = np.tile(np.arange(len(class_names), dtype=np.uint8), 2)[:count]
    generator.shuffle(labels)
    prints = np.stack([_print(name) for name in class_names])
    rows, columns = generator.integers(-LARGEST_SHIFT, LARGEST_SHIFT + 1, size=(2, count, 1, 1))
    grid = np.arange(SIDE)
    images = prints[labels[:, None, None], (grid[:, None] + rows) % SIDE, (grid[None, :] + columns) % SIDE]
    for start in range(0, count, 10_000):  # the noise of all at once would take gigabytes
        part = images[start : start + 10_000]
        noisy = part + generator.normal(0, NOISE, part.shape).astype(np.float32) * (part > 0)
        images[start : start + 10_000] = np.clip(noisy, 0, 255).astype(np.uint8)
    return images, labels


def _print(glyph: str) -> NDArray[np.uint8]:
    picture = Image.new("L", (SIDE, SIDE), 0)
    font = ImageFont.truetype(str(kana_font_path()), GLYPH_PIXELS)
    ImageDraw.Draw(picture).text((SIDE / 2, SIDE / 2), glyph, fill=255, font=font, anchor="mm")
    blurred: NDArray[np.uint8] = gaussian_filter(np.asarray(picture), sigma=0.6)
    return blurred


def _write(path: Path, values: NDArray[np.uint8]) -> None:
    if path.suffix == ".npz":
        np.savez_compressed(path, arr_0=values)
        return
    magic = IMAGES_MAGIC if values.ndim == 3 else LABELS_MAGIC
    header = struct.pack(f">{1 + values.ndim}I", magic, *values.shape)
    path.write_bytes(gzip.compress(header + values.tobytes(), compresslevel=1, mtime=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clone", type=Path, required=True, help="a scratch clone of this repository")
    parser.add_argument("--dataset", choices=[K49.name, KMNIST.name], default=K49.name)
    parser.add_argument("--train", type=int, default=232_365, help="number of training images")
    parser.add_argument("--test", type=int, default=38_547, help="number of test images")
    parser.add_argument("--seed", type=int, default=49)
    arguments = parser.parse_args()
    if arguments.clone.resolve() == Path.cwd().resolve():
        parser.error("--clone is this very repository; name a scratch clone of it")
    dataset = {K49.name: K49, KMNIST.name: KMNIST}[arguments.dataset]
    made = make(dataset, arguments.clone / "stand-ins", arguments.train, arguments.test, arguments.seed)
    enter(made, arguments.clone / "glyphline" / "datasets.py")
    for file in made:
        print(f"{file.name}: {file.count:,}, {file.digest}")


if __name__ == "__main__":
    main()
