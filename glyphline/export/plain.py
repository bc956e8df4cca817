"""A trained network without what only training needs: the same function in float32, of fewer kinds of layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from glyphline.errors import GlyphlineError

if TYPE_CHECKING:
    import keras


def in_float32(network: keras.Sequential) -> keras.Sequential:
    """The same layers and weights, computed in float32."""
    import keras

    copy = keras.Sequential(
        [
            keras.Input(network.input_shape[1:]),
            *(type(layer).from_config(layer.get_config() | {"dtype": "float32"}) for layer in network.layers),
        ]
    )
    copy.set_weights(network.get_weights())
    return copy


def folded(network: keras.Sequential) -> keras.Sequential:
    """The same function in float32, up to rounding: no dropout, and batch normalisation part of the layer before it.

    Raises GlyphlineError where batch normalisation follows something else than a convolution or a dense layer.
    """
    import keras

    layers: list[keras.Layer] = []
    weights: list[list[np.ndarray]] = []
    for layer in network.layers:
        if isinstance(layer, keras.layers.Dropout):
            continue
        if isinstance(layer, keras.layers.BatchNormalization):
            before = layers[-1] if layers else None
            if not isinstance(before, keras.layers.Conv2D | keras.layers.Dense) or not _is_linear(before):
                raise GlyphlineError(
                    f"{layer.name}: batch normalisation is exported after a convolution or a dense layer without an "
                    "activation, and this one follows something else"
                )
            weights[-1] = _normalised(weights[-1], layer)
            continue
        config = layer.get_config() | {"dtype": "float32"}
        if layer.weights:
            config |= {"use_bias": True}
        layers.append(type(layer).from_config(config))
        kernel_and_bias = layer.get_weights()
        if len(kernel_and_bias) == 1:
            kernel_and_bias.append(np.zeros(kernel_and_bias[0].shape[-1], np.float32))
        weights.append(kernel_and_bias)
    plain = keras.Sequential([keras.Input(network.input_shape[1:], name="image"), *layers], name="network")
    plain.set_weights([array for pair in weights for array in pair])
    return plain


def _is_linear(layer: keras.Layer) -> bool:
    import keras

    return layer.activation is keras.activations.linear


def _normalised(kernel_and_bias: list[np.ndarray], layer: keras.layers.BatchNormalization) -> list[np.ndarray]:
    """Kernel and bias that give what batch normalisation makes of the layer's output."""
    kernel, bias = (array.astype(np.float64) for array in kernel_and_bias)
    gamma, beta, mean, variance = (array.astype(np.float64) for array in layer.get_weights())
    scale = gamma / np.sqrt(variance + layer.epsilon)
    return [(kernel * scale).astype(np.float32), ((bias - mean) * scale + beta).astype(np.float32)]
