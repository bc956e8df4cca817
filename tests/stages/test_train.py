"""One variant from prepared images to a saved network, its metrics and its history."""

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

from glyphline.data.splits import split
from glyphline.model import inference
from glyphline.model.training import Examples
from stages import preprocess, train
from tests.conftest import REPOSITORY, Labelled, Write, params_in, refusal
from tests.pipeline.conftest import Clone

# Everything that draws at random or is saved as a shared object: dropout of both kinds, and a penalty.
RESTLESS: dict[str, Any] = {"filters": [4, 4], "convolution_dropout": 0.25, "first_convolution_l2": 0.01}
RESTLESS |= {"dense": [8], "dense_dropout": 0.5, "batch_size": 32, "epochs": 2, "early_stopping": 5}
Runs = list[tuple[Path, str]]
WRITTEN = ["data/layers/net.csv", "metrics/history/net.csv", "metrics/train/net.json", "models/net.keras"]


def prepare(folder: Path, digits: Labelled) -> None:
    """Write 150 train and 50 validation digits as preprocess does."""
    images, labels = digits[0][::5], digits[1][::5]
    parts = split(labels, 0.25, seed=1)
    for name, positions in zip(("train", "validation"), parts, strict=True):
        preprocess.save_split(folder / "data/prepared" / name, images, labels, positions, 10)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, digits: Labelled) -> Runs:
    """The stage run twice, on one core and on all: the folder, and all that it printed."""
    processes = []
    cores = psutil.Process().cpu_affinity()
    for number, allowed in enumerate((cores[:1], cores)):
        folder = tmp_path_factory.mktemp(f"run{number}")
        prepare(folder, digits)
        params_in(folder, limit=None, variants={"net": RESTLESS})
        command = (sys.executable, "-m", "stages.train", "net")
        process = Clone(folder).start(*command, PYTHONPATH=str(REPOSITORY), PYTHONHASHSEED=str(number))
        psutil.Process(process.pid).cpu_affinity(allowed)
        processes.append((folder, process))
    finished = [(folder, process.communicate()[0], process.returncode) for folder, process in processes]
    for _, output, code in finished:
        assert code == 0, output
    return [(folder, output) for folder, output, _ in finished]


@pytest.fixture
def write(world: Path, digits: Labelled, write_params: Write) -> Write:
    """Writes params.yaml where the stage can run: the world has the same images as `runs`."""
    prepare(world, digits)
    return write_params


def test_the_same_seed_gives_the_same_bytes_on_any_number_of_cores(runs: Runs) -> None:
    (first, _), (second, _) = runs
    for path in WRITTEN:
        assert (first / path).read_bytes() == (second / path).read_bytes(), path


def test_the_stage_writes_what_dvc_yaml_declares_and_a_record_of_the_run(runs: Runs) -> None:
    folder, _ = runs[0]
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    own = {"params.yaml", "runs/train@net.json", *WRITTEN}
    assert {path for path in found if not path.startswith("data/prepared/")} == own
    assert json.loads((folder / "runs/train@net.json").read_text(encoding="utf-8"))["stage"] == "train@net"


def test_the_stage_prints_a_line_an_epoch_and_nothing_of_tensorflow_s(runs: Runs) -> None:
    for _, output in runs:
        assert [line.split(":")[0] for line in output.splitlines()] == ["epoch 1/2", "epoch 2/2", "train@net"]


def test_the_metrics_are_those_of_the_history_and_the_table_of_layers(runs: Runs) -> None:
    folder, _ = runs[0]
    metrics = json.loads((folder / "metrics/train/net.json").read_text(encoding="utf-8"))
    history = pd.read_csv(folder / "metrics/history/net.csv")
    layers = pd.read_csv(folder / "data/layers/net.csv")
    assert set(metrics) >= {"train", "validation", "best_epoch", "epochs", "parameters", "multiply_adds"}
    assert list(history.columns) == ["epoch", "loss", "accuracy", "validation_loss", "validation_accuracy"]
    assert metrics["epochs"] == len(history) == 2
    saved = history.set_index("epoch").loc[metrics["best_epoch"]]
    assert metrics["validation"] == {"accuracy": saved["validation_accuracy"], "loss": saved["validation_loss"]}
    assert metrics["train"] == {"accuracy": saved["accuracy"], "loss": saved["loss"]}
    assert list(layers.columns) == ["layer", "output_shape", "parameters", "multiply_adds"]
    assert metrics["parameters"] == layers["parameters"].sum()
    assert metrics["parameters"] == 4 * 10 + 4 * 37 + (5 * 5 * 4 * 8 + 8) + (8 * 10 + 10)
    assert metrics["precision"] == "float32"
    assert metrics["multiply_adds"] == 26 * 26 * 9 * 4 + 11 * 11 * 9 * 4 * 4 + 5 * 5 * 4 * 8 + 8 * 10


def test_the_saved_network_is_the_one_that_the_metrics_are_about(runs: Runs) -> None:
    folder, _ = runs[0]
    metrics = json.loads((folder / "metrics/train/net.json").read_text(encoding="utf-8"))
    validation = Examples.load(folder / "data/prepared/validation")
    probabilities = inference.apply(inference.load(folder / "models/net.keras", (28, 28, 1)), validation.images)
    right = probabilities.argmax(axis=1) == validation.labels
    assert metrics["validation"]["accuracy"] == pytest.approx(right.mean(), abs=1e-6)


def test_training_that_goes_astray_is_one_sentence_with_the_key_to_change(world: Path, write: Write) -> None:
    write(variants={"wild": {"dense": [8], "optimizer": "sgd", "learning_rate": 1e38, "epochs": 2}})
    assert refusal(train.main, "wild").startswith("params.yaml: variants.wild.learning_rate: ")
    assert not (world / "models").exists()
    assert not (world / "metrics").exists()


def test_an_unknown_variant_is_one_sentence_with_the_known_ones(world: Path, write_params: Write) -> None:
    write_params()
    assert refusal(train.main, "thick") == "params.yaml: variants.thick: there is no such variant among thin"
    assert not (world / "models").exists()


def test_seeds_train_a_network_each_and_each_is_the_network_of_its_seed(world: Path, write: Write) -> None:
    network, further = world / "models/small.keras", world / "models/seeds/small"
    small = {"dense": [4], "batch_size": 32, "epochs": 1}
    write(seed=8, variants={"small": small})
    train.main("small")
    assert list(further.iterdir()) == []
    of_seed_8 = network.read_bytes()
    write(seed=7, variants={"small": small | {"seeds": 2}})
    train.main("small")
    assert {path.name: path.read_bytes() for path in further.iterdir()} == {"8.keras": of_seed_8}
    assert network.read_bytes() != of_seed_8
    metrics = json.loads((world / "metrics/train/small.json").read_text(encoding="utf-8"))
    assert metrics["seeds"]["n"] == 2
