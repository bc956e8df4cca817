"""Keras' own layers and optimizers, computed in fewer passes over memory.

Each function here replaces one method of the objects that it is given, of those alone, by one that computes the same up
to rounding; tests/model/test_kernels.py compares the two. Classes, weights and optimizer state stay Keras' own: a saved
network needs nothing of Glyphline to load. What each function saves is in docs/results.md, measured by
benchmarks/kernels.py.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import keras
    import tensorflow as tf

WIDE = 128  # input channels from which wide_convolution is faster than TensorFlow's kernel, in bfloat16


def fuse(network: keras.Sequential) -> keras.Sequential:
    """The same compiled network, trained in fewer passes. One that was loaded from a file needs it again."""
    import keras

    layers = keras.layers
    for layer, following in itertools.pairwise(network.layers):
        if isinstance(layer, layers.Conv2D):
            if layer.compute_dtype == "bfloat16" and layer.kernel.shape[2] >= WIDE:
                wide_convolution(layer)
            relu = layer.use_bias and layer.activation is keras.activations.relu
            if relu and isinstance(following, layers.MaxPooling2D):
                pooled_relu(layer, following)
        elif isinstance(layer, layers.BatchNormalization):
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


def wide_convolution(layer: keras.layers.Conv2D) -> None:
    """Replace `convolution_op`: the gradient of the filter is a matrix product for each of its height x width places.

    With many channels in bfloat16 that is faster than TensorFlow's own kernel, with few it is slower. The output and
    the gradient of the inputs stay TensorFlow's. For convolutions of stride 1 without padding.
    """
    import tensorflow as tf

    def convolve(inputs: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[tf.Tensor]]]:
        def gradients(upstream: tf.Tensor) -> list[tf.Tensor]:
            of_inputs = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.shape(inputs), filter=kernel, out_backprop=upstream, strides=[1] * 4, padding="VALID"
            )
            height, width, channels, filters = kernel.shape
            rows, columns = upstream.shape[1:3]
            of_places = [
                tf.matmul(
                    tf.reshape(inputs[:, y : y + rows, x : x + columns], (-1, channels)),
                    tf.reshape(upstream, (-1, filters)),
                    transpose_a=True,
                )
                for y in range(height)
                for x in range(width)
            ]
            return [of_inputs, tf.reshape(of_places, kernel.shape)]

        return tf.nn.conv2d(inputs, kernel, 1, "VALID"), gradients

    with_gradients = tf.custom_gradient(convolve)
    layer.convolution_op = lambda inputs, kernel: with_gradients(inputs, tf.convert_to_tensor(kernel))


def pooled_relu(convolution: keras.layers.Conv2D, pooling: keras.layers.MaxPooling2D) -> None:
    """Replace both layers' `call`: bias and ReLU come after the maximum, on a quarter of the values.

    Both preserve order, so that the pooling gives what it did: max(relu(x + b)) = relu(max(x) + b).
    """
    import keras
    import tensorflow as tf

    def convolve(inputs: tf.Tensor) -> tf.Tensor:
        return convolution.convolution_op(inputs, convolution.kernel)

    def pool(inputs: tf.Tensor) -> tf.Tensor:
        return tf.nn.relu(tf.nn.bias_add(keras.layers.MaxPooling2D.call(pooling, inputs), convolution.bias))

    convolution.call, pooling.call = convolve, pool


def rmsprop(optimizer: keras.optimizers.RMSprop) -> None:
    """Replace `update_step` of an RMSprop without momentum and not centred: one pass over a variable, not several."""
    import tensorflow as tf

    unused: dict[int, tf.Variable] = {}  # the kernel notes each step as momentum, of which it carries nothing over

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
