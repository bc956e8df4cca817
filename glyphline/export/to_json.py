"""A plain network (glyphline.export.plain) as JSON, for the JavaScript that the report carries (report/network.js)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

from glyphline.errors import GlyphlineError

if TYPE_CHECKING:
    import keras


def to_json(network: keras.Model) -> dict[str, Any]:
    """The network of images, (side, side, channels) 0-1, to probabilities.

    layers: `kind` and settings of each, in the order of computing. weights: those of all layers in this order,
    little-endian float32 in base64; a layer's kernel, of the shape `kernel`, then its bias, a number for each output.
    Raises GlyphlineError for a layer that no variant has.
    """
    import keras

    layers: list[dict[str, Any]] = []
    weights: list[np.ndarray] = []
    for layer in network.layers:
        described = _described(layer)
        if layer.weights:
            kernel, bias = layer.get_weights()
            described["kernel"] = [*kernel.shape]
            weights += [kernel.ravel(), bias]
        activation = getattr(layer, "activation", None)
        if activation not in (None, keras.activations.linear):
            described["activation"] = activation.__name__
        layers.append(described)
    content = np.concatenate(weights).astype("<f4").tobytes()
    return {
        "image": [*network.input_shape[1:]],
        "layers": layers,
        "weights": base64.b64encode(content).decode(),
    }


def _described(layer: keras.Layer) -> dict[str, Any]:
    import keras

    match layer:
        case keras.layers.Reshape() | keras.layers.Flatten():
            made: dict[str, Any] = {"kind": "reshape", "shape": [*layer.output.shape[1:]]}
        case keras.layers.Permute():
            made = {"kind": "permute", "axes": [axis - 1 for axis in layer.dims]}
        case keras.layers.ZeroPadding2D():
            made = {"kind": "pad", "by": [*layer.padding[0], *layer.padding[1]]}
        case keras.layers.MaxPooling2D() if layer.padding == "valid" and layer.strides == layer.pool_size:
            made = {"kind": "largest", "size": [*layer.pool_size]}
        case keras.layers.Conv2D() if {*layer.strides, *layer.dilation_rate} == {1}:
            made = {"kind": "convolution", "padded": layer.padding == "same"}
        case keras.layers.Dense() if len(layer.input.shape) == 2:
            made = {"kind": "dense"}
        case keras.layers.Activation():
            made = {"kind": "same"}
        case _:
            raise GlyphlineError(f"{layer.name}: a layer of this kind ({type(layer).__name__}) is not exported")
    return made
