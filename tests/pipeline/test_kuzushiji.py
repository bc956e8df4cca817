"""Kuzushiji-49 through the whole pipeline.

The files have the official names, keys, dtypes and shapes, but are made here, of printed kana.
"""

import json
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.kuzushiji_stand_in import make
from tests.conftest import load_record
from tests.pipeline.conftest import copy_tree, shrink, start_repository

TRAIN_COUNT, TEST_COUNT = 3000, 600
MIRROR = "stand-ins"


@pytest.mark.long
def test_a_kuzushiji_data_set_works_from_end_to_end(tmp_path: Path) -> None:
    """With two variants, and a record that knows the made files by their digests."""
    dataset = load_record("k49")
    root, mirror = tmp_path / "clone", str(tmp_path / "clone" / MIRROR)
    copy_tree(root)
    shrink(root / "params.yaml", limit=None, variants=("mlp", "pooled"))
    make(root, "k49", TRAIN_COUNT, TEST_COUNT, seed=49)
    with (root / ".gitignore").open("a", encoding="utf-8") as ignored:
        ignored.write(f"/{MIRROR}\n")
    clone = start_repository(root)
    output = clone.dvc("exp", "run", "-S", "dataset=k49", GLYPHLINE_MIRROR=mirror).stdout
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
