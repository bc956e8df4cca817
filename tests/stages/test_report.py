from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from glyphline.config import Params
from glyphline.errors import GlyphlineError
from glyphline.report.parameters import ELSEWHERE
from stages import report as stage
from tests.conftest import REPOSITORY
from tests.finished import finish


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("finished")
    finish(root)
    return root


@pytest.fixture
def tree(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to spoil."""
    return Path(shutil.copytree(finished, tmp_path / "tree"))


def run(tree: Path, *arguments: str, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTHONHASHSEED": hash_seed}
    return subprocess.run(
        [sys.executable, "-m", "stages.report", *arguments],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_report_writes_one_page_twice_alike(tree: Path) -> None:
    pages = []
    for hash_seed in ("0", "1"):
        result = run(tree, hash_seed=hash_seed)
        assert (result.returncode, result.stderr) == (0, "")
        assert [path.name for path in (tree / "report").iterdir()] == ["index.html"]
        pages.append((tree / "report/index.html").read_bytes())
    assert pages[0] == pages[1]
    assert str(tree).encode() not in pages[0]


@pytest.mark.parametrize(
    "missing",
    [
        "metrics/test.json",
        "metrics/predictions.csv",
        "metrics/train/winner.json",
        "data/raw/dataset.json",
        "data/prepared/train/labels.npy",
        "data/layers/winner.csv",
        "data/evaluation/winner/worst_errors.npz",
        "plots/winner/curves.png",
        "plots/data/balance.png",
        "plots/overfitting.png",
    ],
)
def test_what_is_missing_is_named_in_one_sentence_and_nothing_is_written(
    tree: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.chdir(tree)
    Path(missing).unlink()
    with pytest.raises(GlyphlineError) as refusal:
        stage.main()
    assert str(refusal.value) == f"{missing}: the report needs this file, and it is missing; run: dvc repro"
    assert not Path("report").exists()


def test_run_by_hand_before_the_others_it_says_one_sentence(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.returncode == 1
    assert result.stderr == "metrics/test.json: the report needs this file, and it is missing; run: dvc repro\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("metrics/test.json", "<<<<<<< HEAD", "metrics/test.json: this is not JSON (Expecting value"),
        ("metrics/test.json", "{}", "metrics/test.json: no variant is judged in it"),
        ("metrics/predictions.csv", "image,label\n0,0\n", "metrics/predictions.csv: nothing in it is of "),
        ("metrics/per_class.csv", "", "metrics/per_class.csv: this is not a table (No columns"),
    ],
)
def test_what_is_spoilt_is_named_in_one_sentence(
    tree: Path, monkeypatch: pytest.MonkeyPatch, path: str, content: str, message: str
) -> None:
    monkeypatch.chdir(tree)
    Path(path).write_text(content, encoding="utf-8")
    with pytest.raises(GlyphlineError) as refusal:
        stage.main()
    assert str(refusal.value).startswith(message)
    assert str(refusal.value).endswith("run: dvc repro")
    assert "\n" not in str(refusal.value)


def test_dvc_yaml_declares_the_whole_package_and_every_parameter_shown() -> None:
    declared = YAML(typ="safe").load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))["stages"]["report"]
    package = {path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "glyphline/report").glob("*.*")}
    assert {path for path in declared["deps"] if path.startswith("glyphline/report/")} == package
    assert set(declared["params"]) == set(Params.model_fields) - ELSEWHERE | {"variants", "search.final"}


def test_report_explains_itself_without_work(tmp_path: Path) -> None:
    result = run(tmp_path, "--help")
    assert result.returncode == 0
    assert "one web page" in result.stdout
    assert list(tmp_path.iterdir()) == []
