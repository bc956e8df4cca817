"""A plain network (glyphline.export.plain) to an ONNX file, in float32 or int8."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from glyphline.errors import GlyphlineError
from glyphline.predict.graph import INPUT, OUTPUT

if TYPE_CHECKING:
    import keras

OPERATORS = 20  # version of ONNX's set of operators: the first with Gelu
CALIBRATION_BATCH = 200  # images
FORMAT = 9  # version of ONNX's file format, of the same release (ONNX 1.15, 2023)


def to_onnx(network: keras.Sequential) -> bytes:
    """The network as ONNX: images, (n, side, side[, 3]) uint8, to probabilities, (n, classes) float32.

    The same network gives the same bytes. Raises GlyphlineError for a layer that no variant has.
    """
    side, _, channels = network.input_shape[1:]
    writer = _Writer()
    pixels = writer.add("Cast", INPUT, to=TensorProto.FLOAT)
    pixels = writer.add("Div", pixels, writer.weight("levels", np.float32(255)))
    if channels == 1:
        pixels = writer.reshape(pixels, (side, side, 1))
    for layer in network.layers:
        pixels = _layer(writer, layer, pixels)
    writer.nodes[-1].output[0] = OUTPUT
    classes = network.output_shape[1]
    shape = ["n", side, side] if channels == 1 else ["n", side, side, channels]
    graph = helper.make_graph(
        writer.nodes,
        "network",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", classes])],
        writer.weights,
    )
    return _content(
        helper.make_model(
            graph, producer_name="glyphline", opset_imports=[helper.make_opsetid("", OPERATORS)], ir_version=FORMAT
        )
    )


class _Writer:
    """The nodes and weights of a graph, in the order in which they are computed."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []
        self.channels_first = False  # as ONNX's convolutions have them, and Keras' not

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        output = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def weight(self, name: str, values: np.ndarray | np.generic) -> str:
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values).reshape(np.shape(values)), name))
        return name

    def weighted(self, operator: str, given: str, name: str, kernel: np.ndarray, bias: np.ndarray) -> str:
        return self.add(operator, given, self.weight(f"{name}_kernel", kernel), self.weight(f"{name}_bias", bias))

    def turned(self, pixels: str, channels_first: bool) -> str:
        """(n, height, width, channels) pixels to (n, channels, height, width), or back, or as they are."""
        if self.channels_first == channels_first:
            return pixels
        self.channels_first = channels_first
        return self.add("Transpose", pixels, perm=[0, 3, 1, 2] if channels_first else [0, 2, 3, 1])

    def reshape(self, pixels: str, shape: tuple[int, ...]) -> str:
        return self.add("Reshape", pixels, self.weight(f"shape_{len(self.nodes)}", np.array([0, *shape], np.int64)))


def _layer(writer: _Writer, layer: keras.Layer, given: str) -> str:
    """Add what a layer computes."""
    import keras

    match layer:
        case keras.layers.Reshape():
            return writer.reshape(writer.turned(given, channels_first=False), layer.output.shape[1:])
        case keras.layers.Permute():
            return writer.add("Transpose", writer.turned(given, channels_first=False), perm=[0, *layer.dims])
        case keras.layers.Flatten():
            return writer.add("Flatten", writer.turned(given, channels_first=False))
        case keras.layers.MaxPooling2D() if layer.padding == "valid":
            given = writer.turned(given, channels_first=True)
            return writer.add("MaxPool", given, kernel_shape=layer.pool_size, strides=layer.strides)
        case keras.layers.Conv2D() if layer.padding == "valid" and {*layer.strides, *layer.dilation_rate} == {1}:
            kernel, bias = layer.get_weights()
            given = writer.turned(given, channels_first=True)
            given = writer.weighted("Conv", given, layer.name, kernel.transpose(3, 2, 0, 1), bias)
        case keras.layers.Dense() if len(layer.input.shape) == 2:
            given = writer.weighted("Gemm", given, layer.name, *layer.get_weights())
        case keras.layers.Activation():
            pass
        case _:
            raise GlyphlineError(f"{layer.name}: a layer of this kind ({type(layer).__name__}) is not exported")
    return _activation(writer, layer.activation, given)


def _activation(writer: _Writer, activation: object, given: str) -> str:
    match getattr(activation, "__name__", None):
        case "linear":
            return given
        case "relu" | "tanh" | "sigmoid" | "elu" as name:
            return writer.add(name.capitalize(), given)
        case "softmax":
            return writer.add("Softmax", given, axis=1 if writer.channels_first else -1)
        case "gelu":
            return writer.add("Gelu", given, approximate="none")
        case "silu":
            return writer.add("Mul", given, writer.add("Sigmoid", given))
    raise GlyphlineError(f"the activation {activation} is not exported")


def to_int8(content: bytes, images: NDArray[np.uint8]) -> bytes:
    """The network in 8-bit integers: weights per channel, and what lies between its layers as these images show it.

    content: of to_onnx(). images: training images, as the network takes them. Softmax stays in float32. The same
    network and images give the same bytes.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    class Images:
        def __init__(self) -> None:
            self.batches = iter(np.array_split(images, max(1, len(images) // CALIBRATION_BATCH)))

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            batch = next(self.batches, None)
            return None if batch is None else {INPUT: batch}

    with tempfile.TemporaryDirectory() as folder:
        quantised = Path(folder) / "int8.onnx"
        quantize_static(
            ModelProto.FromString(content),
            quantised,
            Images(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Gemm", "MaxPool", "Relu"],
            per_channel=True,
            reduce_range=True,  # 7 bits of weights: with 8, sums overflow on processors without VNNI
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        model = ModelProto.FromString(quantised.read_bytes())
    for weight in model.graph.initializer:  # some come as lists of numbers
        weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight), weight.name))
    return _content(model)


def _content(model: ModelProto) -> bytes:
    checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content
