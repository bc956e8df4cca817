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

    Raises GlyphlineError for a network that is no chain of layers, and where batch normalisation follows something else
    than a convolution or a dense layer.
    """
    import keras

    if not isinstance(network, keras.Sequential):
        raise GlyphlineError("the network is no chain of layers; export one that Glyphline trained")
    layers: list[keras.Layer] = []
    weights: list[Weights] = []
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            if not weights or not weights[-1] or layers[-1].activation is not keras.activations.linear:
                raise GlyphlineError(
                    f"{layer.name}: batch normalisation is exported after a convolution or a dense layer without an "
                    "activation, and this one follows something else"
                )
            weights[-1] = _normalised(weights[-1], layer)
        elif not isinstance(layer, keras.layers.Dropout):
            config = layer.get_config() | {"dtype": "float32"} | ({"use_bias": True} if layer.weights else {})
            layers.append(type(layer).from_config(config))
            kernel, *bias = layer.get_weights() or [None]
            weights.append([] if kernel is None else [kernel, *(bias or [np.zeros(kernel.shape[-1], np.float32)])])
    plain = keras.Sequential([keras.Input(network.input_shape[1:], name="image"), *layers], name="network")
    for layer, each in zip(layers, weights, strict=True):
        layer.set_weights(each)
    return plain


def _normalised(kernel_and_bias: Weights, layer: keras.layers.BatchNormalization) -> Weights:
    """Kernel and bias that give what batch normalisation makes of the layer's output."""
    kernel, bias = (array.astype(np.float64) for array in kernel_and_bias)
    gamma, beta, mean, variance = (array.astype(np.float64) for array in layer.get_weights())
    scale = gamma / np.sqrt(variance + layer.epsilon)
    return [(kernel * scale).astype(np.float32), ((bias - mean) * scale + beta).astype(np.float32)]
