"""`.npz` files of our own."""

import hashlib
from pathlib import Path

import numpy as np

from glyphline.data.arrays import save_arrays


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    images = np.arange(2 * 28 * 28, dtype=np.float32).reshape(2, 28, 28)[:, ::-1]
    save_arrays(tmp_path / "saved.npz", images=images, labels=np.array([3, 9], np.uint8))
    with np.load(tmp_path / "saved.npz", allow_pickle=False) as loaded:
        assert loaded.files == ["images", "labels"]
        np.testing.assert_array_equal(loaded["images"], images)
        assert loaded["labels"].tolist() == [3, 9]
        assert loaded["labels"].dtype == np.uint8


def test_the_bytes_are_the_same_on_every_version_of_python(tmp_path: Path) -> None:
    save_arrays(tmp_path / "saved.npz", numbers=np.arange(5, dtype=np.uint8))
    digest = hashlib.sha256((tmp_path / "saved.npz").read_bytes()).hexdigest()
    assert digest == "51eba5ec37f315286d98a714037eae857a67e40b3d289d830fabe2e139e7baea"
