"""What every kind of source gives to the import: one labelled image after the other, as often as it is asked."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

SPLITS = {
    **dict.fromkeys(("train", "training", "trn", "train_set", "trainset", "training_set"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "dev", "validate", "valid_set", "validation_set"), "validation"),
    **dict.fromkeys(("test", "testing", "tst", "eval", "evaluation", "t10k", "test_set", "testset"), "test"),
}
Range = tuple[float, float]


@dataclass(frozen=True)
class Example:
    """One image of a source.

    where: what a message calls it. key: its path, or None where it has none. split: "train", "validation", "test", or
    "" where the source says nothing. label: its class, or None. pixels: (height, width) or (height, width, 3), of any
    numeric type, or why there are none. values: of a picture of more than 8 bits the values it was scaled by.
    """

    where: str
    key: str | None
    split: str
    label: str | None
    pixels: NDArray[Any] | str
    values: Range | None = None


class Source(Protocol):
    """Images and labels. kind: what it was read as. is_pictures: whether its images are picture files, not arrays.

    notes: after a pass, what else there is to say, a sentence each.
    """

    @property
    def kind(self) -> str: ...

    @property
    def is_pictures(self) -> bool: ...

    @property
    def notes(self) -> list[str]: ...

    def read(self, values: Range | None) -> Iterator[Example]:
        """Every image, in the same order each time.

        values: what becomes 0 and 255; with None, arrays stay as they are and deep pictures are scaled each by its own.
        Raises FormatError.
        """
        ...


def natural(text: str) -> list[tuple[int, int, str]]:
    """A key by which "2" comes before "10"."""
    return [
        (0, int(part), "") if part.isdecimal() and part.isascii() else (1, 0, part)
        for part in re.split(r"([0-9]+)", text)
        if part
    ]


def class_name(label: Any) -> str:
    """A label as the name of a class: without spaces around it, Unicode-normalised, a whole number without its .0."""
    if isinstance(label, bytes):
        label = label.decode("utf-8", "replace")
    if isinstance(label, float | np.floating) and float(label).is_integer():
        label = int(label)
    text = normalised(str(label))
    return text[:-2] if re.fullmatch(r"-?[0-9]+\.0", text) else text


def normalised(text: str) -> str:
    """Text whose equal letters are equal characters, without spaces around it."""
    return unicodedata.normalize("NFC", text).strip()


def to_levels(pixels: NDArray[Any], values: Range) -> NDArray[np.uint8]:
    """Numbers from low to high as bytes from 0 to 255, rounded."""
    low, high = values
    if values == (0, 255) and pixels.dtype.kind in "bui":
        return pixels.astype(np.uint8)
    scaled = (pixels.astype(np.float64) - low) * (255 / ((high - low) or 1))
    return np.rint(scaled).clip(0, 255).astype(np.uint8)


def split_of(name: str) -> str:
    """The split that a file or a key is named after, or ""."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)  # trainX
    for word in re.split(r"[^a-z0-9]+", spaced.lower()):
        for candidate in (word, word.rstrip("0123456789")):
            if candidate in SPLITS:
                return SPLITS[candidate]
    return ""
