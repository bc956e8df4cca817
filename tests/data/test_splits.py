"""Normalising, one-hot, subsets and splits."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from glyphline.data.splits import normalise, split, subset
from glyphline.errors import DataError
from tests.conftest import Labelled, refusal


def test_grey_levels_come_to_lie_between_0_and_1() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    normalised = normalise(levels)
    assert normalised.shape == (1, 16, 16, 1)
    assert normalised.dtype == np.float32
    assert (normalised.min(), normalised.max()) == (0.0, 1.0)
    np.testing.assert_array_equal(normalised.ravel(), (np.arange(256) / 255).astype(np.float32))
    np.testing.assert_array_equal(levels.ravel(), np.arange(256))
    assert normalise(levels[:0]).shape == (0, 16, 16, 1)


@pytest.mark.parametrize(
    "images",
    [np.zeros((2, 28, 28), np.float32), np.zeros((28, 28), np.uint8), np.zeros((2, 28, 28, 1), np.uint8)],
)
def test_images_that_were_normalised_or_reshaped_already_are_refused(images: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match=r"expected \(n, height, width\) or \(n, height, width, 3\) uint8, got \("):
        normalise(images)


def test_colours_are_normalised_each_for_itself() -> None:
    images = np.resize(np.arange(256, dtype=np.uint8), (2, 8, 8, 3))
    np.testing.assert_array_equal(normalise(images), (images / 255).astype(np.float32))


def counts(labels: NDArray[np.uint8]) -> Counter[int]:
    return Counter(labels.tolist())


def in_proportion(part: NDArray[np.uint8], whole: NDArray[np.uint8]) -> bool:
    """Whether each class has its share of a part, but for one image."""
    return all(abs(counts(part)[label] - count * len(part) / len(whole)) < 1 for label, count in counts(whole).items())


UNEVEN = np.repeat(np.arange(49, dtype=np.uint8), [10 + 7 * label % 83 for label in range(49)])


def test_unevenly_filled_classes_stay_in_proportion_and_in_order() -> None:
    labels = np.random.default_rng(5).permutation(UNEVEN)
    for part in (*split(labels, 0.2, seed=1), subset(labels, 500, seed=1)):
        assert in_proportion(labels[part], labels)
        assert (np.diff(part) > 0).all(), "not in ascending order"


def test_the_same_seed_divides_the_same_way_and_another_otherwise(digits: Labelled) -> None:
    _, labels = digits
    for first, again, other in zip(split(labels, 0.2, 1), split(labels, 0.2, 1), split(labels, 0.2, 2), strict=True):
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)
    np.testing.assert_array_equal(subset(labels, 100, 1), subset(labels, 100, 1))
    assert not np.array_equal(subset(labels, 100, 1), subset(labels, 100, 2))


@pytest.mark.parametrize("limit", [10, 333, 990, 1000, None])
def test_subset_keeps_as_many_as_asked_for_and_none_twice(digits: Labelled, limit: int | None) -> None:
    _, labels = digits
    kept = subset(labels, limit, seed=1)
    assert len(kept) == (limit or len(labels))
    assert (np.diff(kept) > 0).all(), "none twice, and in ascending order"
    assert in_proportion(labels[kept], labels)


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (1001, "limit: 1,001 training images asked for, and the data set has 1,000"),
        (995, "limit: 995 of 1,000 training images is nearly all of them"),
        (9, "limit: 1,000 images of 10 classes (the rarest has 100) cannot be divided into 9 and 991"),
    ],
)
def test_an_impossible_limit_is_refused_by_key(digits: Labelled, limit: int, words: str) -> None:
    _, labels = digits
    assert refusal(subset, labels, limit, 1).startswith(words)


@pytest.mark.parametrize(
    ("labels", "fraction", "words"),
    [
        ([0, 1] * 50, 0.001, "cannot be divided into 100 and 0"),
        ([0, 1] * 50, 0.999, "cannot be divided into 0 and 100"),
        ([0, 1, 2] * 10, 0.95, "30 images of 3 classes (the rarest has 10) cannot be divided into 2 and 28"),
        ([0] * 50 + [1], 0.5, "(the rarest has 1)"),
    ],
)
def test_an_impossible_split_is_refused_by_key(labels: list[int], fraction: float, words: str) -> None:
    message = refusal(split, np.array(labels, np.uint8), fraction, 1)
    assert message.startswith("preprocess.validation_fraction (or limit): ")
    assert words in message


@settings(max_examples=150)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.floats(0.001, 0.999), st.integers(0, 2**32 - 1))
def test_any_split_is_whole_and_in_proportion_or_refused(classes: list[int], fraction: float, seed: int) -> None:
    labels, held_out = np.array(classes, np.uint8), round(len(classes) * fraction)
    try:
        train, validation = split(labels, fraction, seed)
    except DataError:
        assert held_out == 0 or len(labels) - held_out < len(set(classes)) or min(counts(labels).values()) < 2
    else:
        assert sorted([*train, *validation]) == list(range(len(labels)))
        assert len(validation) == held_out
        if held_out < len(set(classes)):
            assert len(set(labels[validation])) == held_out, "each of another class"
        else:
            assert in_proportion(labels[train], labels)
