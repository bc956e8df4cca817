"""The records of the published data sets."""

from __future__ import annotations

import re

import pytest

from glyphline.data.records import DATASETS, FASHION_MNIST, K49, KMNIST, MNIST, MNIST_5K, Dataset, PublishedFile

HEX_DIGITS = {"md5": 32, "sha256": 64}

# SHA-256 of the decompressed IDX files, and MD5 of the Kuzushiji files as served, with how many images each holds.
PUBLISHED = {
    "mnist": {
        "train-images-idx3-ubyte.gz": (60_000, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        "train-labels-idx1-ubyte.gz": (60_000, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        "t10k-images-idx3-ubyte.gz": (10_000, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        "t10k-labels-idx1-ubyte.gz": (10_000, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte.gz": (60_000, "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
        "train-labels-idx1-ubyte.gz": (60_000, "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
        "t10k-images-idx3-ubyte.gz": (10_000, "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
        "t10k-labels-idx1-ubyte.gz": (10_000, "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
    },
    "kmnist": {
        "train-images-idx3-ubyte.gz": (60_000, "bdb82020997e1d708af4cf47b453dcf7"),
        "train-labels-idx1-ubyte.gz": (60_000, "e144d726b3acfaa3e44228e80efcd344"),
        "t10k-images-idx3-ubyte.gz": (10_000, "5c965bf0a639b31b8f53240b1b52f4d7"),
        "t10k-labels-idx1-ubyte.gz": (10_000, "7320c461ea6c1c855c0b718fb2a4b134"),
    },
    "k49": {
        "k49-train-imgs.npz": (232_365, "7ac088b20481cf51dcd01ceaab89d821"),
        "k49-train-labels.npz": (232_365, "44a8e1b893f81e63ff38d73cad420f7a"),
        "k49-test-imgs.npz": (38_547, "d352e201d846ce6b94f42c990966f374"),
        "k49-test-labels.npz": (38_547, "4da6f7a62e67a832d5eb1bd85c5ee448"),
    },
}


def files_of(dataset: Dataset) -> list[PublishedFile]:
    return [file for split in (dataset.train, dataset.test) if split for file in (split.images, split.labels)]


def test_the_names_are_those_that_params_yaml_may_give() -> None:
    assert list(DATASETS) == ["mnist-5k", "mnist", "fashion-mnist", "kmnist", "k49"]
    assert all(DATASETS[name].name == name for name in DATASETS)


@pytest.mark.parametrize(
    ("dataset", "count"), [(MNIST_5K, 10), (MNIST, 10), (FASHION_MNIST, 10), (KMNIST, 10), (K49, 49)]
)
def test_every_class_has_a_name_of_its_own(dataset: Dataset, count: int) -> None:
    assert len(dataset.class_names) == len(set(dataset.class_names)) == count
    assert all(dataset.class_names)


@pytest.mark.parametrize("name", PUBLISHED)
def test_files_digests_and_counts_are_the_published_ones(name: str) -> None:
    recorded = {file.name: (file.count, file.digest.split(":")[1]) for file in files_of(DATASETS[name])}
    assert recorded == PUBLISHED[name]


def test_images_and_labels_are_not_swapped() -> None:
    for name in PUBLISHED:
        for split in (DATASETS[name].train, DATASETS[name].test):
            assert split is not None
            assert re.search("images|imgs", split.images.name)
            assert "labels" in split.labels.name
        train, test = DATASETS[name].train, DATASETS[name].test
        assert train is not None
        assert test is not None
        assert "train" in train.images.name
        assert "train" in train.labels.name
        assert re.search("t10k|test", test.images.name)
        assert re.search("t10k|test", test.labels.name)


def test_digests_are_well_formed() -> None:
    for dataset in DATASETS.values():
        for file in files_of(dataset):
            algorithm, digest = file.digest.split(":")
            assert re.fullmatch(rf"[0-9a-f]{{{HEX_DIGITS[algorithm]}}}", digest), file
            assert file.digest_of == ("content" if algorithm == "sha256" else "file"), file


def test_a_published_data_set_has_mirrors_and_the_bundled_one_needs_none() -> None:
    for dataset in DATASETS.values():
        assert bool(dataset.mirrors) == bool(files_of(dataset)) == (dataset is not MNIST_5K)
        assert all(mirror.endswith("/") for mirror in dataset.mirrors), "file names are appended to mirrors"


def test_every_data_set_says_under_which_licence_and_whose_it_is() -> None:
    for dataset in DATASETS.values():
        assert dataset.licence
        assert re.search(r"\b(19|20)\d\d\b", dataset.citation), "a citation has a year"


def test_kuzushiji_49_is_hiragana_in_the_order_of_its_class_map() -> None:
    # k49_classmap.csv goes through the hiragana block in the order of its code points, small and voiced kana left out.
    *hiragana, mark = K49.class_names
    assert hiragana == sorted(hiragana)
    assert hiragana[-1] == "ん"
    assert mark == "ゝ"
    assert all(0x3042 <= ord(name) <= 0x3093 for name in hiragana)
    assert set(KMNIST.class_names) < set(K49.class_names)
