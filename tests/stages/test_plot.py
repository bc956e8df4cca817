import json
import shutil
from pathlib import Path

import pytest

from stages import plot
from tests.conftest import python
from tests.finished import ERRORS

EXPECTED = {
    *(f"{variant}/{name}.png" for variant in ERRORS for name in ("confusion", "curves", "errors", "network")),
    *("accuracy_vs_cost.png", "overfitting.png", "data/balance.png", "data/examples.png"),
    "data/labels_to_check.png",
    *(f"search/tuned/{name}.png" for name in ("coordinates", "history", "importances")),
}


@pytest.fixture
def tree(small_run: Path, world: Path) -> Path:
    """What evaluate leaves, copied; there is no data/raw/test.npz."""
    ignored = shutil.ignore_patterns("plots", "report")
    return Path(shutil.copytree(small_run, world, ignore=ignored, dirs_exist_ok=True))


def test_plot_draws_every_variant_the_data_and_the_search(small_run: Path) -> None:
    assert {path.relative_to(small_run / "plots").as_posix() for path in (small_run / "plots").rglob("*.*")} >= EXPECTED


def test_plot_draws_what_test_json_lists_twice_alike_and_opens_no_test_image(tree: Path, small_run: Path) -> None:
    listed = json.loads(Path("metrics/test.json").read_text(encoding="utf-8"))
    Path("metrics/test.json").write_text(json.dumps({"winner": listed["winner"]}), encoding="utf-8")
    again = python("-m", "stages.plot", PYTHONHASHSEED="1", PYTHONWARNINGS="error")
    assert (again.returncode, again.stderr) == (0, "")
    assert {path.name for path in (tree / "plots").iterdir() if path.is_dir()} == {"data", "winner"}
    drawn = {path.relative_to(tree): path.read_bytes() for path in (tree / "plots").glob("*/*.png")}
    assert len(drawn) >= 6
    assert {path: (small_run / path).read_bytes() for path in drawn} == drawn


def test_a_missing_history_is_named(tree: Path) -> None:
    (tree / "metrics/history/winner.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"metrics/history/winner\.csv"):
        plot.main()
    assert not (tree / "plots").exists()


def test_plot_explains_itself_without_tensorflow_and_without_work(world: Path) -> None:
    ran = python("-X", "importtime", "-m", "stages.plot", "--help")
    assert ran.returncode == 0
    assert "Draw each variant" in ran.stdout
    imported = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    assert "matplotlib.figure" in imported
    assert imported.isdisjoint({"tensorflow", "keras", "matplotlib.pyplot", "matplotlib_fontja"})
    assert list(world.iterdir()) == []
