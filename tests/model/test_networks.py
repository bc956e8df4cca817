"""Networks are what their parameters say, and cost what the table of layers says."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from glyphline.config import load_params
from glyphline.model import networks
from glyphline.model.variant import Variant, choices
from tests.conftest import REPOSITORY

VARIANTS = load_params(REPOSITORY / "params.yaml").variants
IMAGE = (28, 28, 1)
STEPS = 100

# Parameters for ten classes. The references printed those of `pooled` and `adadelta`; the others are by hand. Batch
# normalisation has four for each channel: scale, offset, moving mean and variance.
PARAMETERS = {
    "original": 1_199_882,
    "small": 32 * 10 + 32 * 289 + 64 * (12 * 12 * 32 + 1) + 10 * 65,
    "l2": 1_199_882,
    "small_l2": 32 * 10 + 32 * 289 + 64 * (12 * 12 * 32 + 1) + 10 * 65,
    "pooled": 225_034,
    "adadelta": 1_199_882,
    "adadelta_dropout": 1_199_882,
    "mlp": 512 * 785 + 10 * 513,
    "convnet": 32 * 10 + 64 * 289 + 10 * (5 * 5 * 64 + 1),
    "fast": 32 * (9 * 4 + 4) + 64 * (9 * 32 + 4) + 128 * (9 * 64 + 4) + 10 * (3 * 3 * 128 + 1),
    "best": 96 * (9 * 4 + 4) + 160 * (9 * 96 + 4) + 224 * (9 * 160 + 4) + 320 * (9 * 224 + 4) + 10 * (2 * 2 * 320 + 1),
}

pytestmark = pytest.mark.usefixtures("deterministic")


def build(variant: Variant, class_count: int = 10) -> Any:
    return networks.build(variant, IMAGE, class_count, STEPS)


def names(network: Any) -> list[str]:
    return [layer.name for layer in network.layers]


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_has_as_many_parameters_as_its_layers_make_and_a_table_that_adds_up(name: str) -> None:
    network = build(VARIANTS[name])
    table = networks.layer_table(network)
    assert network.count_params() == sum(row["parameters"] for row in table)
    assert network.count_params() == PARAMETERS.get(name, network.count_params())
    assert [row["layer"] for row in table] == ["image", *names(network)]
    assert (table[0]["output_shape"], table[-1]["output_shape"]) == ("28 x 28 x 1", "10")


def test_multiply_adds_of_pooled_are_those_worked_out_by_hand() -> None:
    table = networks.layer_table(build(VARIANTS["pooled"]))
    assert [(row["layer"], row["output_shape"], row["multiply_adds"]) for row in table] == [
        ("image", "28 x 28 x 1", 0),
        ("convolution_1", "26 x 26 x 32", 26 * 26 * 32 * 9),
        ("pooling_1", "13 x 13 x 32", 0),
        ("convolution_2", "11 x 11 x 64", 11 * 11 * 64 * 9 * 32),
        ("pooling_2", "5 x 5 x 64", 0),
        ("flatten", "1600", 0),
        ("dense_1", "128", 1600 * 128),
        ("probabilities", "10", 128 * 10),
    ]
    assert sum(row["multiply_adds"] for row in table) == 2_631_040


NORMALISED = Variant(filters=[4], dense=[8], batch_normalization=True, epochs=1)
DROPPING = Variant(filters=[2], convolution_dropout=0.25, dense=[3, 4], dense_dropout=0.5, epochs=1)


@pytest.mark.parametrize(
    ("variant", "layers"),
    [
        ("original", "convolution_1 convolution_2 pooling_2 convolution_dropout flatten dense_1 dense_dropout_1"),
        ("small_l2", "convolution_1 convolution_2 pooling_2 convolution_dropout flatten dense_1 dense_dropout_1"),
        ("adadelta", "convolution_1 convolution_2 pooling_2 flatten dense_1"),
        ("mlp", "flatten dense_1"),
        ("convnet", "convolution_1 pooling_1 convolution_2 pooling_2 convolution_dropout flatten"),
        (Variant(epochs=1), "flatten"),
        (
            DROPPING,
            "convolution_1 pooling_1 convolution_dropout flatten dense_1 dense_dropout_1 dense_2 dense_dropout_2",
        ),
        (
            NORMALISED,
            "convolution_1 convolution_1_normalization convolution_1_activation pooling_1 flatten "
            "dense_1 dense_1_normalization dense_1_activation",
        ),
    ],
)
def test_the_layers_are_those_asked_for_in_the_order_of_the_references(variant: str | Variant, layers: str) -> None:
    network = build(variant if isinstance(variant, Variant) else VARIANTS[variant])
    assert names(network) == [*layers.split(), "probabilities"]


def test_dropout_has_the_rate_of_its_place() -> None:
    rates = {layer.name: layer.rate for layer in build(DROPPING).layers if "dropout" in layer.name}
    assert rates == {"convolution_dropout": 0.25, "dense_dropout_1": 0.5, "dense_dropout_2": 0.5}


def test_the_penalty_is_the_strength_times_the_squares_of_kernel_and_bias_of_the_first_convolution_only() -> None:
    assert build(Variant(filters=[4], dense=[3], epochs=1)).losses == []
    network = build(Variant(filters=[4, 4], first_convolution_l2=0.5, dense=[3], epochs=1))
    for layer in network.layers:
        if hasattr(layer, "bias"):
            layer.bias.assign_add(np.ones(layer.bias.shape))
    network(np.ones((1, *IMAGE)))  # which adds what is asked of activations, if anything is
    first = network.get_layer("convolution_1")
    squares = (first.kernel.numpy() ** 2).sum() + (first.bias.numpy() ** 2).sum()
    assert float(sum(network.losses)) == pytest.approx(0.5 * squares, rel=1e-5)


@pytest.mark.parametrize(
    ("pooling", "shapes"),
    [
        ("each", ["26 x 26 x 2", "13 x 13 x 2", "11 x 11 x 3", "5 x 5 x 3"]),
        ("last", ["26 x 26 x 2", "24 x 24 x 3", "12 x 12 x 3"]),
        ("none", ["26 x 26 x 2", "24 x 24 x 3"]),
        ([1], ["26 x 26 x 2", "13 x 13 x 2", "11 x 11 x 3"]),
        ([], ["26 x 26 x 2", "24 x 24 x 3"]),
    ],
)
def test_pooling_halves_where_it_is_asked_to(pooling: str | list[int], shapes: list[str]) -> None:
    variant = Variant.model_validate({"filters": [2, 3], "pooling": pooling, "epochs": 1})
    table = networks.layer_table(build(variant))
    assert [row["output_shape"] for row in table[1 : 1 + len(shapes)]] == shapes
    assert table[1 + len(shapes)]["layer"] == "flatten"


@pytest.mark.parametrize("optimizer", choices("optimizer"))
def test_every_optimizer_of_the_schema_exists_and_takes_the_rate(optimizer: str) -> None:
    variant = Variant.model_validate({"optimizer": optimizer, "learning_rate": 0.25, "epochs": 1})
    network = build(variant)
    assert type(network.optimizer).__name__.lower() == optimizer
    assert float(network.optimizer.learning_rate) == 0.25


@pytest.mark.parametrize(
    ("activation", "initializer"), [*zip(choices("activation"), itertools.cycle(choices("initializer")), strict=False)]
)
def test_activation_and_initializer_are_those_of_every_hidden_layer(activation: str, initializer: str) -> None:
    values = {"activation": activation, "initializer": initializer, "filters": [2], "dense": [3], "epochs": 1}
    *hidden, last = (layer for layer in build(Variant.model_validate(values)).layers if hasattr(layer, "kernel"))
    assert [layer.activation.__name__ for layer in (*hidden, last)] == [activation, activation, "softmax"]
    kinds = [type(layer.kernel_initializer).__name__.lower() for layer in hidden]
    assert kinds == [initializer.replace("_", "")] * 2


@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 32, 3), (128, 128, 3)])
def test_images_of_any_size_and_of_three_channels_are_read(shape: tuple[int, int, int]) -> None:
    variant = Variant(space_to_depth=2, filters=[4], dense=[8], epochs=1)
    network = networks.build(variant, shape, 300, steps=1)
    assert network(np.zeros((2, *shape), np.float32)).shape == (2, 300)
    with pytest.raises(ValueError, match="which does not divide"):
        networks.build(Variant(space_to_depth=5, epochs=1), shape, 300, steps=1)


def test_space_to_depth_makes_a_block_of_pixels_the_channels_of_one() -> None:
    import keras

    network = build(Variant(space_to_depth=2, filters=[3], epochs=1))
    front = keras.Sequential(network.layers[: names(network).index("space_to_depth") + 1])
    image = np.arange(28 * 28, dtype=np.float32).reshape(1, 28, 28, 1)
    blocks = front(image).numpy()
    assert blocks.shape == (1, 14, 14, 4)
    assert blocks[0, 0, 0].tolist() == [0, 1, 28, 29]
    assert blocks[0, 13, 5].tolist() == [*image[0, 26, 10:12, 0], *image[0, 27, 10:12, 0]]
    assert network.get_layer("convolution_1").output.shape == (None, 12, 12, 3)


@pytest.mark.parametrize("side", [8, 13, 128])
def test_padding_keeps_the_size_of_an_image_and_fills_up_the_last_blocks(side: int) -> None:
    variant = Variant(space_to_depth=2, padding="same", filters=[4, 5], pooling=[2], kernel_size=5, epochs=1)
    network = networks.build(variant, (side, side, 3), 10, 1)
    shapes = {row["layer"]: row["output_shape"] for row in networks.layer_table(network)}
    half = math.ceil(side / 2)
    assert shapes["space_to_depth"] == f"{half} x {half} x 12"
    assert shapes["convolution_2"] == f"{half} x {half} x 5"
    assert ("padding" in shapes) == (side == 13)
    assert network.get_layer("convolution_1").kernel.shape == (5, 5, 12, 4)


def test_before_batch_normalization_there_is_neither_bias_nor_activation() -> None:
    first = build(NORMALISED).get_layer("convolution_1")
    assert (first.use_bias, first.activation.__name__) == (False, "linear")


def test_a_cosine_schedule_climbs_then_comes_down_to_nothing_with_the_last_step() -> None:
    variant = Variant(schedule="cosine", warmup=0.2, learning_rate=0.5, epochs=1)
    rate = build(variant).optimizer._learning_rate  # the schedule; the public name is its present value
    values = [float(rate(step)) for step in (0, 10, 20, 60, STEPS)]
    assert values == pytest.approx([0, 0.25, 0.5, 0.25, 0], abs=1e-6)
    straight = build(Variant(schedule="cosine", learning_rate=0.5, epochs=1)).optimizer._learning_rate
    assert [float(straight(step)) for step in (0, 50, STEPS)] == pytest.approx([0.5, 0.25, 0], abs=1e-6)


def test_weight_decay_spares_offsets_and_batch_normalization() -> None:
    import tensorflow as tf

    network = build(NORMALISED.model_copy(update={"optimizer": "sgd", "learning_rate": 1.0, "weight_decay": 0.5}))
    before = {variable.path: variable.numpy() + 1 for variable in network.trainable_variables}
    for variable in network.trainable_variables:
        variable.assign_add(tf.ones_like(variable))
    network.optimizer.build(network.trainable_variables)
    network.optimizer.apply([tf.zeros_like(variable) for variable in network.trainable_variables])
    for variable in network.trainable_variables:
        share = 0.5 if variable.name == "kernel" else 1.0
        np.testing.assert_allclose(variable, share * before[variable.path], rtol=1e-6, err_msg=variable.path)


def test_label_smoothing_spreads_a_share_of_the_label_over_all_classes() -> None:
    labels, probabilities = np.eye(10, dtype=np.float32)[:1], np.full((1, 10), 0.02, np.float32)
    probabilities[0, 0] = 0.82
    loss = float(build(Variant(label_smoothing=0.1, epochs=1)).loss(labels, probabilities))
    assert loss == pytest.approx(-0.91 * math.log(0.82) - 0.09 * math.log(0.02), rel=1e-5)


def test_bfloat16_is_for_the_arithmetic_alone() -> None:
    exact, rough = (
        build(NORMALISED.model_copy(update={"precision": precision})) for precision in ("float32", "bfloat16")
    )
    rough.set_weights(exact.get_weights())
    assert {weights.dtype for weights in rough.weights} == {"float32"}
    assert {layer.compute_dtype for layer in rough.layers} == {"bfloat16", "float32"}
    images = np.random.default_rng(1).random((8, *IMAGE), np.float32)
    assert rough(images).dtype == "float32"
    np.testing.assert_allclose(rough(images), exact(images), atol=0.02)
    assert not np.array_equal(rough(images), exact(images))
