"""The images by which recipes are chosen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.held_out import images_to_choose_by
from glyphline import paths


@pytest.mark.parametrize(("name", "first"), [("mnist", 5850), ("fashion-mnist", 0)])
def test_no_recipe_is_chosen_by_the_images_of_mnist_that_mnist_5k_tests_on(world: Path, name: str, first: int) -> None:
    positions = np.arange(6000)
    paths.RAW.mkdir(parents=True)
    paths.DATASET_CARD.write_text(json.dumps({"name": name}), encoding="utf-8")
    np.savez(paths.RAW_TRAIN, images=positions, labels=positions % 10)
    chosen, labels = images_to_choose_by()
    assert chosen.tolist() == list(range(first, 6000))
    assert (labels == chosen % 10).all()
