"""An exported network from anywhere: no file but its own is read, nothing else is run, and it takes little memory."""

from __future__ import annotations

import contextlib
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from glyphline.data.records import Pictures
from glyphline.errors import ModelError
from glyphline.export import plain
from glyphline.export.to_onnx import to_int8, to_onnx
from glyphline.model import networks, training
from glyphline.model.variant import Variant
from glyphline.predict import exported
from tests.conftest import Labelled, refusal
from tests.guarantees.conftest import Event
from tests.guarantees.test_models import alarms

pytestmark = pytest.mark.usefixtures("growth")

FLIPPED = 300  # files with a few wrong bytes each


@pytest.fixture(scope="module")
def contents(digits: Labelled) -> dict[str, bytes]:
    """A small network, exported in float32 and in int8."""
    training.make_deterministic(1)
    variant = Variant(filters=[4], padding="same", space_to_depth=3, dense=[8], activation="silu", epochs=1)
    content = to_onnx(plain.folded(networks.build(variant, (28, 28, 1), 10, steps=1)))
    return {"float32": content, "int8": to_int8(content, digits[0][:50])}


def wrote(folder: Path, content: bytes, **changes: Any) -> Path:
    """A folder with this network, described rightly but for the changes."""
    description: dict[str, Any] = {
        "variant": "honest",
        "dataset": "mnist-5k",
        "classes": list("0123456789"),
        "side": 28,
        "channels": 1,
        "pictures": Pictures().model_dump(),
        "centred": None,
        "format": "onnx",
        "precision": "float32",
        "network_digest": exported.digest(content),
        "digest": exported.digest(b""),
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "network.onnx").write_bytes(content)
    (folder / "network.json").write_text(json.dumps(description | changes), encoding="utf-8")
    return folder


def refused(folder: Path) -> str:
    message = refusal(exported.load, folder)
    assert message.startswith(str(folder))
    return message


def weight(model: ModelProto, ending: str) -> TensorProto:
    found: TensorProto = next(each for each in model.graph.initializer if each.name.endswith(ending))
    return found


def replaced(tensor: TensorProto, values: Any) -> None:
    tensor.CopyFrom(numpy_helper.from_array(np.asarray(values), tensor.name))


def node(model: ModelProto, operator: str) -> NodeProto:
    found: NodeProto = next(each for each in model.graph.node if each.op_type == operator)
    return found


def elsewhere(model: ModelProto) -> None:
    kernel = weight(model, "_kernel")
    kernel.ClearField("raw_data")
    kernel.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "secret.bin"), ("offset", "0")):
        kernel.external_data.add(key=key, value=value)


def inserted(operator: str, *inputs: np.ndarray, domain: str = "") -> Callable[[ModelProto], None]:
    """An operator before the first convolution."""

    def insert(model: ModelProto) -> None:
        first = node(model, "Conv")
        names = [f"more_{position}" for position, _ in enumerate(inputs)]
        model.graph.initializer.extend(map(numpy_helper.from_array, inputs, names))
        added = helper.make_node(operator, [first.input[0], *names], ["larger"], domain=domain)
        model.graph.node.insert(list(model.graph.node).index(first), added)
        first.input[0] = "larger"

    return insert


def many_filters(model: ModelProto) -> None:
    kernel, bias = weight(model, "convolution_1_kernel"), weight(model, "convolution_1_bias")
    replaced(kernel, np.zeros((1 << 20, 9, 3, 3), np.float32)[:, :, :1, :1])
    replaced(bias, np.zeros(1 << 20, np.float32))


def lying(*dims: int) -> Callable[[ModelProto], None]:
    def lie(model: ModelProto) -> None:
        del weight(model, "_kernel").dims[:]
        weight(model, "_kernel").dims.extend(dims)

    return lie


def brings_a_function(model: ModelProto) -> None:
    opset = [helper.make_opsetid("", 20)]
    model.functions.append(helper.make_function("own", "Relu", ["x"], ["y"], [], opset))


def has_a_graph(model: ModelProto) -> None:
    node(model, "Flatten").attribute.append(helper.make_attribute("axis", model.graph))


GRAPHS: dict[str, Callable[[ModelProto], Any]] = {
    "weights in another file": elsewhere,
    "a function of its own": brings_a_function,
    "an operator of another domain": inserted("Relu", domain="com.example"),
    "an operator that is not read": inserted("Tile", np.array([1, 1, 1 << 20, 1])),
    "a product that repeats": inserted("Mul", np.zeros((1 << 20, 1, 1, 1), np.float32)),
    "padding of gigabytes": lambda model: replaced(
        second_input(model, "Pad"), np.array([0, 0, 0, 0, 0, 0, 40_000, 40_000])
    ),
    "padding in the wrong places": lambda model: replaced(second_input(model, "Pad"), np.array([9, 0, 0, 0, -9])),
    "a convolution that pads": lambda model: node(model, "Conv").attribute[0].ints.__setitem__(0, 1 << 40),
    "a convolution that widens": many_filters,
    "another shape": lambda model: replaced(second_input(model, "Reshape"), np.array([0, 1 << 40])),
    "weights of petabytes": lying(1 << 30, 1 << 30),
    "weights of no size": lying(1 << 62, 4, 0),
    "weights of a negative size": lying(-1, -784),
    "a graph in an attribute": has_a_graph,
    "another output": lambda model: model.graph.output[0].__setattr__("name", "flatten"),
    "fewer classes": lambda model: replaced(weight(model, "probabilities_bias"), np.zeros(9, np.float32)),
    "weights that are no numbers": lambda model: replaced(
        weight(model, "probabilities_bias"), np.full(10, np.nan, np.float32)
    ),
    "many operators": lambda model: model.graph.node.extend([node(model, "Softmax")] * 1000),
    "no operator": lambda model: model.graph.ClearField("node"),
}


def second_input(model: ModelProto, operator: str) -> TensorProto:
    return weight(model, node(model, operator).input[1])


@pytest.mark.parametrize("attack", GRAPHS)
def test_an_onnx_file_of_anything_else_is_refused(
    attack: str, contents: dict[str, bytes], tmp_path: Path, audited: list[Event]
) -> None:
    model = ModelProto.FromString(contents["float32"])
    GRAPHS[attack](model)
    folder = wrote(tmp_path / "wrong", model.SerializeToString())
    (folder / "secret.bin").write_bytes(bytes(10**6))
    audited.clear()
    refused(folder)
    assert alarms(audited) == []


@pytest.mark.parametrize("field", [b"\x0a", b"\x2a"], ids=["operators", "weights"])
def test_a_file_that_becomes_gigabytes_when_it_is_read_is_refused(field: bytes, tmp_path: Path) -> None:
    """A field of two bytes is an empty message: an operator, say, of which there are 4 million."""
    content = (field + b"\0") * 2**22
    graph = b"\x3a" + bytes([len(content) >> shift & 127 | 128 for shift in (0, 7, 14, 21)] + [len(content) >> 28])
    assert "it is no ONNX file" in refused(wrote(tmp_path / "wrong", graph + content))


DESCRIPTIONS: dict[str, Callable[[Path], object]] = {
    "no description": lambda folder: (folder / "network.json").unlink(),
    "no JSON": lambda folder: (folder / "network.json").write_text("{"),
    "brackets": lambda folder: (folder / "network.json").write_text("[" * 100_000),
    "a description of gigabytes": lambda folder: os.truncate(folder / "network.json", 1 << 32),
    "a pipe": lambda folder: os.mkfifo(moved(folder, "away")),
    "a network of gigabytes": lambda folder: os.truncate(folder / "network.onnx", 1 << 36),
    "a folder": lambda folder: moved(folder, "away").mkdir(),
    "no network": lambda folder: (folder / "network.onnx").unlink(),
    "the network of another": lambda folder: (folder / "network.onnx").write_bytes(b"another"),
    "no folder": lambda folder: folder.rename(folder.with_name("moved")),
    "fewer classes": lambda folder: rewrite(folder, classes=["a", "b"]),
    "a larger image": lambda folder: rewrite(folder, side=128),
    "an image of gigabytes": lambda folder: rewrite(folder, side=1 << 40),
    "three channels": lambda folder: rewrite(folder, channels=3),
    "another format": lambda folder: rewrite(folder, format="pickle"),
    "LiteRT": lambda folder: rewrite(moved(folder, "network.tflite").parent, format="litert"),
    "more keys": lambda folder: rewrite(folder, **{"\x1b[31m\n": 1}),
    "a name of other characters": lambda folder: rewrite(folder, variant="\x1b[31m\n", channels=3),
}


def rewrite(folder: Path, **changes: Any) -> Path:
    content = next(path for path in folder.glob("network.*") if path.suffix != ".json").read_bytes()
    return wrote(folder, content, **changes)


def moved(folder: Path, name: str) -> Path:
    """Where the network was."""
    (folder / "network.onnx").rename(folder / name)
    return folder / "network.onnx"


@pytest.mark.parametrize("attack", DESCRIPTIONS)
def test_a_folder_of_anything_else_is_refused(attack: str, contents: dict[str, bytes], tmp_path: Path) -> None:
    folder = wrote(tmp_path / "wrong", contents["float32"])
    DESCRIPTIONS[attack](folder)
    assert "\x1b" not in refused(folder)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_wrong_bytes_are_refused_or_still_give_probabilities(
    precision: str, contents: dict[str, bytes], tmp_path: Path
) -> None:
    """Not only in weights: half of the changes are where there are few of those, at the beginning and at the end."""
    folder, chance = wrote(tmp_path / "honest", contents[precision]), random.Random(1)
    assert exported.load(folder).probabilities(np.zeros((2, 28, 28), np.uint8)).shape == (2, 10)
    length = len(contents[precision])
    taken = 0
    for _ in range(FLIPPED):
        wrong = bytearray(contents[precision])
        for _ in range(chance.randint(1, 4)):
            place = (
                chance.randrange(length) if chance.random() < 0.5 else chance.choice((1, -1)) * chance.randrange(2000)
            )
            wrong[place] = chance.randrange(256)
        with contextlib.suppress(ModelError):
            exported.load(wrote(folder, bytes(wrong)))
            taken += 1
    assert 0 < taken < FLIPPED
