"""Keras' own layers and optimizers, computed in fewer passes over memory.

Each function here replaces one method of the objects that it is given, of those alone, by one that computes the same up
to rounding; tests/model/test_kernels.py compares the two. Classes, weights and optimizer state stay Keras' own: a saved
network needs nothing of Glyphline to load. What each function saves is in docs/results.md, measured by
benchmarks/kernels.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def fuse(network: keras.Model) -> keras.Model:
    """The same compiled network, trained in fewer passes. One that was loaded from a file needs it again."""
    import keras

    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            batch_normalization(layer)
    if isinstance(network.optimizer, keras.optimizers.RMSprop):
        rmsprop(network.optimizer)
    return network


def batch_normalization(layer: keras.layers.BatchNormalization) -> None:
    """Replace `call` in training: TensorFlow's fused kernel, where Keras takes mean, variance and output one by one.

    Prediction stays Keras'.
    """
    import keras
    import tensorflow as tf

    def call(inputs: tf.Tensor, training: bool | None = None, mask: None = None) -> tf.Tensor:
        if not training:
            return keras.layers.BatchNormalization.call(layer, inputs, training=False)
        pixels = inputs if inputs.shape.rank == 4 else inputs[:, tf.newaxis, tf.newaxis, :]
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            pixels, layer.gamma.value, layer.beta.value, epsilon=layer.epsilon, is_training=True
        )
        # The kernel divides by one less than the values of a channel, Keras by all of them.
        count = tf.cast(tf.size(inputs) // inputs.shape[-1], variance.dtype)
        for moving, batch in ((layer.moving_mean, mean), (layer.moving_variance, variance * (count - 1) / count)):
            moving.assign(moving * layer.momentum + batch * (1 - layer.momentum))
        return tf.reshape(outputs, tf.shape(inputs))

    layer.call = call


def rmsprop(optimizer: keras.optimizers.RMSprop) -> None:
    """Replace `update_step` of an RMSprop without momentum and not centred: one pass over a variable, not several."""
    import tensorflow as tf

    unused: dict[int, tf.Variable] = {}  # the kernel stores each step here; with momentum=0.0 nothing carries over

    def update_step(gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        position = optimizer._get_variable_index(variable)
        if position not in unused:
            with tf.init_scope():
                unused[position] = tf.Variable(tf.zeros(variable.shape, variable.dtype))
        tf.raw_ops.ResourceApplyRMSProp(
            var=variable.handle,
            ms=optimizer._velocities[position].value.handle,
            mom=unused[position].handle,
            lr=tf.cast(learning_rate, variable.dtype),
            rho=optimizer.rho,
            momentum=0.0,
            epsilon=optimizer.epsilon,
            grad=gradient,
        )

    optimizer.update_step = update_step
