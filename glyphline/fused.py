"""Keras' own layers and optimizers, computed by TensorFlow's fused kernels.

Only the one object that is given changes, and only how it computes. Its class stays Keras' own, so that a saved network
needs nothing of ours to load.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def batch_normalization(layer: keras.layers.BatchNormalization) -> keras.layers.BatchNormalization:
    """The same layer, trained with one kernel: a quarter off an epoch of `fast`. Prediction is Keras' as well."""
    import tensorflow as tf

    keras_call = layer.call

    def call(inputs: tf.Tensor, training: bool | None = None, mask: None = None) -> tf.Tensor:
        if not training:
            return keras_call(inputs, training=False)
        pixels = inputs if inputs.shape.rank == 4 else inputs[:, tf.newaxis, tf.newaxis, :]
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            pixels, layer.gamma.value, layer.beta.value, epsilon=layer.epsilon, is_training=True
        )
        for moving, batch in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
            moving.assign(moving * layer.momentum + batch * (1 - layer.momentum))
        return tf.reshape(outputs, tf.shape(inputs))

    layer.call = call
    return layer


def adam(optimizer: keras.optimizers.Adam) -> keras.optimizers.Adam:
    """The same Adam (or AdamW), its update one pass over a variable where Keras makes a dozen."""
    import tensorflow as tf

    def update_step(gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        position = optimizer._get_variable_index(variable)
        step = tf.cast(optimizer.iterations.value + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=optimizer._momentums[position].value.handle,
            v=optimizer._velocities[position].value.handle,
            beta1_power=tf.pow(tf.cast(optimizer.beta_1, variable.dtype), step),
            beta2_power=tf.pow(tf.cast(optimizer.beta_2, variable.dtype), step),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=optimizer.beta_1,
            beta2=optimizer.beta_2,
            epsilon=optimizer.epsilon,
            grad=gradient,
        )

    optimizer.update_step = update_step
    return optimizer
