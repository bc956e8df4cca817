"""A saved network applied to images, whoever saved it: nothing in its file is run but the layers that Glyphline builds.

Keras' safe mode refuses a file's code. What is checked here before it lets no other class of Keras' read files or take
memory, and no file ask for more memory than it has bytes for.
"""

from __future__ import annotations

import json
import math
import os
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glyphline import paths
from glyphline.data.formats import SIDE
from glyphline.data.splits import normalise
from glyphline.errors import GlyphlineError

if TYPE_CHECKING:
    import keras

INPUT_SHAPE = (SIDE, SIDE, 1)
BATCH = 1000
SUGGESTED = "small_l2"  # the variant that is trained quickly, and the default of `glyphline predict`
_WEIGHTS = "model.weights.h5"
_MEMBERS = ["config.json", "metadata.json", _WEIGHTS]
_MOST_CONFIG_BYTES = 1 << 24  # Keras' largest networks need a hundredth of it
_MOST_OUTPUTS = 1 << 20  # numbers that a layer may make of one image; the widest of params.yaml makes 22,000
# What networks.build() makes models of, by the module that Keras writes down.
_PARTS: dict[str | None, tuple[str, ...]] = {
    "keras": ("DTypePolicy", "Sequential"),
    "keras.src.models.functional": ("Functional",),
    "keras.initializers": ("GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Ones", "Zeros"),
    "keras.layers": (
        *("Activation", "BatchNormalization", "Conv2D", "Dense", "Dropout", "Flatten", "InputLayer", "MaxPooling2D"),
        *("Permute", "Reshape"),
    ),
    "keras.losses": ("CategoricalCrossentropy",),
    "keras.optimizers": ("Adadelta", "Adagrad", "Adam", "AdamW", "Nadam", "RMSprop", "SGD"),
    "keras.optimizers.schedules": ("CosineDecay",),
    "keras.regularizers": ("L2",),
    None: ("__keras_tensor__",),
}
_SUM_TOLERANCE = 1e-3


class ModelError(GlyphlineError):
    """A file that is no network for these images."""


def check_model(path: Path) -> None:
    """Raise ModelError for a file that is missing, no `.keras` archive, or made of other parts than Glyphline's.

    It takes milliseconds: TensorFlow is not imported.
    """
    if not path.exists():
        raise ModelError(f"{path}: there is no such model; {_advice(path)}")
    if not path.is_file():
        raise ModelError(f"{path}: this is not a .keras file; {_advice(path)}")
    try:
        with zipfile.ZipFile(path) as archive:
            if sorted(archive.namelist()) != _MEMBERS:
                raise zipfile.BadZipFile
            if archive.getinfo("config.json").file_size > _MOST_CONFIG_BYTES:
                raise zipfile.BadZipFile
            # Keras stores its members uncompressed, so that none needs more memory than the file has bytes.
            if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
                raise zipfile.BadZipFile
            config = json.loads(archive.read("config.json"))
        foreign, unknown = next(_foreign_code(config), None), next(_unknown_parts(config), None)
    except PermissionError as error:
        raise ModelError(f"{path}: the file cannot be read ({error.strerror})") from None
    except Exception:  # for damaged bytes zipfile and json raise a dozen kinds, and deep brackets end recursion
        raise ModelError(f"{path}: this is not a .keras file, or it is damaged; {_advice(path)}") from None
    if foreign is not None:
        raise ModelError(f"{path}: this model brings code of its own ({foreign}), which is not run; use another model")
    if unknown is not None:
        raise ModelError(f"{path}: Glyphline builds no model with {unknown}; use a model that Glyphline trained")


def probabilities(path: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Load a network and apply it: (n, 28, 28) uint8 images, 0-255, to (n, classes) float32, each row of sum 1.

    The images are normalised as the pipeline's are. Raises ModelError when the file is no network for such images.
    """
    check_model(path)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from glyphline.model import training

    training.make_deterministic(seed=0)  # also imports TensorFlow without its page of messages
    network = _loaded(path)
    expected = (None, *INPUT_SHAPE)
    if network.input_shape != expected:
        raise ModelError(
            f"{path}: this network reads {_shape(network.input_shape)}, and pictures are prepared as "
            f"{_shape(expected)}; use a model that Glyphline trained"
        )
    inputs = normalise(images)
    batches = [network.predict_on_batch(inputs[start : start + BATCH]) for start in range(0, len(inputs), BATCH)]
    outputs: NDArray[Any] = np.concatenate(batches) if isinstance(batches[0], np.ndarray) else np.zeros(0)
    is_probabilities = (
        outputs.ndim == 2
        and outputs.shape[1] > 1
        and bool((outputs >= 0).all())
        and bool((np.abs(outputs.sum(axis=1) - 1) < _SUM_TOLERANCE).all())
    )
    if not is_probabilities:
        raise ModelError(f"{path}: this network does not return probabilities; use a model that Glyphline trained")
    return np.asarray(outputs, np.float32)


def class_names(model: Path, count: int) -> list[str]:
    """The names of a model's `count` classes: those of the data set beside it, or in the working directory.

    Plain numbers where there is no data set of so many classes.
    """
    for root in (model.absolute().parent.parent, Path()):
        try:
            names = json.loads((root / paths.DATASET_CARD).read_text(encoding="utf-8"))["class_names"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if isinstance(names, list) and len(names) == count:
            return [str(name) for name in names]
    return [str(number) for number in range(count)]


def _loaded(path: Path) -> keras.Model:
    import keras

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _check_extent(path)
            return keras.saving.load_model(path, compile=False, safe_mode=True)
    except ModelError:
        raise
    except Exception as error:  # Keras raises what its layers raise
        reason = " ".join(str(error).split()).partition(". ")[0].rstrip(".")[:200]
        raise ModelError(
            f"{path}: Keras cannot load this model ({type(error).__name__}: {reason}); {_advice(path)}"
        ) from None


def _check_extent(path: Path) -> None:
    """Raise ModelError unless the file holds as many weights as its network would take memory for."""
    import h5py
    import keras

    with zipfile.ZipFile(path) as archive, archive.open(_WEIGHTS) as weights:
        config = json.loads(archive.read("config.json"))
        stored = archive.getinfo(_WEIGHTS).file_size
        announced: list[int] = []
        with h5py.File(weights) as file:
            file.visititems(lambda _, item: announced.append(item.nbytes) if isinstance(item, h5py.Dataset) else None)
    # In this scope Keras works out the shapes, and allocates nothing.
    with keras.StatelessScope(initialize_variables=False):
        network = keras.saving.deserialize_keras_object(config | {"compile_config": None}, safe_mode=True)
        parameters = sum(math.prod(variable.shape) for variable in network.variables)
        widest = max(math.prod(tensor.shape[1:]) for layer in network.layers for tensor in _tensors(layer.output))
    if max(parameters, sum(announced)) > stored or widest > _MOST_OUTPUTS:
        raise ModelError(f"{path}: this network is larger than its file can hold; use a model that Glyphline trained")


def _tensors(outputs: Any) -> list[Any]:
    return outputs if isinstance(outputs, list) else [outputs]


def _foreign_code(config: Any) -> Iterator[str]:
    """What in a model's configuration is not Keras' own. Keras' safe mode comes on top of this, not instead."""
    if isinstance(config, dict):
        name, module = config.get("class_name"), config.get("module")
        if name in ("Lambda", "__lambda__"):
            yield "a Lambda layer"
        elif isinstance(module, str) and module.partition(".")[0] not in ("keras", "builtins"):
            yield f"{name} of {module}"[:80]
        for value in config.values():
            yield from _foreign_code(value)
    elif isinstance(config, list):
        for value in config:
            yield from _foreign_code(value)


def _unknown_parts(config: Any) -> Iterator[str]:
    """What in a model's configuration is Keras' own, and nothing that Glyphline makes models of."""
    if isinstance(config, dict):
        name, module = config.get("class_name"), config.get("module")
        if "class_name" in config and not any(module == place and name in names for place, names in _PARTS.items()):
            yield f"{name} of {module}"[:80]
    for value in config.values() if isinstance(config, dict) else config if isinstance(config, list) else ():
        yield from _unknown_parts(value)


def _advice(path: Path) -> str:
    """How to come by the model."""
    variant = path.stem if path.parent.name == paths.MODELS.name and path.stem in _variants() else SUGGESTED
    return f"train {'it' if variant == path.stem else 'one'} with: dvc repro train@{variant}"


def _variants() -> list[str]:
    from glyphline.config import load_params

    try:
        return list(load_params(paths.PARAMS).variants)
    except GlyphlineError:
        return []


def _shape(shape: Any) -> str:
    if not isinstance(shape, tuple) or not all(side is None or isinstance(side, int) for side in shape):
        return "several inputs"
    return " x ".join("any" if side is None else str(side) for side in shape[1:]) + " numbers"
