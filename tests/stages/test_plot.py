from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages import plot

REPOSITORY = Path(__file__).parents[2]
CLASS_NAMES = ["あ", "b", "Ankle boot"]
VARIANTS = ["small", "mlp"]  # not in the order of the alphabet

PER_VARIANT = ["confusion.png", "curves.png", "errors.png", "network.png"]
EXPECTED = sorted(
    [f"plots/{variant}/{name}" for variant in VARIANTS for name in PER_VARIANT]
    + ["plots/accuracy_vs_cost.png", "plots/overfitting.png", "plots/data/balance.png", "plots/data/examples.png"]
)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What evaluate leaves of two variants, three classes and 12 test images; there is no data/raw/test.npz."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for folder in ("data/raw", "data/layers", "metrics/train", "metrics/history"):
        Path(folder).mkdir(parents=True)
    images = rng.integers(0, 256, (30, 28, 28), dtype=np.uint8)
    labels = (np.arange(30) % 3).astype(np.uint8)
    np.savez("data/raw/train.npz", images=images, labels=labels)
    card = {"name": "tiny", "title": "Tiny", "class_names": CLASS_NAMES, "leading_metric": "accuracy"}
    Path("data/raw/dataset.json").write_text(json.dumps(card), encoding="utf-8")
    pd.DataFrame({"image": range(12), "label": labels[:12], "small": 0, "mlp": 0}).to_csv(
        "metrics/predictions.csv", index=False
    )
    score = {"accuracy": 0.75, "accuracy_low": 0.5, "accuracy_high": 0.9, "n": 12}
    Path("metrics/test.json").write_text(json.dumps(dict.fromkeys(VARIANTS, score)), encoding="utf-8")
    for variant, errors in zip(VARIANTS, (3, 0), strict=True):
        trained = {"best_epoch": 2, "epochs": 3, "parameters": 1000, "multiply_adds": 9000}
        Path(f"metrics/train/{variant}.json").write_text(json.dumps(trained), encoding="utf-8")
        Path(f"metrics/history/{variant}.csv").write_text(
            "epoch,loss,accuracy,validation_loss,validation_accuracy\n"
            "1,0.9,0.5,0.8,0.6\n2,0.5,0.8,0.6,0.7\n3,0.3,0.9,0.7,0.7\n",
            encoding="utf-8",
        )
        Path(f"data/layers/{variant}.csv").write_text(
            "layer,output_shape,parameters,multiply_adds\n"
            "image,28 x 28 x 1,0,0\nflatten,784,0,0\nprobabilities,3,2355,2352\n",
            encoding="utf-8",
        )
        evaluation = Path("data/evaluation") / variant
        evaluation.mkdir(parents=True)
        confusion = pd.DataFrame(
            4 * np.eye(3, dtype=int), index=pd.Index(CLASS_NAMES, name="true"), columns=CLASS_NAMES
        )
        confusion.iloc[0] = [4 - errors, errors, 0]
        confusion.to_csv(evaluation / "confusion.csv")
        np.savez(
            evaluation / "worst_errors.npz",
            positions=np.arange(errors),
            images=images[:errors],
            labels=np.zeros(errors, np.uint8),
            probabilities=np.tile(np.array([0.1, 0.9, 0], np.float32), (errors, 1)),
        )
    return tmp_path


def drawn(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


def run(*arguments: str, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTHONHASHSEED": hash_seed, "PYTHONWARNINGS": "error"}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_plot_draws_what_test_json_lists_twice_alike_and_opens_no_test_image(tree: Path) -> None:
    plot.main()
    here = drawn(tree)
    assert sorted(here) == EXPECTED
    assert all(png.startswith(b"\x89PNG") for png in here.values())

    elsewhere = run("-m", "stages.plot", hash_seed="1")
    assert (elsewhere.returncode, elsewhere.stderr) == (0, "")
    assert drawn(tree) == here


def test_a_variant_that_test_json_does_not_list_is_not_drawn(tree: Path) -> None:
    listed = json.loads(Path("metrics/test.json").read_text(encoding="utf-8"))
    Path("metrics/test.json").write_text(json.dumps({"mlp": listed["mlp"]}), encoding="utf-8")
    plot.main()
    assert [path.name for path in sorted((tree / "plots").iterdir()) if path.is_dir()] == ["data", "mlp"]


def test_a_variant_of_several_seeds_is_drawn_like_any_other(tree: Path) -> None:
    plot.main()
    before = drawn(tree)
    for path, seeds in (
        ("metrics/test.json", {"n": 2, "accuracy_mean": 0.75}),
        ("metrics/train/mlp.json", {"n": 2, "validation_accuracy_mean": 0.75}),
    ):
        metrics = json.loads(Path(path).read_text(encoding="utf-8"))
        metrics.get("mlp", metrics)["seeds"] = seeds
        Path(path).write_text(json.dumps(metrics), encoding="utf-8")
    plot.main()
    assert drawn(tree) == before


def test_a_missing_history_is_named(tree: Path) -> None:
    (tree / "metrics/history/mlp.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"metrics/history/mlp\.csv"):
        plot.main()
    assert not (tree / "plots").exists()


def test_plot_explains_itself_without_tensorflow_and_without_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = run("-X", "importtime", "-m", "stages.plot", "--help")
    assert ran.returncode == 0
    assert "Draw each variant" in ran.stdout
    imported = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    assert "matplotlib.figure" in imported
    assert imported.isdisjoint({"tensorflow", "keras", "matplotlib.pyplot", "matplotlib_fontja"})
    assert list(tmp_path.iterdir()) == []
