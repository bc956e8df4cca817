"""What computes in fewer passes computes what Keras does."""

import numpy as np
import pytest

from glyphline.model import kernels

pytestmark = pytest.mark.usefixtures("deterministic")


@pytest.mark.parametrize("shape", [(16, 6, 6, 4), (2, 2, 2, 3), (4, 8), (1, 3)])
def test_the_fused_kernel_computes_what_keras_batch_normalization_does(shape: tuple[int, ...]) -> None:
    import keras
    import tensorflow as tf

    inputs = tf.random.stateless_normal(shape, (1, 2), 3.0, 2.0)
    layers = [keras.layers.BatchNormalization(momentum=0.9) for _ in range(2)]
    kernels.batch_normalization(layers[1])
    results = []
    for layer in layers:
        layer.build(shape)
        layer.gamma.assign(np.linspace(0.5, 2, shape[-1]))
        layer.beta.assign(np.linspace(-1, 1, shape[-1]))
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
            loss = tf.reduce_sum(outputs**3)
        gradients = tape.gradient(loss, [inputs, *(variable.value for variable in layer.trainable_variables)])
        after = layer(inputs, training=False)
        results.append([outputs, *gradients, layer.moving_mean, layer.moving_variance, after])
        assert type(layer) is keras.layers.BatchNormalization, "so that a saved network needs nothing of ours"
    for keras_s, ours in zip(*results, strict=True):
        np.testing.assert_allclose(ours, keras_s, rtol=1e-3, atol=2e-3)


def test_the_fused_kernel_moves_weights_as_keras_does() -> None:
    import keras
    import tensorflow as tf

    gradients = [np.random.default_rng(seed).normal(size=(20, 5)).astype(np.float32) for seed in range(2)]
    results = []
    for fuse in (False, True):
        schedule = keras.optimizers.schedules.CosineDecay(0.01, decay_steps=30)
        optimizer = keras.optimizers.RMSprop(schedule, rho=0.8, epsilon=1e-3)
        if fuse:
            kernels.rmsprop(optimizer)
        weights = [keras.Variable(np.linspace(-1, 1, 5), dtype="float32") for _ in gradients]
        for each in zip(*gradients, strict=True):
            optimizer.apply_gradients(zip(map(tf.constant, each), weights, strict=True))
        assert type(optimizer) is keras.optimizers.RMSprop, "so that a saved network needs nothing of ours"
        results.append([each.numpy() for each in [*weights, *optimizer.variables]])
    assert not np.allclose(results[0][0], np.linspace(-1, 1, 5), atol=0.01), "they moved"
    for keras_s, ours in zip(*results, strict=True):
        np.testing.assert_allclose(ours, keras_s, rtol=1e-4, atol=1e-6)
