"""Kuzushiji-49 and Kuzushiji-MNIST through the whole pipeline.

The files have the official names, keys, dtypes and shapes, but are made here, of printed kana.
"""

import json
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.kuzushiji_stand_in import make
from tests.conftest import load_record
from tests.pipeline.conftest import Clone, copy_tree, shrink, start_repository

pytestmark = pytest.mark.long

TRAIN_COUNT, TEST_COUNT = 3000, 600
MIRROR = "stand-ins"


@pytest.fixture(scope="module")
def kuzushiji_clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone with two variants, which knows the made files by their digests."""
    root = tmp_path_factory.mktemp("kuzushiji")
    copy_tree(root)
    shrink(root / "params.yaml", limit=None, variants=("mlp", "pooled"))
    for name in ("k49", "kmnist"):
        make(root, name, TRAIN_COUNT, TEST_COUNT, seed=49)
    with (root / ".gitignore").open("a", encoding="utf-8") as ignored:
        ignored.write(f"/{MIRROR}\n")
    return start_repository(root)


@pytest.mark.parametrize("name", ["kmnist", "k49"])
def test_a_kuzushiji_data_set_works_from_end_to_end(kuzushiji_clone: Clone, name: str) -> None:
    dataset = load_record(name)
    clone = kuzushiji_clone
    mirror = str(clone.root / MIRROR)
    output = clone.dvc("exp", "run", "-S", f"dataset={name}", GLYPHLINE_MIRROR=mirror).stdout
    assert f"pooled: {dataset.leading_metric.replace('_', ' ')} " in output
    scores = json.loads(clone.read("metrics/test.json"))
    assert list(scores) == ["pooled", "mlp", "tuned"]
    assert {score["n"] for score in scores.values()} == {TEST_COUNT}
    for variant in ("pooled", "mlp"):
        assert scores[variant]["balanced_accuracy"] > 2 / len(dataset.class_names), "no better than chance"

    recalls = pd.read_csv(clone.root / "metrics/per_class.csv")
    assert list(recalls.loc[recalls["variant"] == "mlp", "class"]) == dataset.class_names
    confusion = pd.read_csv(clone.root / "data/evaluation/pooled/confusion.csv", index_col="true")
    assert list(confusion.columns) == list(confusion.index) == dataset.class_names
    assert int(confusion.to_numpy().sum()) == TEST_COUNT
    for picture in ("data/examples.png", "data/balance.png", "pooled/confusion.png", "pooled/errors.png"):
        assert (clone.root / "plots" / picture).is_file()
    assert f" comes first: {dataset.leading_metric.replace('_', ' ')} " in clone.read("report/index.html")
    assert not list(Path(mirror).glob("*/*.partial"))
