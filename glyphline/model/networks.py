"""A variant's parameters to a keras.Model, and what that network costs."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Literal, TypedDict

import numpy as np

from glyphline.model import kernels
from glyphline.model.processor import computes_in_bfloat16
from glyphline.model.variant import POOL_SIDE, Variant

if TYPE_CHECKING:
    import keras

BATCH_MOMENTUM = 0.9  # of the moving mean and variance; Keras' 0.99 needs longer runs than ours
# Steps between returns to Python, where an interruption is noticed. 20 take a tenth off an epoch of `pooled` and
# a third off one of `mlp`; the short steps of dense layers gain more from 100.
STEPS_PER_EXECUTION = 20
DENSE_STEPS_PER_EXECUTION = 100


class Layer(TypedDict):
    """One row of the table of layers. `multiply_adds` are those of one image's forward pass."""

    layer: str
    output_shape: str
    parameters: int
    multiply_adds: int


def build(variant: Variant, input_shape: tuple[int, int, int], class_count: int, steps: int) -> keras.Model:
    """A compiled network: (n, *input_shape) float32 images in 0-1 to (n, class_count) float32 probabilities.

    steps: how many batches it will be trained on in all; a learning-rate schedule comes to its end with the last.

    Besides the training loss, which includes any L2 penalty and label smoothing, it reports accuracy and the plain
    cross-entropy. The initial weights and dropout follow Keras' global seed (training.make_deterministic).
    Raises ValueError, with a sentence, where the layers cannot read images of this size.
    """
    import keras

    variant.check_fits(input_shape[0])
    policy = "mixed_bfloat16" if precision(variant) == "bfloat16" else "float32"
    layers = [
        keras.Input(input_shape, name="image"),
        *_front(variant, policy, input_shape),
        *_convolutions(variant, policy),
        keras.layers.Flatten(name="flatten", dtype=policy),
        *_dense_layers(variant, policy),
        keras.layers.Dense(class_count, activation="softmax", name="probabilities", dtype="float32"),
    ]
    network = keras.Sequential(layers, name="network")
    network.compile(
        optimizer=_optimizer(variant, steps),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=variant.label_smoothing),
        metrics=["accuracy", "categorical_crossentropy"],
        steps_per_execution=STEPS_PER_EXECUTION if variant.filters else DENSE_STEPS_PER_EXECUTION,
    )
    return kernels.fuse(network)


def precision(variant: Variant) -> Literal["float32", "bfloat16"]:
    """What a variant's network computes in on this machine."""
    if variant.precision == "auto":
        return "bfloat16" if computes_in_bfloat16() else "float32"
    return variant.precision


def _optimizer(variant: Variant, steps: int) -> keras.optimizers.Optimizer:
    import keras

    rate: float | keras.optimizers.schedules.LearningRateSchedule = variant.learning_rate
    if variant.schedule == "cosine":
        warmup = round(variant.warmup * steps)
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup else rate,
            decay_steps=steps - warmup,
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    config = {"learning_rate": rate} | ({"weight_decay": variant.weight_decay} if variant.weight_decay else {})
    optimizer = keras.optimizers.get({"class_name": variant.optimizer, "config": config})
    if variant.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    return optimizer


def _front(variant: Variant, policy: str, input_shape: tuple[int, int, int]) -> list[keras.Layer]:
    """Space to depth: blocks of pixels become channels, so that the convolutions work on a smaller image."""
    from keras import layers

    side = variant.space_to_depth
    if side == 1:
        return []
    height, width, channels = input_shape
    missing = (-height % side, -width % side)
    padding = layers.ZeroPadding2D(tuple((0, pixels) for pixels in missing), name="padding", dtype=policy)
    height, width = height + missing[0], width + missing[1]
    return [
        *([padding] if any(missing) else []),
        layers.Reshape((height // side, side, width // side, side * channels), name="blocks", dtype=policy),
        layers.Permute((1, 3, 2, 4), name="blocks_together", dtype=policy),
        layers.Reshape((height // side, width // side, side * side * channels), name="space_to_depth", dtype=policy),
    ]


def _convolutions(variant: Variant, policy: str) -> list[keras.Layer]:
    from keras import layers, regularizers

    stack: list[keras.Layer] = []
    penalty = regularizers.L2(variant.first_convolution_l2) if variant.first_convolution_l2 else None
    for depth, filters in enumerate(variant.filters, start=1):
        convolution = functools.partial(
            layers.Conv2D,
            filters,
            variant.kernel_size,
            padding=variant.padding,
            kernel_initializer=variant.initializer,
            kernel_regularizer=penalty if depth == 1 else None,
            bias_regularizer=penalty if depth == 1 else None,
            name=f"convolution_{depth}",
            dtype=policy,
        )
        stack += _activated(convolution, variant, policy)
        if variant.pools_after(depth):
            stack.append(layers.MaxPooling2D(POOL_SIDE, name=f"pooling_{depth}", dtype=policy))
    if variant.convolution_dropout:
        stack.append(layers.Dropout(variant.convolution_dropout, name="convolution_dropout", dtype=policy))
    return stack


def _dense_layers(variant: Variant, policy: str) -> list[keras.Layer]:
    from keras import layers

    stack: list[keras.Layer] = []
    for depth, units in enumerate(variant.dense, start=1):
        dense = functools.partial(
            layers.Dense, units, kernel_initializer=variant.initializer, name=f"dense_{depth}", dtype=policy
        )
        stack += _activated(dense, variant, policy)
        if variant.dense_dropout:
            stack.append(layers.Dropout(variant.dense_dropout, name=f"dense_dropout_{depth}", dtype=policy))
    return stack


def _activated(layer: functools.partial[keras.Layer], variant: Variant, policy: str) -> list[keras.Layer]:
    """The layer with its activation, and batch normalisation between the two where the variant has it."""
    from keras import layers

    if not variant.batch_normalization:
        return [layer(activation=variant.activation)]
    name = layer.keywords["name"]
    return [
        layer(use_bias=False),  # batch normalisation has an offset of its own
        layers.BatchNormalization(momentum=BATCH_MOMENTUM, name=f"{name}_normalization", dtype=policy),
        layers.Activation(variant.activation, name=f"{name}_activation", dtype=policy),
    ]


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
