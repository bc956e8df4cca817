"""Training images to the train and validation splits that networks are trained and chosen on."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages import preprocess
from tests.conftest import Labelled, Write

PREPARED = Path("data/prepared")


@pytest.fixture
def raw(world: Path, digits: Labelled) -> Labelled:
    """1,000 digits in data/raw. No test images are needed."""
    images, labels = digits
    (world / "data/raw").mkdir(parents=True)
    np.savez(world / "data/raw/train.npz", images=images, labels=labels)
    card = {"class_names": [str(digit) for digit in range(10)]}
    (world / "data/raw/dataset.json").write_text(json.dumps(card), encoding="utf-8")
    return digits


def prepared(name: str) -> tuple[Any, Any]:
    return np.load(PREPARED / name / "images.npy"), np.load(PREPARED / name / "labels.npy")


def as_rows(images: Any, labels: Any) -> list[bytes]:
    """Each image with its label, for counting."""
    return sorted(image.tobytes() + bytes([label]) for image, label in zip(images, labels, strict=True))


def test_images_stay_bytes_classes_are_counted_and_nothing_of_a_larger_limit_is_left(
    raw: Labelled, write_params: Write
) -> None:
    for limit in (400, 200):
        write_params(limit=limit, preprocess={"validation_fraction": 0.25})
        preprocess.main()
    for name, count in (("train", 150), ("validation", 50)):
        images, labels = prepared(name)
        assert images.shape == (count, 28, 28)
        assert labels.shape == (count,)
        assert images.dtype == labels.dtype == np.uint8
        assert (images.min(), images.max()) == (0, 255)
        assert np.load(PREPARED / name / "classes.npy").tolist() == np.bincount(labels).tolist() == [count / 10] * 10


@pytest.mark.parametrize("chunk", [1, 7, 10_000])
def test_every_image_is_in_one_split_with_its_label(
    raw: Labelled, write_params: Write, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(preprocess, "CHUNK", chunk)
    write_params(limit=None, preprocess={"validation_fraction": 0.1})
    preprocess.main()
    found: list[bytes] = []
    for name in ("train", "validation"):
        images, labels = prepared(name)
        found += as_rows(images, labels)
    assert sorted(found) == as_rows(*raw)


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(raw: Labelled, write_params: Write) -> None:
    written = []
    for seed in (1, 1, 2):
        write_params(seed=seed)
        preprocess.main()
        written.append([path.read_bytes() for path in sorted(PREPARED.glob("*/*.npy"))])
    assert len(written[0]) == 6
    assert written[0] == written[1]
    assert written[0][1] != written[2][1]
