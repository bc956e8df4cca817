"""An ONNX file looked at before ONNX Runtime sees it: nothing in it but the operators that `glyphline export` writes.

ONNX Runtime reads other files for a network, allocates what a network asks for, and knows hundreds of operators. Those
here read nothing, and make no more of an image than their weights, which are in the file, let them.
"""

from __future__ import annotations

import math

from onnx import AttributeProto, GraphProto, ModelProto, TensorProto

INPUT, OUTPUT = "images", "probabilities"
MOST_OUTPUTS = 1 << 22  # numbers that an operator may make of one image: twice what a network of Keras' may

# The operators that are read and the attributes that each may have. None of them pads, widens or repeats.
OPERATORS = {
    "Cast": {"to"},
    "Conv": set[str](),
    "DequantizeLinear": {"axis"},
    "Div": set[str](),
    "Elu": {"alpha"},
    "Flatten": {"axis"},
    "Gelu": {"approximate"},
    "Gemm": set[str](),
    "MaxPool": {"kernel_shape", "strides"},
    "Mul": set[str](),
    "QuantizeLinear": {"axis"},
    "Relu": set[str](),
    "Reshape": set[str](),
    "Sigmoid": set[str](),
    "Softmax": {"axis"},
    "Tanh": set[str](),
    "Transpose": {"perm"},
}
_BYTES = {TensorProto.FLOAT: 4, TensorProto.INT32: 4, TensorProto.INT64: 8, TensorProto.INT8: 1, TensorProto.UINT8: 1}
_NUMBERS = (AttributeProto.FLOAT, AttributeProto.INT, AttributeProto.INTS, AttributeProto.STRING)


def widest(content: bytes, pixels: int) -> int:
    """How many numbers any operator of the network makes of an image of so many pixels, at most.

    Raises ValueError, with what is wrong, for a file that `glyphline export` does not write.
    """
    try:
        model = ModelProto.FromString(content)
    except Exception:  # DecodeError, of whichever implementation protobuf has here
        raise ValueError("it is no ONNX file, or it is damaged") from None
    graph = model.graph
    if model.functions or model.training_info or any(each.domain for each in model.opset_import):
        raise ValueError("it brings operators of its own")
    if [each.name for each in graph.input] != [INPUT] or [each.name for each in graph.output] != [OUTPUT]:
        raise ValueError(f"it does not make {OUTPUT} of {INPUT}")
    sizes = {INPUT: pixels}  # numbers that one image makes
    weights = _weights(graph)
    for node in graph.node:
        if node.domain or node.op_type not in OPERATORS or len(node.output) != 1 or node.overload:
            raise ValueError("it has an operator that is not read")
        if any(each.type not in _NUMBERS or each.name not in OPERATORS[node.op_type] for each in node.attribute):
            raise ValueError(f"its {node.op_type} has an attribute that is not read")
        shapes = [weights[name] for name in node.input if name in weights]
        given = {sizes[name] for name in node.input if name in sizes}
        if len(node.input) != len(shapes) + sum(name in sizes for name in node.input) or len(given) > 1:
            raise ValueError(f"its {node.op_type} has inputs that are not read")
        if given:
            size = _size(node.op_type, given.pop(), shapes)
            if size > MOST_OUTPUTS:
                raise ValueError(f"it makes more than {MOST_OUTPUTS:,} numbers of one image, the most that are read")
            sizes[node.output[0]] = size
        elif node.op_type == "DequantizeLinear":  # of weights
            weights[node.output[0]] = shapes[0]
        else:
            raise ValueError(f"its {node.op_type} reads no image")
    return max(sizes.values())


def _weights(graph: GraphProto) -> dict[str, tuple[int, ...]]:
    """The shape of each weight, all of whose bytes are in the file."""
    shapes = {}
    if graph.sparse_initializer:
        raise ValueError("its weights are sparse")
    for weight in graph.initializer:
        shape = tuple(weight.dims)
        size = _BYTES.get(weight.data_type)
        if weight.external_data or weight.data_location != TensorProto.DEFAULT:
            raise ValueError("its weights lie in another file")
        if size is None or min(shape, default=0) < 0 or math.prod(shape) * size != len(weight.raw_data):
            raise ValueError("a weight has another size than its shape says")
        shapes[weight.name] = shape
    return shapes


def _size(operator: str, size: int, shapes: list[tuple[int, ...]]) -> int:
    """How many numbers an operator makes of `size`, at most. shapes: of its weights."""
    if operator in ("Conv", "Gemm"):
        dimensions = 4 if operator == "Conv" else 2
        if not shapes or len(shapes[0]) != dimensions or 0 in shapes[0]:
            raise ValueError(f"its {operator} has no weights")
        if operator == "Gemm":
            return shapes[0][1]
        filters, channels = shapes[0][:2]
        return size // channels * filters
    if operator in ("Div", "Mul") and any(shapes):
        raise ValueError(f"its {operator} repeats numbers")
    return size
