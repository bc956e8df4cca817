"""A trained network without what only training needs: the same function in float32, of fewer kinds of layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glyphline.errors import GlyphlineError

if TYPE_CHECKING:
    import keras

Weights = list[NDArray[np.float32]]


def in_float32(network: keras.Model) -> keras.Model:
    """The same layers and weights, computed in float32."""
    import keras

    copy = keras.models.clone_model(
        network, clone_function=lambda layer: type(layer).from_config(layer.get_config() | {"dtype": "float32"})
    )
    copy.set_weights(network.get_weights())
    return copy


def folded(network: keras.Model) -> keras.Model:
    """The same function in float32, up to rounding: no dropout, and batch normalisation part of the layer before it.

    Raises GlyphlineError where batch normalisation follows something else than a convolution or a dense layer.
    """
    import keras

    network = in_float32(network)  # whose layers know one input each; those of a network that was loaded may know more
    tensors = {id(network.inputs[0]): keras.Input(network.input_shape[1:], name="image")}
    makers: dict[int, str] = {}  # by the tensor that a layer makes
    weights: dict[str, Weights] = {}
    for layer in network.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        given = [tensors[id(tensor)] for tensor in keras.tree.flatten(layer.input)]
        made = given[0]
        if isinstance(layer, keras.layers.BatchNormalization):
            before = makers.get(id(layer.input))
            if before is None:
                raise GlyphlineError(
                    f"{layer.name}: batch normalisation is exported after a convolution or a dense layer without an "
                    "activation, and this one follows something else"
                )
            weights[before] = _normalised(weights[before], layer)
        elif not isinstance(layer, keras.layers.Dropout):
            config = layer.get_config() | ({"use_bias": True} if layer.weights else {})
            made = type(layer).from_config(config)(given if len(given) > 1 else given[0])
            if layer.weights:
                kernel, *bias = layer.get_weights()
                weights[layer.name] = [kernel, *(bias or [np.zeros(kernel.shape[-1], np.float32)])]
                if layer.activation is keras.activations.linear:
                    makers[id(layer.output)] = layer.name
        tensors[id(layer.output)] = made
    plain = keras.Model(tensors[id(network.inputs[0])], tensors[id(network.outputs[0])], name="network")
    for layer in plain.layers:
        layer.set_weights(weights.get(layer.name, []))
    return plain


def _normalised(kernel_and_bias: Weights, layer: keras.layers.BatchNormalization) -> Weights:
    """Kernel and bias that give what batch normalisation makes of the layer's output."""
    kernel, bias = (array.astype(np.float64) for array in kernel_and_bias)
    gamma, beta, mean, variance = (array.astype(np.float64) for array in layer.get_weights())
    scale = gamma / np.sqrt(variance + layer.epsilon)
    return [(kernel * scale).astype(np.float32), ((bias - mean) * scale + beta).astype(np.float32)]
