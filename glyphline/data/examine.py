"""A source looked at as a whole: sizes, colours, values and classes. No image is kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glyphline.data.examples import Range, Source, natural
from glyphline.data.fit import is_dark_on_light
from glyphline.data.records import MOST_CLASSES
from glyphline.errors import FormatError, quoted

TRAIN, TEST = 0, 1
SMALLEST_DEFAULT, LARGEST_DEFAULT = 28, 64  # side of the images, unless asked for another
MULTIPLE = 4  # of which the default side is one, so that every variant of params.yaml reads it
FEW_LEVELS = 16  # numbers up to this one are a scale of their own, as in scikit-learn's digits
NO_CLASS = -1


@dataclass
class Look:
    """What is known of a source's examples, each by its number in the order of the source.

    labels: (n,) positions in class_names, NO_CLASS for none. splits: (n,) TRAIN or TEST. usable: (n,) bool, whether
    there are pixels. keys: paths, or None. unreadable: where and why, of each that is not usable.
    """

    kind: str
    labels: NDArray[np.int32]
    splits: NDArray[np.uint8]
    usable: NDArray[np.bool_]
    keys: list[str | None]
    class_names: list[str]
    unreadable: list[str]
    has_validation: bool
    side: int
    channels: int
    inverted: bool
    values: Range | None
    sizes: tuple[int, int, int]  # smallest, median and largest of the longer sides
    notes: list[str] = field(default_factory=list)


@dataclass
class _Pixels:
    """What the images seen so far have in common."""

    sides: Counter[int] = field(default_factory=Counter)
    low: float = np.inf
    high: float = -np.inf
    whole: bool = True
    grey: bool = True
    deep: int = 0
    dark_on_light: int = 0

    def add(self, pixels: NDArray[Any], values: Range | None, is_picture: bool) -> None:
        self.sides[max(pixels.shape[:2])] += 1
        if values is None and not is_picture:
            values = (float(pixels.min()), float(pixels.max()))
            self.whole = self.whole and bool(pixels.dtype.kind in "bui" or (pixels == np.floor(pixels)).all())
        elif values is not None:
            self.deep += 1
        if values is not None:
            self.low, self.high = min(self.low, values[0]), max(self.high, values[1])
        if pixels.ndim == 3:
            self.grey = self.grey and bool((pixels == pixels[..., :1]).all())
        self.dark_on_light += is_dark_on_light(pixels)

    def quantile(self, share: float) -> int:
        """The side that this share of the images does not exceed; 0 of none."""
        passed = 0
        for side in sorted(self.sides):
            passed += self.sides[side]
            if passed > share * self.sides.total():
                return side
        return max(self.sides, default=0)


def look_at(source: Source, side: int | None, channels: int | None, inverted: bool | None) -> Look:
    """Go through a source once. What is not None is not inferred. Raises FormatError."""
    numbers: dict[str, int] = {}
    labels, splits, usable, keys = [], [], [], []
    unreadable: list[str] = []
    seen, has_validation = _Pixels(), False
    for example in source.read(None):
        label = NO_CLASS
        if example.label is not None:
            label = numbers.setdefault(example.label, len(numbers))
            if len(numbers) > MOST_CLASSES:
                raise FormatError(
                    f"{example.where}: with {quoted(example.label)} there are more than {MOST_CLASSES:,} classes, the "
                    "most that are told apart here; is this what the label is?"
                )
        labels.append(label)
        splits.append(TEST if example.split == "test" else TRAIN)
        keys.append(example.key)
        has_validation |= example.split == "validation"
        usable.append(not isinstance(example.pixels, str))
        if isinstance(example.pixels, str):
            unreadable.append(f"{example.where}: {example.pixels}")
        else:
            seen.add(example.pixels, example.values, source.is_pictures)
    if not labels:
        raise FormatError("there are no images in what was named")
    order = sorted(numbers, key=natural)
    place = np.full(len(numbers) + 1, NO_CLASS, np.int32)  # the last one for those without a class
    place[[numbers[name] for name in order]] = np.arange(len(numbers))
    values: Range | None = None
    if not source.is_pictures:
        values = range_of(seen.low, seen.high, seen.whole)
    elif seen.deep:
        values = (seen.low, seen.high)
    median = seen.quantile(0.5)
    usual = min(max(-(-median // MULTIPLE) * MULTIPLE, SMALLEST_DEFAULT), LARGEST_DEFAULT)
    channels = channels or (1 if seen.grey else 3)
    if inverted is None:
        # Colours are never turned over: the background of a photograph is no paper.
        inverted = channels == 1 and 2 * seen.dark_on_light > seen.sides.total()
    notes = list(source.notes)
    if 0 < seen.deep < seen.sides.total():
        notes.append(f"{seen.deep:,} pictures have more than 8 bits and the others 8: is that on purpose?")
    return Look(
        kind=source.kind,
        labels=place[np.array(labels, np.int32)],
        splits=np.array(splits, np.uint8),
        usable=np.array(usable, bool),
        keys=keys,
        class_names=order,
        unreadable=unreadable,
        has_validation=has_validation,
        side=side or usual,
        channels=channels,
        inverted=inverted,
        values=values,
        sizes=(min(seen.sides, default=0), median, max(seen.sides, default=0)),
        notes=notes,
    )


def range_of(low: float, high: float, whole: bool) -> Range:
    """What becomes 0 and 255 in arrays whose numbers lie between low and high: a usual scale, else these two."""
    if whole and low >= 0:  # 0 to 1, 0 to 16 as in scikit-learn's digits, 0 to 255
        return next(((0.0, float(top)) for top in (1, FEW_LEVELS, 255) if high <= top), (low, high))
    if not whole and low >= -1 and high <= 1:
        return (0.0, 1.0) if low >= 0 else (-1.0, 1.0)
    return (0.0, 255.0) if low >= 0 and high <= 255 else (low, high)
