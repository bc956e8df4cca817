"""Saved networks: equal bytes for equal networks, and nothing lost."""

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glyphline.data.splits import normalise
from glyphline.model import inference, kernels, networks, training
from glyphline.model.files import save
from glyphline.model.variant import Variant
from tests.conftest import Labelled
from tests.guarantees.test_models import members_of

# No dropout: what is drawn at random is not part of a saved network. A penalty on kernel and bias, because Keras
# saves the two as one shared object, with an id from its place in memory.
VARIANT = Variant(filters=[2], first_convolution_l2=0.01, dense=[6], epochs=1)


@pytest.fixture(scope="module")
def examples(digits: Labelled) -> tuple[Any, Any]:
    images, labels = digits
    return normalise(images[::20]), np.eye(10, dtype=np.float32)[labels[::20]]


@pytest.fixture(scope="module")
def trained(examples: tuple[Any, Any]) -> Any:
    """A network after a few steps, so that its optimiser has a state. Some tests train it further."""
    training.make_deterministic(1234)
    network = networks.build(VARIANT, (28, 28, 1), 10, steps=1)
    for _ in range(3):
        network.train_on_batch(*examples)
    return network


@pytest.fixture
def path(trained: Any, tmp_path: Path) -> Path:
    save(trained, tmp_path / "new" / "folder" / "network.keras")
    return tmp_path / "new" / "folder" / "network.keras"


def test_a_saved_network_predicts_as_it_did_with_every_image_in_its_place(
    trained: Any, digits: Labelled, path: Path
) -> None:
    images = np.tile(digits[0], (2, 1, 1))[:1003]  # more than a batch, and a rest
    assert len(images) > training.evaluation_batch((28, 28, 1))
    probabilities = inference.apply(inference.load(path, (28, 28, 1)), images)
    assert probabilities.shape == (1003, 10)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, trained(normalise(images)).numpy(), rtol=1e-5, atol=1e-6)


def test_training_resumes_from_it_as_if_never_stopped(trained: Any, examples: tuple[Any, Any], path: Path) -> None:
    import keras

    loaded, unfused = kernels.fuse(keras.saving.load_model(path)), keras.saving.load_model(path)
    assert int(loaded.optimizer.iterations) == int(trained.optimizer.iterations) > 0
    fresh = networks.build(VARIANT, (28, 28, 1), 10, steps=1)
    fresh.set_weights(trained.get_weights())  # weights alone: Adam starts anew
    for network in (trained, loaded, unfused, fresh):
        for _ in range(2):
            network.train_on_batch(*examples)
    for continued, resumed in zip(trained.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(continued, resumed)
    for continued, rounded in zip(trained.get_weights(), unfused.get_weights(), strict=True):
        np.testing.assert_allclose(rounded, continued, rtol=1e-5, atol=1e-7)
    assert not np.array_equal(trained.get_weights()[0], fresh.get_weights()[0]), "the optimiser's state matters"


def test_two_networks_with_the_same_history_have_equal_bytes(examples: tuple[Any, Any], tmp_path: Path) -> None:
    import keras

    kept, plain, rewritten = [], [], []
    for name in ("first", "second"):
        keras.backend.clear_session()  # or the second optimiser is called adam_1
        training.make_deterministic(3)
        network = networks.build(VARIANT, (28, 28, 1), 10, steps=1)
        network.train_on_batch(*examples)
        kept.append(network)  # so that the second one does not take the first one's place in memory
        path = tmp_path / f"{name}.keras"
        network.save(path)
        plain.append(members_of(path)["config.json"])
        save(network, path)
        rewritten.append(path.read_bytes())
    assert plain[0] != plain[1], "Keras alone writes the objects' places in memory"
    assert rewritten[0] == rewritten[1]


def test_no_time_and_no_address_is_left_inside(trained: Any, path: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.keras"
    trained.save(plain)
    assert "date_saved" in json.loads(members_of(plain)["metadata.json"])
    members = members_of(path)
    assert members.keys() == members_of(plain).keys()
    with zipfile.ZipFile(path) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert list(json.loads(members["metadata.json"])) == ["keras_version"]
    ids = {int(number) for number in re.findall(rb'"shared_object_id": (\d+)', members["config.json"])}
    assert ids, "the penalty is a shared object"
    assert ids == set(range(len(ids))), "numbered from 0 as they appear"
