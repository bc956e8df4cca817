"""A saved network applied to images, whoever saved it: nothing in its file is run but the layers that Glyphline builds.

Keras' safe mode refuses code in a file. The checks here come before it: they refuse other classes of Keras, which could
read files or take memory, and networks that are larger than their file.
"""

from __future__ import annotations

import functools
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
from glyphline.errors import GlyphlineError, ModelError, printable

if TYPE_CHECKING:
    import keras

_WEIGHTS = "model.weights.h5"
_MEMBERS = ["config.json", "metadata.json", _WEIGHTS]
_MOST_CONFIG_BYTES = 1 << 24  # Keras' largest networks need a hundredth of it
_MOST_OUTPUTS = 1 << 21  # numbers that a layer may make of one image; `original` makes 984,064 of 128x128 pixels
_MOST_LAYERS = 100  # a layer applied often counts as often; Keras builds 300 in most of a minute

_SUM_TOLERANCE = 1e-3


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
        unknown = next(_unknown_parts(config), None)
        layered = {"sequential", "functional", *_known_parts()["keras.layers"]}
        layers = sum(
            max(1, len(part.get("inbound_nodes", ())))
            for part in _parts(config)
            if str(part.get("class_name")).lower() in layered
        )
    except PermissionError as error:
        raise ModelError(f"{path}: the file cannot be read ({error.strerror})") from None
    except Exception:  # for damaged bytes zipfile and json raise a dozen kinds, and deep brackets end recursion
        raise ModelError(f"{path}: this is not a .keras file, or it is damaged; {_advice(path)}") from None
    if unknown is not None:
        raise ModelError(f"{path}: {unknown}")
    if layers > _MOST_LAYERS:
        raise ModelError(
            f"{path}: this network has more than {_MOST_LAYERS} layers, the most that are read; use another model"
        )


def best_trained() -> Path:
    """The network in models/ with the best validation accuracy; of equals the first. Raises ModelError for none."""
    trained = sorted(paths.MODELS.glob("*.keras"))
    if not trained:
        raise ModelError(f"{paths.MODELS}: no network is trained; {_advice(paths.MODELS)}")

    def validation_accuracy(path: Path) -> float:
        try:
            metrics = json.loads(paths.train_metrics(path.stem).read_text(encoding="utf-8"))
            return float(metrics["validation"]["accuracy"])
        except (OSError, ValueError, LookupError, TypeError):
            return -1.0

    return max(trained, key=validation_accuracy)


def probabilities(path: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Load a network and apply it to images: (n, classes) float32, each row of sum 1.

    images: (n, side, side) or (n, side, side, 3) uint8, 0-255, normalised as the pipeline's are, batch by batch.
    Raises ModelError when the file is no network for such images.
    """
    outputs = apply(load(path, (*images.shape[1:], 1)[:3]), images)
    if not ((outputs >= 0).all() and (np.abs(outputs.sum(axis=1) - 1) < _SUM_TOLERANCE).all()):
        raise ModelError(f"{path}: this network does not return probabilities; use a model that Glyphline trained")
    return outputs


def load(path: Path, image_shape: tuple[int, ...]) -> keras.Model:
    """A saved network of (n, *image_shape) float32 images, 0-1, to (n, classes). Raises ModelError for any other."""
    check_model(path)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from glyphline.model import training

    training.make_deterministic(seed=0)  # also imports TensorFlow without its page of messages
    import keras

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _check_extent(path)
            network = keras.saving.load_model(path, compile=False, safe_mode=True)
    except ModelError:
        raise
    except Exception as error:  # Keras raises what its layers raise
        reason = " ".join(str(error).split()).partition(". ")[0].rstrip(".")[:200]
        raise ModelError(
            f"{path}: Keras cannot load this model ({type(error).__name__}: {reason}); {_advice(path)}"
        ) from None
    expected = (None, *image_shape)
    if network.input_shape != expected:
        raise ModelError(
            f"{path}: this network reads {_shape(network.input_shape)}, and pictures are prepared as "
            f"{_shape(expected)}; use a model that Glyphline trained"
        )
    match network.output_shape:
        case (None, int(classes)) if classes > 1:
            return network
    raise ModelError(f"{path}: this network does not return probabilities; use a model that Glyphline trained")


def apply(network: keras.Model, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Images as `probabilities` takes them to what the network makes of them, (n, classes) float32, in batches."""
    from glyphline.data.splits import normalise
    from glyphline.model.training import evaluation_batch

    size = evaluation_batch(network.input_shape[1:])
    starts = range(0, len(images), size)
    return np.concatenate([network.predict_on_batch(normalise(images[start : start + size])) for start in starts])


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
        widest = max(
            math.prod(tensor.shape[1:]) for layer in network.layers for tensor in keras.tree.flatten(layer.output)
        )
    if max(parameters, sum(announced)) > stored or widest > _MOST_OUTPUTS:
        raise ModelError(f"{path}: this network is larger than its file can hold; use a model that Glyphline trained")


@functools.cache
def _known_parts() -> dict[str | None, tuple[str, ...]]:
    """What networks.build() makes models of, in lower case, by the module that Keras writes down."""
    from glyphline.model.variant import choices

    return {
        "keras": ("dtypepolicy", "sequential"),
        "keras.src.models.functional": ("functional",),
        "keras.initializers": (*(name.replace("_", "") for name in choices("initializer")), "ones", "zeros"),
        "keras.layers": (
            *("activation", "batchnormalization", "conv2d", "dense", "dropout", "flatten", "inputlayer"),
            *("maxpooling2d", "permute", "reshape", "zeropadding2d"),
        ),
        "keras.losses": ("categoricalcrossentropy",),
        "keras.optimizers": choices("optimizer"),
        "keras.optimizers.schedules": ("cosinedecay",),
        "keras.regularizers": ("l2",),
        None: ("__keras_tensor__",),
    }


def _parts(config: Any) -> Iterator[dict[str, Any]]:
    """Whatever in a model's configuration Keras would make an object of."""
    if isinstance(config, dict) and ("class_name" in config or "module" in config):
        yield config
    for value in config.values() if isinstance(config, dict) else config if isinstance(config, list) else ():
        yield from _parts(value)


def _unknown_parts(config: Any) -> Iterator[str]:
    """What in a model's configuration Glyphline does not build, each in a sentence. Keras' safe mode comes on top."""
    for part in _parts(config):
        name, module = part.get("class_name"), part.get("module")
        if any(module == place and str(name).lower() in names for place, names in _known_parts().items()):
            continue
        what = printable(f"{name} of {module}"[:80])
        if name in ("Lambda", "__lambda__"):
            yield "this model brings code of its own (a Lambda layer), which is not run; use another model"
        elif module is not None and str(module).partition(".")[0] not in ("keras", "builtins"):
            yield f"this model brings code of its own ({what}), which is not run; use another model"
        yield f"Glyphline builds no model with {what}; use a model that Glyphline trained"


def _advice(path: Path) -> str:
    """How to come by the model."""
    from glyphline.config import load_params

    try:
        params = load_params(paths.PARAMS)
    except GlyphlineError:
        return "name another file with --model"
    names = params.judged()
    here = path.absolute()
    own = [
        name
        for name in names
        if here == paths.model(name).absolute() or here.parent == paths.seed_models(name).absolute()
    ]
    name = own[0] if own else names[0]
    stage = "train_winner" if name in params.searches else "train"
    return f"train {'it' if own else 'one'} with: dvc repro {stage}@{name}"


def _shape(shape: Any) -> str:
    if not isinstance(shape, tuple) or not all(side is None or isinstance(side, int) for side in shape):
        return "several inputs"
    return " x ".join("any" if side is None else str(side) for side in shape[1:]) + " numbers"
