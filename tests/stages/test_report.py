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


@pytest.fixture
def tree(small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What plot leaves, copied: to spoil."""
    copy = shutil.copytree(small_run, tmp_path / "tree", ignore=shutil.ignore_patterns("report"))
    monkeypatch.chdir(copy)
    return Path(copy)


def test_report_writes_one_page_twice_alike(tree: Path, small_run: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTHONHASHSEED": "1"}
    command = [sys.executable, "-m", "stages.report"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert [path.name for path in (tree / "report").iterdir()] == ["index.html"]
    page = (tree / "report/index.html").read_bytes()
    assert page == (small_run / "report/index.html").read_bytes()
    assert str(tree).encode() not in page


@pytest.mark.parametrize(
    "missing",
    [
        "metrics/test.json",
        "metrics/predictions/winner.csv",
        "metrics/train/winner.json",
        "data/raw/dataset.json",
        "data/prepared/train/labels.npy",
    ],
)
def test_what_is_missing_is_named_in_one_sentence_and_nothing_is_written(tree: Path, missing: str) -> None:
    Path(missing).unlink()
    with pytest.raises(GlyphlineError) as refusal:
        stage.main()
    assert str(refusal.value) == f"{missing}: the report needs this file, and it is missing; run: dvc repro"
    assert not Path("report").exists()


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("metrics/test.json", "<<<<<<< HEAD", "metrics/test.json: this is not JSON (Expecting value"),
        ("metrics/test.json", "{}", "metrics/test.json: no variant is judged in it"),
        ("metrics/predictions/tuned.csv", "", "metrics/predictions/tuned.csv: this is not a table (No columns"),
        ("metrics/per_class.csv", "variant\n", "metrics/per_class.csv: nothing in it is of "),
        ("plots/winner/curves.png", "", "plots/winner/curves.png: this is not a whole PNG file; delete it and "),
    ],
)
def test_what_is_spoilt_is_named_in_one_sentence(tree: Path, path: str, content: str, message: str) -> None:
    Path(path).write_text(content, encoding="utf-8")
    with pytest.raises(GlyphlineError) as refusal:
        stage.main()
    assert str(refusal.value).startswith(message)
    assert str(refusal.value).endswith("run: dvc repro")
    assert "\n" not in str(refusal.value)


def test_a_variant_without_pictures_is_named(tree: Path) -> None:
    shutil.rmtree(tree / "plots/winner")
    with pytest.raises(GlyphlineError, match=r"^plots/winner: the report needs the pictures in it, and has none; run:"):
        stage.main()


def test_dvc_yaml_declares_every_parameter_shown() -> None:
    declared = YAML(typ="safe").load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))["stages"]["report"]
    assert set(declared["params"]) == set(Params.model_fields) - ELSEWHERE | {"variants", "search.final"}
