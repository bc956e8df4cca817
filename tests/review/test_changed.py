"""glyphline/review/changed.py with a cache that the real DVC filled."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from glyphline import paths
from glyphline.review.changed import Changed, find_changed
from glyphline.review.compare import compare_results
from glyphline.review.pictures import draw
from glyphline.review.results import read_results
from glyphline.review.revision import choose
from tests.review.conftest import LABELS, Scratch, start, wrong

IMAGES = np.random.default_rng(0).integers(0, 256, (len(LABELS), 28, 28), dtype=np.uint8)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Scratch:
    """Two commits of two runs: in the second, image 3 is lost, and 5 and 15 are gained. Only the cache has the data."""
    repository = start(tmp_path_factory.mktemp("changed") / "scratch")
    repository.start_dvc()
    for right in (wrong(5, 15), wrong(3)):
        repository.write_results({"mlp": right})
        repository.lock(IMAGES)
        repository.commit()
    shutil.rmtree(repository.root / "data")
    return repository


@pytest.fixture
def two_runs(history: Scratch, tmp_path: Path) -> Scratch:
    """That history, to do with as one likes."""
    return history.copy(tmp_path / "scratch")


def found(scratch: Scratch) -> list[Changed]:
    """What the two last revisions let one show, or nothing."""
    before, after = choose(scratch.root, None)
    changed = find_changed(scratch.root, compare_results(read_results(before), read_results(after)))
    return [changed] if changed else []


def test_changed_images_come_from_the_cache_with_both_predictions_and_their_probabilities(two_runs: Scratch) -> None:
    (changed,) = found(two_runs)
    lost, gained = changed.flips("mlp")
    assert [(flip.before, flip.after) for flip in lost] == [("3", "4")]
    assert np.array_equal(lost[0].image, IMAGES[3])
    assert lost[0].probabilities == pytest.approx((0.8, 0.8))
    assert [(flip.before, flip.after) for flip in gained] == [("6", "5")] * 2
    assert all(np.array_equal(flip.image, IMAGES[position]) for flip, position in zip(gained, (5, 15), strict=True))


def test_galleries_are_drawn_for_what_changed(two_runs: Scratch) -> None:
    (changed,) = found(two_runs)
    galleries = [picture for section, picture in draw(changed.comparison, changed) if section == "images"]
    assert [picture.alt for picture in galleries] == [
        "mlp: right before, wrong after: 1 test image. The first were taken for 3 and now 4.",
        "mlp: wrong before, right after: 2 test images. The first were taken for 6 and now 5, 6 and now 5.",
    ]


def test_probabilities_of_other_predictions_are_left_out(two_runs: Scratch) -> None:
    two_runs.write_results({"mlp": wrong(3, 4)})  # and dvc.lock as it was
    (changed,) = found(two_runs)
    (lost, _) = changed.flips("mlp")
    assert [(flip.after, flip.probabilities) for flip in lost] == [("5", None)]


def test_without_the_data_there_are_no_images_and_no_error(two_runs: Scratch) -> None:
    shutil.rmtree(two_runs.root / ".dvc/cache")
    assert found(two_runs) == []


def test_test_images_in_the_working_tree_will_do_if_they_are_the_ones(two_runs: Scratch) -> None:
    cached = [path.read_bytes() for path in (two_runs.root / ".dvc/cache").rglob("*") if path.is_file()]
    (content,) = (each for each in cached if each.startswith(b"PK"))  # the .npz file
    shutil.rmtree(two_runs.root / ".dvc/cache")
    (two_runs.root / paths.RAW).mkdir(parents=True)
    (two_runs.root / paths.RAW_TEST).write_bytes(content)
    (changed,) = found(two_runs)
    assert changed.flips("mlp")[0][0].probabilities is None
    (two_runs.root / paths.RAW_TEST).write_bytes(content[:-1] + b"?")
    assert found(two_runs) == []


@pytest.mark.parametrize("digest", ["../../../etc/passwd", "0" * 32, "none"])
def test_a_digest_that_is_none_or_of_nothing_finds_nothing(two_runs: Scratch, digest: str) -> None:
    two_runs.write("dvc.lock", f"stages:\n  evaluate:\n    outs:\n    - {{path: data/raw/test.npz, md5: '{digest}'}}\n")
    two_runs.commit()
    two_runs.commit()
    assert found(two_runs) == []
