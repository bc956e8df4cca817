from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stages import plot
from tests.conftest import REPOSITORY
from tests.finished import ERRORS

EXPECTED = sorted(
    [
        *(f"{variant}/{name}.png" for variant in ERRORS for name in ("confusion", "curves", "errors", "network")),
        *("accuracy_vs_cost.png", "overfitting.png", "data/balance.png", "data/examples.png"),
        *(f"search/{name}.png" for name in ("coordinates", "history", "importances")),
    ]
)


@pytest.fixture
def tree(small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What evaluate leaves, copied; there is no data/raw/test.npz."""
    copy = shutil.copytree(small_run, tmp_path / "tree", ignore=shutil.ignore_patterns("plots", "report"))
    monkeypatch.chdir(copy)
    return Path(copy)


def drawn(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTHONHASHSEED": "1", "PYTHONWARNINGS": "error"}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)


def test_plot_draws_what_test_json_lists_twice_alike_and_opens_no_test_image(tree: Path, small_run: Path) -> None:
    here = drawn(small_run / "plots")
    assert sorted(here) == EXPECTED
    elsewhere = run("-m", "stages.plot")
    assert (elsewhere.returncode, elsewhere.stderr) == (0, "")
    assert drawn(tree / "plots") == here


def test_a_variant_that_test_json_does_not_list_is_not_drawn(tree: Path) -> None:
    listed = json.loads(Path("metrics/test.json").read_text(encoding="utf-8"))
    Path("metrics/test.json").write_text(json.dumps({"winner": listed["winner"]}), encoding="utf-8")
    plot.main()
    assert [path.name for path in sorted((tree / "plots").iterdir()) if path.is_dir()] == ["data", "winner"]


def test_a_missing_history_is_named(tree: Path) -> None:
    (tree / "metrics/history/winner.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"metrics/history/winner\.csv"):
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
