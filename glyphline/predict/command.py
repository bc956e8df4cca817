"""`glyphline predict`: a user's own pictures through one network, for people, for programs or as a picture.

With an exported network, ONNX Runtime classifies them. TensorFlow is imported only for a .keras file, and only when a
picture could be prepared.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glyphline import paths
from glyphline.data.pictures import read_picture, thumbnail
from glyphline.data.records import Pictures
from glyphline.errors import GlyphlineError, PictureError
from glyphline.evaluation.numbers import percent
from glyphline.model import inference
from glyphline.predict import exported
from glyphline.predict.prepare import Preparation, Prepared

MOST_SHOWN = 24  # pictures in what --show draws
THUMBNAIL_SIDE = 240  # pixels

Classify = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], list[str]]]  # to probabilities and classes


@dataclass
class Classified:
    """One file on its way: what was made of it and what came out, or why not."""

    file: str
    error: str | None = None
    frames: int = 1
    thumbnail: NDArray[np.uint8] | None = None
    prepared: Prepared | None = None
    probabilities: NDArray[np.float32] | None = None


def predict(
    files: Sequence[str], model: Path | None = None, *, as_json: bool = False, show: Path | None = None
) -> bool:
    """Classify each picture and print what it is; say on the standard error which could not be read, and why.

    model: a .keras file, or a folder that `glyphline export` wrote; by default the trained network with the best
    validation accuracy, from its export where that is up to date. show: a PNG to write, of what the network
    saw. Returns whether every picture was classified. Raises ModelError for a model that cannot be used, and
    GlyphlineError when `show` cannot be written.
    """
    if show is not None:
        _check_show(show, files)
    if model is None:
        trained = inference.best_trained()
        model = exported.of_model(trained) or trained
    prepare, classify = _exported(model) if model.is_dir() and model.suffix != ".keras" else _trained(model)
    results, ready, names = [], [], list[str]()
    for file in files:
        result = Classified(file)
        results.append(result)
        try:
            picture = read_picture(Path(file), prepare.pictures.values)
            result.prepared = prepare(picture)
        except PictureError as error:
            result.error = str(error)
            print(f"{_printable(file)}: {error}", file=sys.stderr)
            continue
        result.frames = picture.frames
        result.thumbnail = thumbnail(picture, THUMBNAIL_SIDE) if show else None
        ready.append((result, result.prepared.image))
    if ready:
        probabilities, names = classify(np.stack([image for _, image in ready]))
        for (result, _), row in zip(ready, probabilities, strict=True):
            result.probabilities = row
    if as_json:
        record = {"model": str(model), "pictures": [for_programs(result, names) for result in results]}
        print(json.dumps(record, indent=2))
    else:
        for line in _for_people(results, [_printable(name) for name in names]):
            print(line)
    if show is not None:
        _show(show, model, results, [_printable(name) for name in names])
    return all(result.error is None for result in results)


def _exported(folder: Path) -> tuple[Preparation, Classify]:
    """An exported network: how it wants pictures prepared, and what classifies them. Raises ModelError."""
    description, _ = exported.read(folder)
    return description.preparation, lambda images: (exported.load(folder).probabilities(images), description.classes)


def _trained(model: Path) -> tuple[Preparation, Classify]:
    """The same of a .keras file. Raises ModelError."""
    inference.check_model(model)

    def classify(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], list[str]]:
        probabilities = inference.probabilities(model, images)
        return probabilities, class_names(model, probabilities.shape[1])

    return preparation(model), classify


def _check_show(show: Path, files: Sequence[str]) -> None:
    """Refuse what could not be written, or would overwrite a picture, before any work is done."""
    if show.suffix.lower() != ".png":
        raise GlyphlineError(f"{show}: --show writes a PNG picture; give it a name that ends in .png")
    if show.is_dir() or not show.absolute().parent.is_dir():
        raise GlyphlineError(f"{show}: this is a directory, or in none that exists; name another file for --show")
    if show.exists() and any(Path(file).exists() and show.samefile(file) for file in files):
        raise GlyphlineError(f"{show}: --show would overwrite this picture; give it another name")


def class_names(model: Path, count: int) -> list[str]:
    """The names of a model's `count` classes: those of the data set beside it, or in the working directory.

    Plain numbers where there is no data set of so many classes.
    """
    for card in _cards(model):
        names = card.get("class_names")
        if isinstance(names, list) and len(names) == count:
            return [str(name) for name in names]
    return [str(number) for number in range(count)]


def preparation(model: Path) -> Preparation:
    """How the data set beside a model, or in the working directory, prepares pictures; as MNIST's where none says."""
    for card in _cards(model):
        try:
            return Preparation(card["side"], card["channels"], Pictures.model_validate(card["pictures"]))
        except (KeyError, ValueError):
            continue
    return Preparation()


def _cards(model: Path) -> Iterator[dict[str, Any]]:
    """What is known of the data set beside the model, then of that in the working directory."""
    for root in (model.absolute().parent.parent, Path()):
        try:
            card = json.loads((root / paths.DATASET_CARD).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(card, dict):
            yield card


def _two_best(probabilities: NDArray[np.float32]) -> list[tuple[int, float]]:
    """The most probable class and the next, with their probabilities; the first of equals first."""
    return [(int(best), float(probabilities[best])) for best in (-probabilities).argsort(kind="stable")[:2]]


def _for_people(results: list[Classified], names: list[str]) -> list[str]:
    """One line for each classified picture: file, class, confidence, runner-up."""
    widest_file = max((len(_printable(result.file)) for result in results), default=0)
    widest_name = max(map(len, names), default=0)
    lines = []
    for result in results:
        if result.probabilities is not None:
            (first, confidence), (second, other) = _two_best(result.probabilities)
            lines.append(
                f"{_printable(result.file):<{widest_file}}  {names[first]:<{widest_name}}  {percent(confidence, 1):>7}"
                f"  (then {names[second]}, {percent(other, 1)})"
            )
    return lines


def for_programs(result: Classified, names: Sequence[str]) -> dict[str, Any]:
    """What `--json` prints of one file."""
    if result.probabilities is None or result.prepared is None:
        return {"file": result.file, "error": result.error}
    (first, confidence), (second, other) = _two_best(result.probabilities)
    return {
        "file": result.file,
        "class": names[first],
        "confidence_percent": round(100 * confidence, 2),
        "runner_up": names[second],
        "runner_up_percent": round(100 * other, 2),
        "inverted": result.prepared.inverted,
        "thickened": result.prepared.thickened,
        "box": [round(side, 4) for side in result.prepared.box],
        "frames": result.frames,
    }


def _show(path: Path, model: Path, results: list[Classified], names: list[str]) -> None:
    from glyphline.figures import seen, style

    classified = [
        seen.Seen(_printable(result.file), result.thumbnail, result.prepared.image, result.probabilities)
        for result in results
        if result.thumbnail is not None and result.prepared is not None and result.probabilities is not None
    ]
    if not classified:
        print(f"{path}: not written, as no picture could be classified", file=sys.stderr)
        return
    names = style.shown(names)
    if unwritable := style.cover(names):
        print(f"{path}: {unwritable}", file=sys.stderr)
    try:
        style.save(seen.what_the_network_saw(classified[:MOST_SHOWN], names, str(model), len(classified)), path)
    except OSError as error:
        raise GlyphlineError(f"{path}: the file cannot be written ({error.strerror})") from None


def _printable(name: str) -> str:
    """A name with what would move the cursor, or is no character at all, written as an escape."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)
