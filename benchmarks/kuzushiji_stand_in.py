"""Make files of the official names, keys, dtypes and shapes of Kuzushiji-49 and Kuzushiji-MNIST, for when the real ones
are out of reach: printed kana, shifted and noisy, as imbalanced as the real ones.

They have digests of their own, so they work in a clone whose datasets/<name>.yaml names those: --clone writes them
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
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from ruamel.yaml import YAML
from scipy.ndimage import gaussian_filter

from glyphline import paths
from glyphline.figures.style import kana_font_path

SIDE = 28  # of the images, pixels
GLYPH_PIXELS = 22  # height of the printed kana
LARGEST_SHIFT = 3  # pixels
NOISE = 40  # standard deviation, grey levels
RAREST_SHARE = 0.065  # images of the rarest class of Kuzushiji-49 for one of the most frequent (456 of 7,000)


def make(clone: Path, name: str, train_count: int, test_count: int, seed: int) -> dict[str, str]:
    """Write the four files of k49 or kmnist into a clone's stand-ins/<name>, and what they are into its record.

    Returns the digest of each file.
    """
    folder, record = clone / "stand-ins" / name, clone / paths.dataset(name)
    folder.mkdir(parents=True, exist_ok=True)
    yaml = YAML()  # keeps comments
    dataset = yaml.load(record.read_text(encoding="utf-8"))
    generator = np.random.default_rng(seed)
    digests = {}
    for split, count in (("train", train_count), ("test", test_count)):
        dataset[split]["count"] = count
        images, labels = draw(dataset["class_names"], count, generator)
        for part, values in (("images", images), ("labels", labels)):
            file = dataset[split][part]
            path = folder / file["name"]
            _write(path, values)
            file["digest"] = digests[path.name] = f"md5:{hashlib.md5(path.read_bytes()).hexdigest()}"
    with record.open("w", encoding="utf-8") as stream:
        yaml.dump(dataset, stream)
    return digests


def draw(
    class_names: Sequence[str], count: int, generator: np.random.Generator
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
    magic = 0x800 + values.ndim  # of IDX files of bytes
    header = struct.pack(f">{1 + values.ndim}I", magic, *values.shape)
    path.write_bytes(gzip.compress(header + values.tobytes(), compresslevel=1, mtime=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clone", type=Path, required=True, help="a scratch clone of this repository")
    parser.add_argument("--dataset", choices=["k49", "kmnist"], default="k49")
    parser.add_argument("--train", type=int, default=232_365, help="number of training images")
    parser.add_argument("--test", type=int, default=38_547, help="number of test images")
    parser.add_argument("--seed", type=int, default=49)
    arguments = parser.parse_args()
    if arguments.clone.resolve() == Path.cwd().resolve():
        parser.error("--clone is this very repository; name a scratch clone of it")
    made = make(arguments.clone, arguments.dataset, arguments.train, arguments.test, arguments.seed)
    for name, digest in made.items():
        print(f"{name}: {digest}")


if __name__ == "__main__":
    main()
