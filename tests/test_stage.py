"""What a stage does around its main(): errors in one sentence, and the record of a run."""

import errno
import importlib
import json
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import Mock

import pytest

from glyphline import stage
from glyphline.errors import GlyphlineError
from tests.conftest import Capture, Write, python


def ending(main: Callable[[], None], name: str = "tell") -> object:
    """What the process leaves with: 0, or the sentence that Python prints before it leaves with 1."""
    with pytest.raises(SystemExit) as caught:
        stage.run(name, main)
    return caught.value.code


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (GlyphlineError("that file: is wrong"), "that file: is wrong"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "x"), "tell: x: No such file or directory"),
        (OSError(errno.ENOSPC, "No space left on device"), "tell: a file: No space left on device"),
        (MemoryError(), "tell: out of memory; set limit in params.yaml to use fewer images"),
        (KeyboardInterrupt(), "tell: interrupted; run dvc repro to go on"),
    ],
)
def test_a_mishap_is_one_sentence_and_leaves_no_record(world: Path, error: BaseException, said: str) -> None:
    assert ending(Mock(side_effect=error)) == said
    assert list(world.iterdir()) == []


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyError("bug"), OSError("a library's own")])
def test_a_bug_keeps_its_traceback(world: Path, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        stage.run("tell", Mock(side_effect=error))
    assert caught.value is error


@pytest.mark.parametrize("name", ["runs", "runs/tell.json"])
def test_a_run_record_that_cannot_be_written_is_a_warning(world: Path, capsys: Capture, name: str) -> None:
    if name == "runs":
        (world / name).touch()
    else:
        (world / name).mkdir(parents=True)
    assert ending(lambda: None) == 0
    assert re.fullmatch(rf"tell: {name}: the run record is not written \(.+\)\n", capsys.readouterr().err)


def test_a_stage_that_ends_well_leaves_a_record_in_place_of_the_one_before(world: Path) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    for _ in range(2):
        assert ending(lambda: None, "train@some") == 0
    (path,) = (world / "runs").iterdir()
    assert path.name == "train@some.json"
    text = path.read_text(encoding="utf-8")
    record = json.loads(text)
    assert text.endswith("}\n")
    assert list(record) == ["stage", "started", "seconds", "peak_memory_bytes", "machine"]
    assert record["stage"] == "train@some"
    assert datetime.fromisoformat(record["started"]) >= before
    assert record["seconds"] >= 0
    assert record["peak_memory_bytes"] > 2**20
    assert list(record["machine"]) == [
        *("processor", "flags", "cores", "memory_bytes", "system"),
        *("python", "tensorflow", "keras", "numpy", "scikit-learn", "dvc"),
    ]
    assert all(record["machine"].values())
    cpuinfo = Path("/proc/cpuinfo")
    words = cpuinfo.read_text(encoding="utf-8").split() if cpuinfo.exists() else []
    known = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in words]
    assert record["machine"]["flags"] == (" ".join(known) or "none")


def test_a_refusal_leaves_with_1_and_one_sentence_on_standard_error(world: Path) -> None:
    result = python("-m", "stages.check", cwd=world)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == "params.yaml: there is no such file; run from the repository's root\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
@pytest.mark.parametrize(
    ("name", "before", "said"),
    [
        ("check", "touch data", "data: File exists"),
        ("check", "mkdir data && ln -s /dev/full data/params.schema.json", "a file: No space left on device"),
        ("preprocess", "", "data/raw/dataset.json: No such file or directory"),
        ("plot", "", "data/raw/dataset.json: No such file or directory"),
        ("train@thin", "", "data/prepared/train/images.npy: No such file or directory"),
    ],
)
def test_what_a_stage_cannot_read_or_write_is_one_sentence(
    write_params: Write, name: str, before: str, said: str
) -> None:
    write_params()
    subprocess.run(before, shell=True, check=True)
    module, *variant = name.split("@")
    main = importlib.import_module(f"stages.{module}").main
    assert ending(lambda: main(*variant), name) == f"{name}: {said}"
