"""The benchmarks: how they take turns, what they choose by and count, and that a reader can run them."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.arithmetic import training_multiply_adds
from benchmarks.held_out import images_to_choose_by
from benchmarks.processes import in_turns, machine_line
from glyphline import paths
from glyphline.model import networks
from glyphline.model.variant import Variant
from glyphline.stage import machine
from tests.conftest import REPOSITORY, python

BATCH = 2


def test_whoever_comes_first_in_one_round_comes_last_in_the_next(tmp_path: Path) -> None:
    commands = {name: ["sh", "-c", f"printf {name} >> order"] for name in "abc"}
    measured = in_turns(commands, tmp_path, rounds=3)
    assert (tmp_path / "order").read_text(encoding="utf-8") == "abccbaabc"
    assert {name: len(runs) for name, runs in measured.items()} == {"a": 3, "b": 3, "c": 3}


def test_the_machine_is_named_with_the_flags_that_tell_processors_of_one_name_apart() -> None:
    here = machine()
    assert f"{here['processor']} ({here['flags']}), " in machine_line()
    del here["flags"]
    assert "(flags not recorded), " in machine_line(here), "run records of before have none"


@pytest.mark.parametrize(("name", "first"), [("mnist", 5850), ("fashion-mnist", 0)])
def test_no_recipe_is_chosen_by_the_images_of_mnist_that_mnist_5k_tests_on(world: Path, name: str, first: int) -> None:
    positions = np.arange(6000)
    paths.RAW.mkdir(parents=True)
    paths.DATASET_CARD.write_text(json.dumps({"name": name}), encoding="utf-8")
    np.savez(paths.RAW_TRAIN, images=positions, labels=positions % 10)
    chosen, labels = images_to_choose_by()
    assert chosen.tolist() == list(range(first, 6000))
    assert (labels == chosen % 10).all()


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


def cells(line: str) -> list[str]:
    """Of a row of a Markdown table."""
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.long
def test_side_by_side_trains_the_plain_network_and_ours_and_says_how_both_fare() -> None:
    run = python("-m", "benchmarks.side_by_side", "mlp", "--rounds", "1", cwd=REPOSITORY)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[0] == machine_line()
    _, _, compared, _, _, shares = (cells(line) for line in run.stdout.splitlines() if line.startswith("|"))
    theirs, their_seconds, their_accuracy, _, ours, our_seconds, our_accuracy, _, ratio, _ = compared
    assert theirs == ours == "`mlp`"
    for accuracy in (their_accuracy, our_accuracy):
        assert 85 < float(accuracy) <= 100  # per cent of 1,000 test digits
    assert float(ratio.split()[0]) == pytest.approx(float(our_seconds) / float(their_seconds), abs=0.02)
    assert shares[0] == "`mlp`"
    assert 0 < float(shares[-1].rstrip("%")) <= 100
