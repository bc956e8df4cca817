"""Images moved about at random, as far as asked and no further."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from glyphline.data.splits import normalise
from glyphline.model.augmentation import augment
from glyphline.model.variant import Augmentation
from tests.conftest import Labelled

pytestmark = pytest.mark.usefixtures("deterministic")


@pytest.fixture(scope="module")
def images(digits: Labelled) -> NDArray[np.float32]:
    return normalise(digits[0][::10])


def moved(images: NDArray[np.float32], seed: tuple[int, int] = (1, 0), **amounts: Any) -> NDArray[np.float32]:
    return np.asarray(augment(images, Augmentation(**amounts), seed))


def blob(x: float, y: float) -> NDArray[np.float32]:
    """500 images of one soft dot at this place, pixels from the upper left corner."""
    across, down = np.meshgrid(np.arange(28), np.arange(28))
    dot = np.exp(-((across - x) ** 2 + (down - y) ** 2) / 8).astype(np.float32)
    return np.repeat(dot[np.newaxis, :, :, np.newaxis], 500, axis=0)


def centres(images: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The centre of mass of each image, x and y."""
    weights = images[..., 0] / images[..., 0].sum(axis=(1, 2), keepdims=True)
    return (weights.sum(axis=1) * np.arange(28)).sum(axis=1), (weights.sum(axis=2) * np.arange(28)).sum(axis=1)


def test_no_amount_at_all_leaves_the_images_as_they_are(images: NDArray[np.float32]) -> None:
    np.testing.assert_allclose(moved(images), images, atol=1e-5)


def test_shape_type_and_range_stay(images: NDArray[np.float32]) -> None:
    after = moved(images, shift=3.0, rotation=30.0, scale=0.2, shear=0.2, flip=True, erase=0.5)
    assert after.shape == images.shape
    assert after.dtype == np.float32
    assert after.min() >= 0
    assert after.max() <= 1


def test_coloured_images_are_moved_in_all_channels_alike_and_their_edges_go_on() -> None:
    paper = np.tile(np.array([0.9, 0.5, 0.2], np.float32), (20, 64, 64, 1))
    np.testing.assert_allclose(moved(paper, shift=20.0, rotation=30.0), paper, atol=1e-6)
    grey = np.repeat(blob(20, 30)[:20], 3, axis=3)
    after = moved(grey, shift=3.0, rotation=30.0)
    np.testing.assert_array_equal(after[..., 0], after[..., 2])
    assert not np.allclose(after, grey, atol=0.01)


def test_the_same_seed_moves_alike_and_another_otherwise(images: NDArray[np.float32]) -> None:
    for amounts in ({"shift": 2.0}, {"flip": True}, {"erase": 0.5}):
        np.testing.assert_array_equal(moved(images, **amounts), moved(images, **amounts))
        for seed in ((2, 0), (1, 1)):
            assert not np.array_equal(moved(images, **amounts), moved(images, seed, **amounts))


def test_a_shift_goes_so_many_pixels_each_way_and_not_further() -> None:
    x, y = centres(moved(blob(13.5, 13.5), shift=2.0))
    for each in (x - 13.5, y - 13.5):
        assert (each.min(), each.max()) == pytest.approx((-2, 2), abs=0.1)
        assert abs(each.mean()) < 0.2
    assert abs(np.corrcoef(x, y)[0, 1]) < 0.2


def test_a_rotation_turns_around_the_centre_so_many_degrees_each_way() -> None:
    x, y = centres(moved(blob(21.5, 13.5), rotation=20.0))
    angles = np.degrees(np.arctan2(y - 13.5, x - 13.5))
    assert (angles.min(), angles.max()) == pytest.approx((-20, 20), abs=0.5)
    np.testing.assert_allclose(np.hypot(x - 13.5, y - 13.5), 8, atol=0.1)


def test_a_scale_brings_nearer_to_the_centre_or_further_away() -> None:
    x, y = centres(moved(blob(21.5, 13.5), scale=0.1))
    assert (x.min() - 13.5, x.max() - 13.5) == pytest.approx((7.2, 8.8), abs=0.1)
    np.testing.assert_allclose(y, 13.5, atol=0.01)


def test_a_shear_leans_the_top_over_and_leaves_the_middle_where_it_is() -> None:
    x, y = centres(moved(blob(13.5, 5.5), shear=0.25))
    assert (x.min() - 13.5, x.max() - 13.5) == pytest.approx((-2, 2), abs=0.1)
    np.testing.assert_allclose(y, 5.5, atol=0.01)
    np.testing.assert_allclose(centres(moved(blob(13.5, 13.5), shear=0.25))[0], 13.5, atol=0.01)


@pytest.mark.parametrize("shape", [(400, 8, 8, 1), (400, 27, 27, 3)])
def test_a_flip_mirrors_half_of_the_images_and_leaves_the_maps_as_they_are(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(1).random(shape, np.float32)
    after, straight = (moved(images, shift=2.0, rotation=5.0, flip=flip) for flip in (True, False))
    mirrored = (after == straight[:, :, ::-1]).all(axis=(1, 2, 3))
    np.testing.assert_array_equal(after[~mirrored], straight[~mirrored])
    assert mirrored.mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("shape", [(400, 8, 8, 3), (400, 27, 27, 1), (100, 128, 128, 3)])
def test_an_erased_square_is_as_large_as_allowed_at_most_anywhere_and_of_the_images_mean(
    shape: tuple[int, ...],
) -> None:
    images = np.random.default_rng(1).random(shape, np.float32)
    after, straight = moved(images, erase=0.5, flip=True), moved(images, flip=True)
    erased = (after != straight).all(axis=3)
    np.testing.assert_array_equal(after[~erased], straight[~erased])
    means = np.broadcast_to(straight.mean(axis=(1, 2), keepdims=True), shape)
    np.testing.assert_allclose(after[erased], means[erased], rtol=1e-5)
    for axis in (1, 2):
        longest = erased.any(axis=axis).sum(axis=1)
        assert 0.4 * shape[1] < longest.max() <= 0.5 * shape[1] + 1
    assert erased.any(axis=0).mean() > 0.9, "each place in some image"
    assert 0 < erased.mean() < 0.25 / 2
