"""An exported network read and applied, by ONNX Runtime: TensorFlow is not needed, and not imported."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError

from glyphline.data.records import LARGEST_SIDE, MOST_CLASSES, SMALLEST_SIDE, Pictures, Text
from glyphline.errors import ModelError, printable
from glyphline.predict import graph
from glyphline.predict.prepare import Preparation

EXPORTS = Path("exports")
DESCRIPTION = "network.json"
FILES = {"onnx": "network.onnx", "litert": "network.tflite"}  # by format
MOST_DESCRIPTION_BYTES = 1 << 22
MOST_NETWORK_BYTES = 1 << 28  # twice the largest network that params.yaml can sensibly ask for
_AT_ONCE = 1 << 24  # numbers that an operator may make of the images that are classified at once
_MOST_AT_ONCE = 256  # of those images
_SUM_TOLERANCE = 1e-3

Digest = Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")]


class Centred(BaseModel, extra="forbid", strict=True, frozen=True):
    """Where a `centred` image has its glyph."""

    box_side: int = Field(description="of the square that the glyph is fitted into, pixels")
    centre: int = Field(description="the pixel, from 0, that its centre of mass rounds to, both ways")
    background: int
    ink: int


class Description(BaseModel, extra="forbid", strict=True, frozen=True):
    """What lies beside an exported network: all that a program needs to use it.

    The network takes `images`, (n, side, side) uint8, or (n, side, side, 3) for three channels, 0-255 as they are, and
    gives `probabilities`, (n, classes) float32.
    """

    variant: Text
    dataset: Text
    classes: list[Text] = Field(min_length=2, max_length=MOST_CLASSES, description="in the order of the probabilities")
    side: int = Field(ge=SMALLEST_SIDE, le=LARGEST_SIDE, description="of an image, pixels")
    channels: Literal[1, 3] = Field(description="1: grey; 3: red, green, blue")
    pictures: Pictures = Field(description="how a picture file is made into an image")
    centred: Centred | None = Field(description="where such an image has its glyph, if `how` is centred")
    format: Literal["onnx", "litert"]
    precision: Literal["float32", "int8"]
    network_digest: Digest = Field(description="of the network's file")
    digest: Digest = Field(description="of the .keras file that was exported")

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Of one image: (side, side), or (side, side, 3) in colour."""
        return (self.side, self.side) if self.channels == 1 else (self.side, self.side, self.channels)

    @property
    def preparation(self) -> Preparation:
        """How a picture becomes an image."""
        return Preparation(self.side, self.channels, self.pictures)


@dataclass(frozen=True)
class Exported:
    """An exported network, ready to classify. It may be used by several threads at once."""

    folder: Path
    description: Description
    _session: Any
    _batch: int

    @property
    def name(self) -> str:
        """The variant."""
        return self.description.variant

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the probabilities."""
        return tuple(self.description.classes)

    @property
    def digest(self) -> str:
        """ "sha256:..." of the .keras file that it was exported from."""
        return self.description.digest

    @property
    def preparation(self) -> Preparation:
        """How a picture becomes an image."""
        return self.description.preparation

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, classes) float32, each row of sum 1, of (n, side, side) or (n, side, side, 3) uint8, 0-255.

        Raises ValueError for another dtype or shape, and ModelError when the network gives no probabilities.
        """
        if images.dtype != np.uint8 or images.shape[1:] != self.description.image_shape:
            expected = ("n", *self.description.image_shape)
            raise ValueError(f"expected {expected} uint8, got {images.shape} {images.dtype}")
        parts = [np.zeros((0, len(self.classes)), np.float32)]
        for start in range(0, len(images), self._batch):
            batch = np.ascontiguousarray(images[start : start + self._batch])
            try:
                (outputs,) = self._session.run([graph.OUTPUT], {graph.INPUT: batch})
            except Exception as error:  # ONNX Runtime raises kinds of its own
                raise ModelError(f"{self.folder}: ONNX Runtime cannot run this network ({_reason(error)})") from None
            if outputs.dtype != np.float32 or outputs.shape != (len(batch), len(self.classes)):
                raise ModelError(f"{self.folder}: this network does not give a probability for each of its classes")
            # Written so that NaN fails.
            if not ((outputs >= 0).all() and (np.abs(outputs.sum(axis=1) - 1) < _SUM_TOLERANCE).all()):
                raise ModelError(f"{self.folder}: this network does not give probabilities")
            parts.append(outputs)
        return np.concatenate(parts)


def load(folder: Path, threads: int = 1) -> Exported:
    """Read what `glyphline export` wrote, and classify a blank image. threads: that one classification computes with.

    Raises ModelError for a folder that is anything else. Only the operators of glyphline.predict.graph are run, and no
    other file is read.
    """
    description, content = read(folder)
    if description.format != "onnx":
        raise ModelError(f"{folder}: this network is exported for LiteRT; export it for here with --format onnx")
    try:
        widest = graph.widest(content, description.image_shape)
    except ValueError as error:
        raise ModelError(f"{folder / FILES['onnx']}: {error}; {_again(description)}") from None
    try:
        started = session(content, threads)
    except Exception as error:
        raise ModelError(
            f"{folder / FILES['onnx']}: ONNX Runtime cannot load this network ({_reason(error)}); {_again(description)}"
        ) from None
    exported = Exported(folder, description, started, max(1, min(_MOST_AT_ONCE, _AT_ONCE // widest)))
    exported.probabilities(np.zeros((1, *description.image_shape), np.uint8))
    return exported


def keep_quiet() -> None:
    """Before ONNX Runtime is imported: keep it from writing a file of its own and telling its makers of its use."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def session(content: bytes, threads: int = 1) -> Any:
    """ONNX Runtime's session of a network, on the processor."""
    keep_quiet()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # what it says of a broken network, our sentence says too
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # leave the processor to others meanwhile
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def read(folder: Path) -> tuple[Description, bytes]:
    """The description of an exported network and the bytes of its file, which are those that were written with it.

    Raises ModelError.
    """
    path = folder / DESCRIPTION
    if not folder.is_dir():
        raise ModelError(f"{folder}: there is no such folder; make one with: glyphline export models/NAME.keras")
    try:
        description = Description.model_validate_json(_read(path, MOST_DESCRIPTION_BYTES))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part)[:80] for part in first["loc"]) or "the file"
        reason = " ".join(ascii(f"{where}: {first['msg']}")[1:-1].split())
        raise ModelError(f"{path}: this describes no exported network ({reason}); export it again") from None
    content = _read(folder / FILES[description.format], MOST_NETWORK_BYTES)
    if digest(content) != description.network_digest:
        raise ModelError(
            f"{folder}: {FILES[description.format]} is not the network that {DESCRIPTION} describes; "
            f"{_again(description)}"
        )
    return description, content


def digest(content: bytes) -> str:
    """As descriptions write it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def of_model(model: Path) -> Path | None:
    """The folder of EXPORTS that holds the network of this .keras file in float32, or None where it holds another."""
    folder = EXPORTS / model.stem
    try:
        description = Description.model_validate_json(_read(folder / DESCRIPTION, MOST_DESCRIPTION_BYTES))
        same = (description.format, description.precision) == ("onnx", "float32")
        return folder if same and description.digest == digest(model.read_bytes()) else None
    except (ModelError, ValidationError, OSError):
        return None


def folders() -> list[Path]:
    """Those of EXPORTS that hold an exported network, by name."""
    return sorted(path.parent for path in EXPORTS.glob(f"[!.]*/{DESCRIPTION}"))


def _read(path: Path, most: int) -> bytes:
    """The bytes of an ordinary file of at most that many. Raises ModelError."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe could keep us waiting for ever
            raise ModelError(f"{path}: this is not an ordinary file")
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise ModelError(f"{path}: the file cannot be read ({error.strerror})") from None
    if len(content) > most:
        raise ModelError(f"{path}: this file has more than {most:,} bytes, the most that are read")
    return content


def _reason(error: Exception) -> str:
    """What ONNX Runtime says, on one line."""
    return ascii(" ".join(str(error).split())[:200])[1:-1]


def _again(description: Description) -> str:
    return f"export it again with: glyphline export models/{printable(description.variant)}.keras"
