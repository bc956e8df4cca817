import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from glyphline.config import Params
from glyphline.report.parameters import ELSEWHERE
from stages import report as stage
from tests.conftest import REPOSITORY, python, refusal


@pytest.fixture
def tree(small_run: Path, world: Path) -> Path:
    """What plot leaves, copied: to spoil."""
    ignored = shutil.ignore_patterns("report")
    return Path(shutil.copytree(small_run, world, ignore=ignored, dirs_exist_ok=True))


def test_report_writes_one_page_twice_alike(tree: Path, small_run: Path) -> None:
    result = python("-m", "stages.report", PYTHONHASHSEED="1")
    assert (result.returncode, result.stderr) == (0, "")
    assert [path.name for path in (tree / "report").iterdir()] == ["index.html"]
    page = (tree / "report/index.html").read_bytes()
    assert page == (small_run / "report/index.html").read_bytes()
    assert str(tree).encode() not in page


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("metrics/test.json", None, "the report needs this file, and it is missing; "),
        ("metrics/predictions/winner.csv", None, "the report needs this file, and it is missing; "),
        ("metrics/train/winner.json", None, "the report needs this file, and it is missing; "),
        ("data/raw/dataset.json", None, "the report needs this file, and it is missing; "),
        ("data/prepared/train/classes.npy", None, "the report needs this file, and it is missing; "),
        ("plots/winner", None, "the report needs the pictures in it, and has none; "),
        ("metrics/test.json", "<<<<<<< HEAD", "this is not JSON (Expecting value"),
        ("metrics/test.json", "{}", "no variant is judged in it"),
        ("metrics/predictions/tuned.csv", "", "this is not a table (No columns"),
        ("metrics/per_class.csv", "variant\n", "nothing in it is of "),
        ("plots/winner/curves.png", "", "this is not a whole PNG file; delete it and "),
    ],
)
def test_what_is_missing_or_spoilt_is_named_in_one_sentence_and_nothing_is_written(
    tree: Path, path: str, content: str | None, said: str
) -> None:
    if content is not None:
        Path(path).write_text(content, encoding="utf-8")
    elif Path(path).is_dir():
        shutil.rmtree(path)
    else:
        Path(path).unlink()
    message = refusal(stage.main)
    assert message.startswith(f"{path}: {said}")
    assert message.endswith("run: dvc repro")
    assert not Path("report").exists()


def test_dvc_yaml_declares_every_parameter_shown() -> None:
    declared = YAML(typ="safe").load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))["stages"]["report"]
    assert set(declared["params"]) == set(Params.model_fields) - ELSEWHERE | {"variants", "searches"}
