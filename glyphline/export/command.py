"""`glyphline export`: a trained network for other programs, compared with the original first."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from glyphline import paths
from glyphline.config import Params, load_params
from glyphline.data.records import Pictures
from glyphline.errors import GlyphlineError, ModelError
from glyphline.evaluation.metrics import METRICS
from glyphline.evaluation.numbers import p_value, plural, points, points_interval
from glyphline.evaluation.scoring import Labels
from glyphline.evaluation.significance import Compared, Verdict, judge
from glyphline.export import card, plain
from glyphline.export.to_litert import LiteRT, to_litert
from glyphline.export.to_onnx import to_int8, to_onnx
from glyphline.model import inference
from glyphline.model.training import quiet
from glyphline.predict import exported
from glyphline.predict.exported import DESCRIPTION, EXPORTS, FILES, Centred, Description
from glyphline.predict.prepare import BOX_SIDE, CENTRE
from glyphline.repro import LOCK
from glyphline.schema import parse_yaml

if TYPE_CHECKING:
    import keras

Format = Literal["onnx", "litert"]
Images = NDArray[np.uint8]
Probabilities = NDArray[np.float32]
Classify = Callable[[Images], Probabilities]

MOST_DIFFERENCE = 1e-4  # of a probability, between float32 and the original in float32
SAME_NETWORK = 0.05  # of a probability, between evaluate's machine and this one; bfloat16 differs by some 0.004
CALIBRATION = 1_000  # training images that int8 is calibrated on
TIMED = 100  # images, of which the median time counts
CARD = "README.md"
WRITTEN = {DESCRIPTION, CARD, *FILES.values()}
NAMES = {"onnx": "ONNX", "litert": "LiteRT"}

# A new process classifies one image; arguments: the folder, then the image's shape.
START = """
import sys
from pathlib import Path
import numpy as np
folder, image = Path(sys.argv[1]), np.zeros((1, *map(int, sys.argv[2:])), np.uint8)
"""
STARTS = {
    "onnx": START + "from glyphline.predict.exported import load\nload(folder).probabilities(image)",
    "litert": START + "from glyphline.export.to_litert import LiteRT\n"
    "LiteRT((folder / 'network.tflite').read_bytes()).probabilities(image)",
}


@dataclass(frozen=True)
class Judged:
    """A trained network and what the pipeline knows of it.

    card: data/raw/dataset.json. test: its entry in metrics/test.json. start_seconds: until Keras had classified a first
    image, its import included.
    """

    model: Path
    variant: str
    params: Params
    card: dict[str, Any]
    test: dict[str, Any]
    network: keras.Model
    start_seconds: float


@dataclass(frozen=True)
class Split:
    """The images of a split and what the original makes of them, as it was trained and in float32."""

    images: Images
    labels: Labels
    trained: Probabilities
    reference: Probabilities


def export(model: Path, to: Format, output: Path | None = None, *, int8: bool = False, accept: bool = False) -> None:
    """Write a network of this data set, its description and its model card, and say how it compares with the original.

    output: the folder; by default exports/ and the variant's name, with the format and the precision where those are
    not ONNX and float32. accept: take an int8 network though it is worse. Raises GlyphlineError, and leaves what was
    there, when the network cannot be exported, does not say what the original says, or cannot be written.
    """
    judged = read(model)
    suffix = ("" if to == "onnx" else f"-{to}") + ("-int8" if int8 else "")
    folder = output or EXPORTS / f"{judged.variant}{suffix}"
    with _written_whole(folder) as partial:
        validation, test = splits(judged)
        content = convert(judged, to, int8)
        description = describe(judged, content, to, int8)
        (partial / FILES[to]).write_bytes(content)
        (partial / DESCRIPTION).write_text(
            json.dumps(description.model_dump(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        with quiet():
            classify = exported.load(partial).probabilities if to == "onnx" else LiteRT(content).probabilities
        on_validation, on_test = classify(validation.images), classify(test.images)
        said = [f"{folder}: {model} for {NAMES[to]}, {description.precision}"]
        if int8:
            said.append(_paired(judged, folder, validation, on_validation, accept))
        else:
            said.append(_same(folder, (validation, test), (on_validation, on_test)))
        said += _rounded(judged, (validation, test))
        (partial / CARD).write_text(
            card.write(
                record=judged.card,
                params=judged.params,
                description=description,
                trained=judged.test,
                labels=test.labels,
                probabilities=on_test,
                compared=said[1:],
            ),
            encoding="utf-8",
        )
    for line in said:
        print(line)
    print(_costs(judged, folder, to, classify, test.images))


def read(model: Path) -> Judged:
    """A network that evaluate has judged. Raises GlyphlineError for any other."""
    inference.check_model(model)
    params = load_params(paths.PARAMS)
    variant = model.stem
    if variant not in params.judged():
        raise GlyphlineError(
            f"{model}: {paths.PARAMS} has no variant {variant}, so that there is no result to tell of it; "
            f"export one of: {', '.join(map(str, map(paths.model, params.judged())))}"
        )
    _check_asked(model, variant, params)
    record, tests = _read_json(paths.DATASET_CARD), _read_json(paths.TEST_METRICS)
    if variant not in tests:
        raise GlyphlineError(f"{paths.TEST_METRICS}: {variant} is not judged in it; run: dvc repro evaluate")
    clock = time.perf_counter()
    network = inference.load(model, (record["side"], record["side"], record["channels"]))
    inference.apply(network, np.zeros((1, *network.input_shape[1 : 3 if record["channels"] == 1 else 4]), np.uint8))
    start_seconds = time.perf_counter() - clock
    if network.output_shape[1] != len(record["class_names"]):
        raise ModelError(
            f"{model}: this network knows {network.output_shape[1]} classes, and {record['title']} has "
            f"{len(record['class_names'])}; export a network of this data set, or run: dvc repro"
        )
    return Judged(model, variant, params, record, tests[variant], network, start_seconds)


def _check_asked(model: Path, variant: str, params: Params) -> None:
    """Raise GlyphlineError where dvc.lock has other parameters of the training than params.yaml."""
    if not LOCK.is_file():
        return
    stages = parse_yaml(LOCK.read_bytes(), str(LOCK)).get("stages", {})
    stage = stages.get(f"{'train_winner' if variant in params.searches else 'train'}@{variant}", {})
    now: Any = parse_yaml(paths.PARAMS.read_bytes(), str(paths.PARAMS))
    for key, trained_with in stage.get("params", {}).get(str(paths.PARAMS), {}).items():
        asked = now
        for name in key.split("."):
            asked = asked.get(name, {})
        if asked != trained_with:
            raise GlyphlineError(f"{paths.PARAMS}: {key} is not what {model} was trained with; run: dvc repro")


def splits(judged: Judged) -> tuple[Split, Split]:
    """Validation and test images, classified by the original.

    Raises GlyphlineError where it is not the network that evaluate judged.
    """
    reference = plain.in_float32(judged.network)
    found = []
    for read_split in (_validation, _test):
        images, labels = read_split()
        found.append(Split(images, labels, inference.apply(judged.network, images), inference.apply(reference, images)))
    validation, test = found
    path = paths.EVALUATION / judged.variant / "probabilities.npy"
    evaluated = _read_array(path)
    if evaluated.shape != test.trained.shape or not np.allclose(evaluated, test.trained, rtol=0, atol=SAME_NETWORK):
        raise GlyphlineError(
            f"{path}: these are the probabilities of another network than {judged.model}; run: dvc repro"
        )
    return validation, test


def convert(judged: Judged, to: Format, int8: bool) -> bytes:
    """The network's file."""
    network = plain.folded(judged.network)
    calibration = None
    if int8:
        images = _read_array(paths.PREPARED / "train" / "images.npy")
        calibration = images[np.linspace(0, len(images) - 1, min(CALIBRATION, len(images))).astype(int)]
    if to == "litert":
        return to_litert(network, calibration)
    content = to_onnx(network)
    with quiet():
        return content if calibration is None else to_int8(content, calibration)


def describe(judged: Judged, content: bytes, to: Format, int8: bool) -> Description:
    """What lies beside the network's file."""
    pictures = Pictures.model_validate(judged.card["pictures"])
    return Description(
        variant=judged.variant,
        dataset=judged.card["name"],
        classes=judged.card["class_names"],
        side=judged.card["side"],
        channels=judged.card["channels"],
        pictures=pictures,
        centred=Centred(box_side=BOX_SIDE, centre=CENTRE, background=0, ink=255) if pictures.how == "centred" else None,
        format=to,
        precision="int8" if int8 else "float32",
        network_digest=exported.digest(content),
        digest=exported.digest(judged.model.read_bytes()),
    )


def _same(folder: Path, originals: tuple[Split, Split], found: tuple[Probabilities, Probabilities]) -> str:
    """Raise GlyphlineError unless every image has the same class, and probabilities within MOST_DIFFERENCE."""
    reference = np.concatenate([split.reference for split in originals])
    probabilities = np.concatenate(found)
    n = len(reference)
    others = int((probabilities.argmax(axis=1) != reference.argmax(axis=1)).sum())
    difference = float(np.abs(probabilities - reference).max())
    if others or not difference <= MOST_DIFFERENCE:
        raise GlyphlineError(
            f"{folder}: not written, as the exported network gives another class for {others:,} of {n:,} images and "
            f"probabilities that differ by up to {difference:.2g}, where {MOST_DIFFERENCE:g} is allowed"
        )
    return (
        f"All {n:,} validation and test images get the class that Keras gives them in float32, with probabilities "
        f"within {difference:.1g}."
    )


def _paired(judged: Judged, folder: Path, validation: Split, found: Probabilities, accept: bool) -> str:
    """Raise GlyphlineError where int8 is worse than the original beyond noise, unless it is taken all the same."""
    metric = METRICS[judged.card["leading_metric"]]
    before, after = validation.reference.argmax(axis=1), found.argmax(axis=1)
    (compared,) = judge([(metric.compare(validation.labels, before, after), None)])
    said = _verdict(metric.title, compared)
    if compared.verdict == Verdict.WORSE and not accept:
        raise GlyphlineError(f"{folder}: not written, as int8 is worse: {said} To take it all the same: --accept")
    return said


def _verdict(metric: str, compared: Compared) -> str:
    images = compared.images
    return (
        f"int8 beside float32, on {plural(images.n, 'validation image')}: {metric} {points(images.difference)} points "
        f"({points_interval(images.low, images.high)}), {images.lost} lost and {images.gained} gained, "
        f"p = {p_value(compared.p_value)}: {compared.verdict}."
    )


def _rounded(judged: Judged, originals: tuple[Split, Split]) -> list[str]:
    """How the network in the precision that it was trained in differs from its weights in float32."""
    if all(layer.compute_dtype == "float32" for layer in judged.network.layers):
        return []
    trained, reference = (
        np.concatenate([getattr(split, which) for split in originals]) for which in ("trained", "reference")
    )
    others = int((trained.argmax(axis=1) != reference.argmax(axis=1)).sum())
    return [
        f"It was trained in bfloat16: computed so, {others:,} of {len(reference):,} images get another class than in "
        f"float32, and probabilities differ by up to {float(np.abs(trained - reference).max()):.1g}."
    ]


def _costs(judged: Judged, folder: Path, to: Format, classify: Classify, images: Images) -> str:
    """A table: bytes on disk, seconds until the first answer with all that is imported, milliseconds an image."""
    clock = time.perf_counter()
    command = [sys.executable, "-P", "-c", STARTS[to], str(folder), *map(str, images.shape[1:])]
    subprocess.run(command, check=True, capture_output=True)
    seconds = time.perf_counter() - clock
    lines = [f"{'':<7}{'file':>12}{'start':>10}{'one image':>12}"]
    for name, file, start, run in (
        ("Keras", judged.model, judged.start_seconds, functools.partial(inference.apply, judged.network)),
        (NAMES[to], folder / FILES[to], seconds, classify),
    ):
        image = 1000 * _image_seconds(run, images)
        lines.append(f"{name:<7}{file.stat().st_size / 1e6:>9.2f} MB{start:>8.2f} s{image:>9.2f} ms")
    return "\n".join(lines)


def _image_seconds(classify: Classify, images: Images) -> float:
    classify(images[:1])
    seconds = []
    for image in images[:TIMED]:
        clock = time.perf_counter()
        classify(image[np.newaxis])
        seconds.append(time.perf_counter() - clock)
    return float(np.median(seconds))


@contextmanager
def _written_whole(folder: Path) -> Iterator[Path]:
    """A folder to write into, beside `folder`, whose place it takes at the end, if nothing is raised.

    Raises GlyphlineError where it cannot be written, or where something else than an export is in its place.
    """
    partial, old = (folder.with_name(f".{folder.name}.{which}") for which in ("partial", "old"))
    try:
        if folder.exists() and not (folder.is_dir() and {path.name for path in folder.iterdir()} <= WRITTEN):
            raise GlyphlineError(f"{folder}: this is no folder that export has written; name another with --output")
        for left in (partial, old):
            shutil.rmtree(left, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        if folder.exists():
            folder.rename(old)
        try:
            partial.rename(folder)
        except OSError:
            old.rename(folder)
            raise
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise GlyphlineError(f"{folder}: the folder cannot be written ({error.strerror})") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _validation() -> tuple[Images, Labels]:
    folder = paths.PREPARED / "validation"
    return _read_array(folder / "images.npy"), _read_array(folder / "labels.npy")


def _test() -> tuple[Images, Labels]:
    raw = _read_array(paths.RAW_TEST)
    return raw["images"], raw["labels"]


def _read_array(path: Path) -> Any:
    try:
        return np.load(path)
    except (OSError, ValueError):
        raise GlyphlineError(f"{path}: this file is needed, and missing or damaged; run: dvc repro") from None


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise GlyphlineError(f"{path}: this file is needed, and missing or damaged; run: dvc repro") from None
