"""The share of the machine's arithmetic that a training reaches."""

from __future__ import annotations

import math
from typing import Any

import pytest

from benchmarks.arithmetic import training_multiply_adds
from glyphline.model import networks
from glyphline.model.variant import Variant

BATCH = 2


def multiply_adds(graph: Any) -> int:
    """Of every product and convolution in a graph whose result is used."""
    counted, waiting = {}, [tensor.op for tensor in graph.outputs]
    while waiting:
        operation = waiting.pop()
        if operation.name in counted:
            continue
        waiting += [tensor.op for tensor in operation.inputs]
        inputs, output = [tensor.shape for tensor in operation.inputs], [tensor.shape for tensor in operation.outputs]
        count = 0
        if operation.type == "MatMul":
            inner = inputs[0][0 if operation.get_attr("transpose_a") else 1]
            count = math.prod(output[0]) * inner
        elif operation.type == "Conv2D":
            count = math.prod(output[0]) * math.prod(inputs[1][:3])
        elif operation.type == "Conv2DBackpropFilter":
            count = math.prod(inputs[2]) * math.prod(output[0][:3])
        elif operation.type == "Conv2DBackpropInput":
            count = math.prod(inputs[2]) * math.prod(inputs[1][:3])
        counted[operation.name] = count
    return sum(counted.values())


@pytest.mark.parametrize(
    "layers", [{"dense": [16]}, {"filters": [4, 6], "dense": [8]}, {"space_to_depth": 2, "filters": [4, 6]}], ids=str
)
def test_a_step_of_a_training_multiplies_as_often_as_is_counted(layers: dict[str, Any], deterministic: None) -> None:
    import tensorflow as tf

    network = networks.build(Variant(epochs=1, **layers), (28, 28, 1), 10, steps=1)

    def gradients(images: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = network.compute_loss(y=labels, y_pred=network(images, training=True))
        return tape.gradient(loss, network.trainable_variables)

    given = tf.TensorSpec((BATCH, 28, 28, 1)), tf.TensorSpec((BATCH, 10))
    graph = tf.function(gradients).get_concrete_function(*given).graph
    forward = [row["multiply_adds"] for row in networks.layer_table(network)]
    assert multiply_adds(graph) == BATCH * training_multiply_adds(forward)
