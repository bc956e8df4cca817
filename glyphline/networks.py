"""A variant's parameters to a keras.Model, and what that network costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import numpy as np

from glyphline.params import Variant

if TYPE_CHECKING:
    import keras

POOL_SIDE = 2
STEPS_PER_EXECUTION = 20  # steps between returns to Python: a third off an epoch of `mlp`, a tenth off `pooled`


class Layer(TypedDict):
    """One row of the table of layers. `multiply_adds` are those of one image's forward pass."""

    layer: str
    output_shape: str
    parameters: int
    multiply_adds: int


def build(variant: Variant, input_shape: tuple[int, int, int], class_count: int) -> keras.Model:
    """A compiled network: (n, *input_shape) float32 images in 0-1 to (n, class_count) probabilities.

    Besides the training loss, which includes any L2 penalty, it reports accuracy and the plain cross-entropy. The
    initial weights and dropout follow Keras' global seed (training.make_deterministic).
    """
    import keras

    network = keras.Sequential([keras.Input(input_shape, name="image"), *_hidden_layers(variant)], name="network")
    network.add(keras.layers.Dense(class_count, activation="softmax", name="probabilities"))
    network.compile(
        optimizer=keras.optimizers.get(
            {"class_name": variant.optimizer, "config": {"learning_rate": variant.learning_rate}}
        ),
        loss="categorical_crossentropy",
        metrics=["accuracy", "categorical_crossentropy"],
        steps_per_execution=STEPS_PER_EXECUTION,
    )
    return network


def _hidden_layers(variant: Variant) -> list[keras.Layer]:
    from keras import layers, regularizers

    stack: list[keras.Layer] = []
    penalty = regularizers.L2(variant.first_convolution_l2) if variant.first_convolution_l2 else None
    for depth, filters in enumerate(variant.filters, start=1):
        stack.append(
            layers.Conv2D(
                filters,
                variant.kernel_size,
                activation=variant.activation,
                kernel_initializer=variant.initializer,
                kernel_regularizer=penalty if depth == 1 else None,
                bias_regularizer=penalty if depth == 1 else None,
                name=f"convolution_{depth}",
            )
        )
        if variant.pooling == "each" or (variant.pooling == "last" and depth == len(variant.filters)):
            stack.append(layers.MaxPooling2D(POOL_SIDE, name=f"pooling_{depth}"))
    if variant.convolution_dropout:
        stack.append(layers.Dropout(variant.convolution_dropout, name="convolution_dropout"))
    stack.append(layers.Flatten(name="flatten"))
    for depth, units in enumerate(variant.dense, start=1):
        stack.append(
            layers.Dense(
                units,
                activation=variant.activation,
                kernel_initializer=variant.initializer,
                name=f"dense_{depth}",
            )
        )
        if variant.dense_dropout:
            stack.append(layers.Dropout(variant.dense_dropout, name=f"dense_dropout_{depth}"))
    return stack


def layer_table(network: keras.Model) -> list[Layer]:
    """One row a layer, the input first."""
    rows = [Layer(layer="image", output_shape=_shape(network.input_shape), parameters=0, multiply_adds=0)]
    for layer in network.layers:
        rows.append(
            Layer(
                layer=layer.name,
                output_shape=_shape(layer.output.shape),
                parameters=layer.count_params(),
                multiply_adds=_multiply_adds(layer),
            )
        )
    return rows


def _multiply_adds(layer: keras.Layer) -> int:
    """Multiply-adds of one image: each weight of a kernel is used once per position of the output."""
    import keras

    if not isinstance(layer, keras.layers.Dense | keras.layers.Conv2D):
        return 0  # biases, activations, pooling and dropout are not counted, as is usual
    positions = int(np.prod(layer.output.shape[1:-1]))
    return positions * int(np.prod(layer.kernel.shape))


def _shape(shape: tuple[int | None, ...]) -> str:
    return " x ".join(str(side) for side in shape[1:])
