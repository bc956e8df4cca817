"""A plain network (glyphline.export.plain) to an ONNX file, in float32 or int8."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from glyphline.errors import GlyphlineError
from glyphline.predict.exported import keep_quiet
from glyphline.predict.graph import INPUT, OUTPUT

if TYPE_CHECKING:
    import keras

OPERATORS = 20  # version of ONNX's set of operators: the first with Gelu
CALIBRATION_BATCH = 200  # images
FORMAT = 9  # version of ONNX's file format, of the same release (ONNX 1.15, 2023)


def to_onnx(network: keras.Model) -> bytes:
    """The network as ONNX: images, (n, side, side[, 3]) uint8, to probabilities, (n, classes) float32.

    The same network gives the same bytes. Raises GlyphlineError for a layer that no variant has.
    """
    side, _, channels = network.input_shape[1:]
    shape = ["n", side, side] if channels == 1 else ["n", side, side, channels]
    writer = _Writer()
    pixels = writer.add("Cast", INPUT, to=TensorProto.FLOAT)
    pixels = writer.add("Div", pixels, writer.weight("levels", np.float32(255)))
    if channels == 1:
        pixels = writer.reshape(pixels, (side, side, 1))
    value = _Value(pixels)
    for layer in network.layers:
        value = _layer(writer, layer, value)
    writer.nodes[-1].output[0] = OUTPUT
    graph = helper.make_graph(
        writer.nodes,
        "network",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", network.output_shape[1]])],
        writer.weights,
    )
    return _content(
        helper.make_model(
            graph, producer_name="glyphline", opset_imports=[helper.make_opsetid("", OPERATORS)], ir_version=FORMAT
        )
    )


@dataclass(frozen=True)
class _Value:
    """What a layer makes. channels_first: whether it is (n, channels, height, width), as ONNX's convolutions have it.

    Keras has the channels last.
    """

    name: str
    channels_first: bool = False


class _Writer:
    """The nodes and weights of a graph, in the order in which they are computed."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        output = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def weight(self, name: str, values: np.ndarray | np.generic) -> str:
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values).reshape(np.shape(values)), name))
        return name

    def integers(self, values: Iterable[int]) -> str:
        return self.weight(f"integers_{len(self.nodes)}", np.array([*values], np.int64))

    def reshape(self, pixels: str, shape: tuple[int, ...]) -> str:
        return self.add("Reshape", pixels, self.integers((0, *shape)))

    def weighted(self, operator: str, given: str, layer: keras.Layer, kernel: np.ndarray, **attributes: Any) -> str:
        kernel_name = self.weight(f"{layer.name}_kernel", kernel)
        bias_name = self.weight(f"{layer.name}_bias", layer.get_weights()[1])
        return self.add(operator, given, kernel_name, bias_name, **attributes)

    def first(self, value: _Value) -> str:
        """The value with its channels first."""
        return value.name if value.channels_first else self.add("Transpose", value.name, perm=[0, 3, 1, 2])

    def last(self, value: _Value) -> str:
        """The value as Keras has it."""
        return self.add("Transpose", value.name, perm=[0, 2, 3, 1]) if value.channels_first else value.name


def _layer(writer: _Writer, layer: keras.Layer, value: _Value) -> _Value:
    """Add what a layer computes. value: what goes into it."""
    import keras

    match layer:
        case keras.layers.Reshape():
            value = _Value(writer.reshape(writer.last(value), layer.output.shape[1:]))
        case keras.layers.Permute():
            value = _Value(writer.add("Transpose", writer.last(value), perm=[0, *layer.dims]))
        case keras.layers.Flatten():
            value = _Value(writer.add("Flatten", writer.last(value)))
        case keras.layers.ZeroPadding2D():
            (top, bottom), (left, right) = layer.padding
            pads = writer.integers((0, 0, top, left, 0, 0, bottom, right))
            value = _Value(writer.add("Pad", writer.first(value), pads), channels_first=True)
        case keras.layers.MaxPooling2D() if layer.padding == "valid":
            size = {"kernel_shape": layer.pool_size, "strides": layer.strides}
            value = _Value(writer.add("MaxPool", writer.first(value), **size), channels_first=True)
        case keras.layers.Conv2D() if {*layer.strides, *layer.dilation_rate} == {1}:
            padding = {}
            if layer.padding == "same":
                before = [(side - 1) // 2 for side in layer.kernel_size]
                after = [side - 1 - less for side, less in zip(layer.kernel_size, before, strict=True)]
                padding = {"pads": [*before, *after]}
            kernel = layer.get_weights()[0].transpose(3, 2, 0, 1)
            value = _Value(writer.weighted("Conv", writer.first(value), layer, kernel, **padding), channels_first=True)
        case keras.layers.Dense() if len(layer.input.shape) == 2:
            value = _Value(writer.weighted("Gemm", value.name, layer, layer.get_weights()[0]))
        case keras.layers.Activation():
            pass
        case _:
            raise GlyphlineError(f"{layer.name}: a layer of this kind ({type(layer).__name__}) is not exported")
    return _activated(writer, getattr(layer, "activation", None), value)


def _activated(writer: _Writer, activation: Any, value: _Value) -> _Value:
    match getattr(activation, "__name__", None):
        case None | "linear":
            return value
        case "relu" | "tanh" | "sigmoid" | "elu" as name:
            made = writer.add(name.capitalize(), value.name)
        case "softmax":
            made = writer.add("Softmax", value.name, axis=1 if value.channels_first else -1)
        case "gelu":
            made = writer.add("Gelu", value.name, approximate="none")
        case "silu":
            made = writer.add("Mul", value.name, writer.add("Sigmoid", value.name))
        case name:
            raise GlyphlineError(f"the activation {name} is not exported")
    return _Value(made, value.channels_first)


def to_int8(content: bytes, images: NDArray[np.uint8]) -> bytes:
    """The network in 8-bit integers: weights scaled per channel, layers' outputs by their range on these images.

    content: of to_onnx(). images: training images, as the network takes them. Softmax stays in float32. The same
    network and images give the same bytes.
    """
    keep_quiet()
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
