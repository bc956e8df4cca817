"""`.keras` files that say when and where they were written, and those that do not."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glyphline.data.splits import normalise, one_hot
from glyphline.model import kernels, networks, training
from glyphline.model.files import canonicalise
from glyphline.model.variant import Variant
from tests.conftest import Labelled

# No dropout: what is drawn at random is not part of a saved network. A penalty on kernel and bias, because Keras
# saves the two as one shared object, with an id from its place in memory.
VARIANT = Variant(filters=[2], first_convolution_l2=0.01, dense=[6], epochs=1)


@pytest.fixture(scope="module")
def examples(digits: Labelled) -> tuple[Any, Any]:
    images, labels = digits
    return normalise(images[::20]), one_hot(labels[::20], 10)


@pytest.fixture(scope="module")
def trained(examples: tuple[Any, Any]) -> Any:
    """A network after a few steps, so that its optimiser has a state. Some tests train it further."""
    training.make_deterministic(1234)
    network = networks.build(VARIANT, (28, 28, 1), 10, steps=1)
    for _ in range(3):
        network.train_on_batch(*examples)
    return network


def save(network: Any, path: Path) -> Path:
    network.save(path)
    canonicalise(path)
    return path


def test_the_rewritten_file_predicts_the_same(trained: Any, examples: tuple[Any, Any], tmp_path: Path) -> None:
    import keras

    loaded = keras.saving.load_model(save(trained, tmp_path / "network.keras"))
    np.testing.assert_array_equal(loaded(examples[0]).numpy(), trained(examples[0]).numpy())


def test_training_resumes_from_it_as_if_it_had_never_stopped(
    trained: Any, examples: tuple[Any, Any], tmp_path: Path
) -> None:
    import keras

    path = save(trained, tmp_path / "network.keras")
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


def test_two_saves_have_equal_bytes(trained: Any, tmp_path: Path) -> None:
    first, second = save(trained, tmp_path / "first.keras"), save(trained, tmp_path / "second.keras")
    assert first.read_bytes() == second.read_bytes()


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
        plain.append(member(path, "config.json"))
        canonicalise(path)
        rewritten.append(path.read_bytes())
    assert plain[0] != plain[1], "Keras alone writes the objects' places in memory"
    assert rewritten[0] == rewritten[1]


def member(path: Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read(name)


def test_rewriting_twice_changes_nothing_more(trained: Any, tmp_path: Path) -> None:
    once = save(trained, tmp_path / "once.keras")
    twice = tmp_path / "twice.keras"
    shutil.copyfile(once, twice)
    canonicalise(twice)
    assert twice.read_bytes() == once.read_bytes()


def test_other_weights_give_other_bytes(trained: Any, examples: tuple[Any, Any], tmp_path: Path) -> None:
    before = save(trained, tmp_path / "before.keras").read_bytes()
    trained.train_on_batch(*examples)
    assert save(trained, tmp_path / "after.keras").read_bytes() != before


def test_no_time_and_no_address_is_left_inside(trained: Any, tmp_path: Path) -> None:
    plain = tmp_path / "plain.keras"
    trained.save(plain)
    assert "date_saved" in json.loads(member(plain, "metadata.json"))
    with zipfile.ZipFile(plain) as archive:
        members = set(archive.namelist())
    canonicalise(plain)
    with zipfile.ZipFile(plain) as archive:
        assert set(archive.namelist()) == members
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert list(json.loads(member(plain, "metadata.json"))) == ["keras_version"]
    ids = object_ids(json.loads(member(plain, "config.json")))
    assert ids, "the penalty is a shared object"
    assert set(ids) == set(range(len(set(ids)))), "numbered from 0 as they appear"


def object_ids(value: Any) -> list[int]:
    if isinstance(value, dict):
        return [
            number
            for key, item in value.items()
            for number in ([item] if key == "shared_object_id" else object_ids(item))
        ]
    return [number for item in value for number in object_ids(item)] if isinstance(value, list) else []


def test_nothing_lies_beside_the_file_afterwards(trained: Any, tmp_path: Path) -> None:
    save(trained, tmp_path / "network.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["network.keras"]
