"""An ONNX file looked at before ONNX Runtime sees it: nothing in it but the operators that `glyphline export` writes.

ONNX Runtime reads other files for a network, allocates what it asks for, and knows hundreds of operators. Those in
OPERATORS read no file, and the shape of each one's output is known beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, TensorProto

INPUT, OUTPUT = "images", "probabilities"
MOST_OPERATORS = 1_000  # an int8 network has the most: some ten a layer
MOST_OUTPUTS = 1 << 21  # numbers that an operator may make of one image, as of a .keras file

MOST_BESIDE_WEIGHTS = 1 << 20  # bytes; each may become a hundred when it is read
WEIGHTS = (7, 5, 9)  # where onnx.proto has them: ModelProto.graph, GraphProto.initializer, TensorProto.raw_data

Shape = tuple[int, ...]  # of what is made of one image; of a weight
_BYTES = {TensorProto.FLOAT: 4, TensorProto.INT32: 4, TensorProto.INT64: 8, TensorProto.INT8: 1, TensorProto.UINT8: 1}


def widest(content: bytes, image: Shape) -> int:
    """How many numbers any operator of the network makes of an image of this shape, at most.

    Raises ValueError, with what is wrong, for a file that `glyphline export` does not write.
    """
    try:
        if _beside_weights(memoryview(content), WEIGHTS) > MOST_BESIDE_WEIGHTS:
            raise ValueError
        model = ModelProto.FromString(content)
    except Exception:  # DecodeError, of whichever implementation protobuf has here
        raise ValueError("it is no ONNX file, or it is damaged") from None
    graph = model.graph
    if model.functions or model.training_info or any(each.domain for each in model.opset_import):
        raise ValueError("it brings operators of its own")
    if [each.name for each in graph.input] != [INPUT] or [each.name for each in graph.output] != [OUTPUT]:
        raise ValueError(f"it does not make {OUTPUT} of {INPUT}")
    if len(graph.node) > MOST_OPERATORS:
        raise ValueError(f"it has more than {MOST_OPERATORS:,} operators, the most that are read")
    weights = _weights(graph)
    shapes = {INPUT: image}
    for node in graph.node:
        if node.domain or node.overload or node.op_type not in OPERATORS or len(node.output) != 1:
            raise ValueError("it has an operator that is not read")
        known, shape_of = OPERATORS[node.op_type]
        attributes = {each.name: _value(each) for each in node.attribute}
        if not attributes.keys() <= known or any(each is None for each in attributes.values()):
            raise ValueError(f"its {node.op_type} has an attribute that is not read")
        given = [shapes[name] for name in node.input if name in shapes]
        fixed = [weights[name] for name in node.input if name in weights]
        if len(given) + len(fixed) != len(node.input):
            raise ValueError(f"its {node.op_type} has inputs that are not read")
        if node.op_type == "DequantizeLinear" and not given and fixed:
            weights[node.output[0]] = fixed[0]
            continue
        try:
            shape = shape_of(given, fixed, attributes)
        except (ValueError, TypeError, LookupError, ArithmeticError):
            raise ValueError(f"its {node.op_type} does not fit what goes into it") from None
        if min(shape, default=1) < 1 or math.prod(shape) > MOST_OUTPUTS:
            raise ValueError(f"an operator makes of one image no number, or more than the limit of {MOST_OUTPUTS:,}")
        shapes[node.output[0]] = shape
    return max(map(math.prod, shapes.values()))


def _beside_weights(message: memoryview, path: tuple[int, ...]) -> int:
    """How many bytes of a protobuf message are not in the fields that the path leads to; at once when too many.

    https://protobuf.dev/programming-guides/encoding. Raises ValueError or IndexError for what is no such message.
    """
    place = beside = 0
    while place < len(message) and beside <= MOST_BESIDE_WEIGHTS:
        start = place
        key, place = _varint(message, place)
        match key & 7:
            case 0:
                _, place = _varint(message, place)
            case 1 | 5 as fixed:
                place += 8 if fixed == 1 else 4
            case 2:
                length, place = _varint(message, place)
                if key >> 3 == path[0]:
                    inner = message[place : place + length]
                    beside += _beside_weights(inner, path[1:]) - length if path[1:] else -length
                place += length
            case _:
                raise ValueError
        beside += place - start
    return beside


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """The number that begins at a place, and the place after it."""
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
        if shift > 63:
            raise ValueError


def _weights(graph: GraphProto) -> dict[str, TensorProto]:
    """The weights by name, of each of which every byte is in the file."""
    if graph.sparse_initializer:
        raise ValueError("its weights are sparse")
    for weight in graph.initializer:
        size = _BYTES.get(weight.data_type)
        if weight.external_data or weight.data_location != TensorProto.DEFAULT:
            raise ValueError("its weights lie in another file")
        if size is None or min(weight.dims, default=0) < 0 or math.prod(weight.dims) * size != len(weight.raw_data):
            raise ValueError("a weight has another size than its shape says")
    return {weight.name: weight for weight in graph.initializer}


def _value(attribute: AttributeProto) -> Any:
    """The value of an attribute; None for a graph, a tensor, or another type that is not read."""
    match attribute.type:
        case AttributeProto.FLOAT:
            return attribute.f
        case AttributeProto.INT:
            return attribute.i
        case AttributeProto.INTS:
            return list(attribute.ints)
        case AttributeProto.STRING:
            return attribute.s


def _integers(weight: TensorProto) -> list[int]:
    if weight.data_type != TensorProto.INT64:
        raise ValueError
    return [int(value) for value in np.frombuffer(weight.raw_data, np.int64)]


# An operator's output shape, from the shapes of its inputs, its weights and its attributes. Each function raises an
# error where these do not fit together.
Given = list[Shape]
Fixed = list[TensorProto]
Attributes = dict[str, Any]


def _same(given: Given, fixed: Fixed, _: Attributes) -> Shape:
    (shape,) = set(given)
    if any(each.dims for each in fixed):  # more than one number would be repeated
        raise ValueError
    return shape


def _cast(given: Given, fixed: Fixed, _: Attributes) -> Shape:
    (shape,), () = given, fixed
    return shape


def _reshaped(given: Given, fixed: Fixed, _: Attributes) -> Shape:
    (shape,), (target,) = given, fixed
    same, *sides = _integers(target)
    if same != 0 or min(sides) < 1 or math.prod(sides) != math.prod(shape):
        raise ValueError
    return tuple(sides)


def _transposed(given: Given, fixed: Fixed, attributes: Attributes) -> Shape:
    (shape,), () = given, fixed
    if attributes["perm"][0] != 0 or sorted(attributes["perm"]) != list(range(len(shape) + 1)):
        raise ValueError
    return tuple(shape[axis - 1] for axis in attributes["perm"][1:])


def _flattened(given: Given, fixed: Fixed, attributes: Attributes) -> Shape:
    (shape,), () = given, fixed
    if attributes.get("axis", 1) != 1:
        raise ValueError
    return (math.prod(shape),)


def _padded(given: Given, fixed: Fixed, _: Attributes) -> Shape:
    (shape,), (pads,) = given, fixed
    before, after = np.array(_integers(pads)).reshape(2, len(shape) + 1)
    if min(*before, *after) < 0 or before[0] or after[0]:
        raise ValueError
    return tuple(int(side + more) for side, more in zip(shape, (before + after)[1:], strict=True))


def _convolved(given: Given, fixed: Fixed, attributes: Attributes) -> Shape:
    ((channels, *sides),), (kernel, _) = given, fixed
    filters, of_channels, *kernel_sides = kernel.dims
    before, after = np.array(attributes.get("pads", [0] * 4)).reshape(2, 2)
    if of_channels != channels or min(*before, *after) < 0:
        raise ValueError
    lost = [side - 1 - int(more) for side, more in zip(kernel_sides, before + after, strict=True)]
    return (filters, *(side - less for side, less in zip(sides, lost, strict=True)))


def _pooled(given: Given, fixed: Fixed, attributes: Attributes) -> Shape:
    ((channels, *sides),), () = given, fixed
    windows = zip(sides, attributes["kernel_shape"], attributes["strides"], strict=True)
    return (channels, *((side - window) // stride + 1 for side, window, stride in windows))


def _multiplied(given: Given, fixed: Fixed, _: Attributes) -> Shape:
    ((inputs,),), (kernel, _) = given, fixed
    of_inputs, outputs = kernel.dims
    if of_inputs != inputs:
        raise ValueError
    return (outputs,)


# The operators that are read: the attributes of each, and its shape function.
OPERATORS: dict[str, tuple[set[str], Callable[[Given, Fixed, Attributes], Shape]]] = {
    "Cast": ({"to"}, _cast),
    "Conv": ({"pads"}, _convolved),
    "DequantizeLinear": ({"axis"}, _same),
    "Div": (set(), _same),
    "Elu": (set(), _same),
    "Flatten": ({"axis"}, _flattened),
    "Gelu": ({"approximate"}, _same),
    "Gemm": (set(), _multiplied),
    "MaxPool": ({"kernel_shape", "strides"}, _pooled),
    "Mul": (set(), _same),
    "Pad": (set(), _padded),
    "QuantizeLinear": ({"axis"}, _same),
    "Relu": (set(), _same),
    "Reshape": (set(), _reshaped),
    "Sigmoid": (set(), _same),
    "Softmax": ({"axis"}, _same),
    "Tanh": (set(), _same),
    "Transpose": ({"perm"}, _transposed),
}
