"""What a rebuild proves, told from its files: here the committed ones are falsified, and the true ones the rebuild."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from glyphline.review.proof import compare, to_markdown
from tests.pipeline.conftest import Clone, copy_tree, start_repository

Falsify = Callable[[Path], None]

TEST_METRICS, PREDICTIONS = "metrics/test.json", "metrics/predictions.csv"


@pytest.fixture(scope="module")
def true(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    root = tmp_path_factory.mktemp("true")
    copy_tree(root)
    return start_repository(root)


@pytest.fixture
def clone(true: Clone, tmp_path: Path) -> Clone:
    return Clone(shutil.copytree(true.root, tmp_path / "clone"))


def rebuild_after(clone: Clone, *paths: str) -> None:
    """Commit the working tree, falsified as it is; then put the true files back, as a rebuild would."""
    clone.commit("Falsify")
    clone.git("checkout", "HEAD~1", "--", *paths)
    clone.git("reset", "--quiet")


def edit(path: Path, change: Callable[[Any], None]) -> None:
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def spoil(root: Path, variant: str, images: int) -> None:
    """Make a variant wrong about so many more images, in the predictions and in the accuracy alike."""
    table = pd.read_csv(root / PREDICTIONS)
    right = table.index[table[variant] == table["label"]][:images]
    table.loc[right, variant] = (table.loc[right, "label"] + 1) % 10
    table.to_csv(root / PREDICTIONS, index=False)

    def lower(metrics: Any) -> None:
        metrics[variant]["accuracy"] = round(float((table[variant] == table["label"]).mean()), 6)

    edit(root / TEST_METRICS, lower)


def test_a_rebuild_that_gives_every_byte_proves_the_commit(clone: Clone) -> None:
    proof = compare(clone.root)
    assert proof.holds
    assert proof.changed == []
    assert to_markdown(proof) == (
        f"**Proven to the byte:** a rebuild of {proof.commit} from nothing gives the same dvc.lock and metrics/.\n"
    )


def test_a_difference_within_noise_holds_and_is_shown(clone: Clone) -> None:
    spoil(clone.root, "mlp", images=3)
    edit(clone.root / TEST_METRICS, lambda metrics: metrics["mlp"].update(loss=1.2 * metrics["mlp"]["loss"]))
    rebuild_after(clone, TEST_METRICS, PREDICTIONS)
    proof = compare(clone.root)
    assert proof.holds, proof.objections
    assert proof.changed == [PREDICTIONS, TEST_METRICS]
    page = to_markdown(proof)
    assert page.startswith("**Proven within noise, not to the byte:**")
    assert "| `metrics/test.json` | `mlp.accuracy` | 0.9" in page
    assert "small.accuracy" not in page, "what is the same is left out"


def test_a_difference_beyond_noise_does_not_hold(clone: Clone) -> None:
    before = json.loads((clone.root / TEST_METRICS).read_text())["mlp"]["accuracy"]
    spoil(clone.root, "mlp", images=60)
    rebuild_after(clone, TEST_METRICS, PREDICTIONS)
    proof = compare(clone.root)
    values = f"{round(before - 0.06, 6)} as committed and {before} as rebuilt: better, beyond noise"
    assert f"metrics/test.json: mlp: accuracy is {values}" in proof.objections
    assert to_markdown(proof).startswith("**Not proven:**")


def test_another_winner_of_the_search_is_told_and_not_compared(clone: Clone) -> None:
    root = clone.root
    (root / "metrics/search").mkdir(exist_ok=True)
    for trial, like in ((2, "small"), (5, "mlp")):  # the committed winner, and that of the rebuild
        winner = {"trial": trial, "validation_accuracy": 0.97 + trial / 1000}
        (root / "metrics/search/winner.json").write_text(json.dumps(winner))
        shutil.copy(root / f"metrics/train/{like}.json", root / "metrics/train/tuned.json")
        metrics = json.loads((root / TEST_METRICS).read_text(encoding="utf-8"))
        (root / TEST_METRICS).write_text(json.dumps(metrics | {"tuned": metrics[like]}), encoding="utf-8")
        table = pd.read_csv(root / PREDICTIONS)
        table.assign(tuned=table[like]).to_csv(root / PREDICTIONS, index=False)
        if trial == 2:
            clone.commit("The committed winner")
    proof = compare(root)
    assert proof.objections == []
    assert "The search found another winner, so tuned is another network" in to_markdown(proof)
    edit(root / "metrics/search/winner.json", lambda winner: winner.update(validation_accuracy=0.7))
    assert compare(root).objections == [
        "metrics/search/winner.json: validation_accuracy is 0.972 as committed and 0.7 as rebuilt"
    ]


def falsify_accuracy(root: Path) -> None:
    edit(root / TEST_METRICS, lambda metrics: metrics["mlp"].update(accuracy=0.999))


def falsify_size(root: Path) -> None:
    edit(root / "metrics/train/mlp.json", lambda metrics: metrics.update(parameters=1))


def falsify_loss(root: Path) -> None:
    edit(root / TEST_METRICS, lambda metrics: metrics["mlp"].update(loss=2.5 * metrics["mlp"]["loss"]))


def falsify_training(root: Path) -> None:
    edit(root / "metrics/train/mlp.json", lambda metrics: metrics["validation"].update(accuracy=0.999))


def falsify_data(root: Path, path: str = "data/prepared") -> None:
    lock = (root / "dvc.lock").read_text(encoding="utf-8")
    wrong, n = re.subn(rf"(path: {path}\n +hash: md5\n +md5: )\w+", rf"\g<1>{'f' * 32}", lock, count=1)
    assert n == 1
    (root / "dvc.lock").write_text(wrong, encoding="utf-8")


def add_variant(root: Path) -> None:
    edit(root / TEST_METRICS, lambda metrics: metrics.update(ghost=metrics["mlp"]))


@pytest.mark.parametrize(
    ("falsify", "objection"),
    [
        (falsify_accuracy, "metrics/test.json: mlp: the accuracy is 99.9 %, but metrics/predictions.csv gives "),
        (falsify_size, "metrics/train/mlp.json: parameters is 1 as committed and "),
        (falsify_loss, "metrics/test.json: mlp.loss is 0."),
        (falsify_training, "metrics/train/mlp.json: validation.accuracy is 0.999 as committed and 0.9"),
        (falsify_data, "dvc.lock: data/prepared is not what preprocess makes, on whatever machine"),
        (add_variant, "metrics/test.json: ghost is committed, but not rebuilt"),
    ],
)
def test_what_no_other_machine_explains_does_not_hold(clone: Clone, falsify: Falsify, objection: str) -> None:
    falsify(clone.root)
    rebuild_after(clone, "dvc.lock", "metrics")
    proof = compare(clone.root)
    assert [each for each in proof.objections if each.startswith(objection)], proof.objections
    assert not proof.holds


def test_another_test_set_is_one_objection_and_not_one_for_each_variant(clone: Clone) -> None:
    falsify_data(clone.root, "data/raw/test.npz")
    rebuild_after(clone, "dvc.lock")
    assert compare(clone.root).objections == [
        "dvc.lock: data/raw/test.npz is not what download makes, on whatever machine",
        "metrics/test.json: no comparison: the file of the test images changed (data/raw/test.npz in dvc.lock)",
    ]


def test_a_metric_that_was_never_committed_does_not_hold(clone: Clone) -> None:
    clone.git("rm", "--quiet", "metrics/history/mlp.csv")
    rebuild_after(clone, "metrics/history/mlp.csv")
    assert compare(clone.root).objections == ["metrics/history/mlp.csv: it is rebuilt, but not committed"]
