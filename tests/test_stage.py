"""What a stage does around its main(): errors in one sentence, and the record of a run."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from glyphline import stage
from glyphline.errors import DataError, FetchError, FormatError, GlyphlineError, ParamsError
from tests.conftest import Capture, Run, Write


def ending(main: Callable[[], None], name: str = "tell") -> object:
    """What the process leaves with: 0, or the sentence that Python prints before it leaves with 1."""
    with pytest.raises(SystemExit) as caught:
        stage.run(name, main)
    return caught.value.code


def raising(error: BaseException) -> Callable[[], None]:
    def main() -> None:
        raise error

    return main


@pytest.mark.parametrize("kind", [GlyphlineError, ParamsError, FormatError, FetchError, DataError])
def test_a_mishap_with_a_name_ends_in_its_own_words(world: Path, kind: type[GlyphlineError]) -> None:
    assert ending(raising(kind("that file: is wrong"))) == "that file: is wrong"
    assert not (world / "runs").exists(), "no record of what did not happen"


def test_a_file_that_cannot_be_opened_is_named(world: Path) -> None:
    sentence = ending(lambda: print((world / "no such file").read_text()))
    assert sentence == f"tell: {world / 'no such file'}: No such file or directory"


def test_a_full_disk_is_said_even_when_the_system_names_no_file(world: Path) -> None:
    assert ending(raising(OSError(errno.ENOSPC, "No space left on device"))) == "tell: a file: No space left on device"


def test_lack_of_memory_says_which_parameter_helps(world: Path) -> None:
    assert ending(raising(MemoryError())) == "tell: out of memory; set limit in params.yaml to use fewer images"


def test_an_interruption_is_one_sentence(world: Path) -> None:
    assert ending(raising(KeyboardInterrupt())) == "tell: interrupted; run dvc repro to go on"
    assert not (world / "runs").exists()


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyError("bug"), OSError("a library's own")])
def test_a_bug_keeps_its_traceback(world: Path, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        stage.run("tell", raising(error))
    assert caught.value is error


@pytest.mark.parametrize("name", ["runs", "runs/tell.json"])
def test_a_run_record_that_cannot_be_written_is_a_warning(world: Path, capsys: Capture, name: str) -> None:
    if name == "runs":
        (world / name).touch()
    else:
        (world / name).mkdir(parents=True)
    assert ending(lambda: None) == 0
    assert re.fullmatch(rf"tell: {name}: the run record is not written \(.+\)\n", capsys.readouterr().err)


def test_a_stage_that_ends_well_leaves_a_record(world: Path) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    assert ending(lambda: None, "train@some") == 0
    text = (world / "runs" / "train@some.json").read_text(encoding="utf-8")
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


def test_a_record_replaces_the_one_before(world: Path) -> None:
    for _ in range(2):
        assert ending(lambda: None) == 0
    assert [path.name for path in (world / "runs").iterdir()] == ["tell.json"]


def test_a_refusal_leaves_with_1_and_one_sentence_on_standard_error(run_stage: Run) -> None:
    result = run_stage("check")
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == "params.yaml: there is no such file; run from the repository's root\n"


def test_a_file_where_a_folder_should_be_is_one_sentence(world: Path, write_params: Write, run_stage: Run) -> None:
    write_params()
    (world / "data").touch()
    result = run_stage("check")
    assert result.returncode == 1
    assert result.stderr == "check: data: File exists\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_a_full_disk_is_one_sentence(world: Path, write_params: Write, run_stage: Run) -> None:
    write_params()
    (world / "data").mkdir()
    (world / "data" / "params.schema.json").symlink_to("/dev/full")
    result = run_stage("check")
    assert result.returncode == 1
    assert result.stderr == "check: a file: No space left on device\n"


@pytest.mark.parametrize(
    ("name", "arguments", "missing"),
    [
        ("preprocess", (), "data/raw/dataset.json"),
        ("plot", (), "data/raw/dataset.json"),
        ("train", ("thin",), "data/prepared/train/images.npy"),
    ],
)
def test_a_stage_whose_input_is_missing_names_it(
    write_params: Write, run_stage: Run, name: str, arguments: tuple[str, ...], missing: str
) -> None:
    write_params()
    result = run_stage(name, *arguments)
    assert result.returncode == 1
    assert result.stderr == f"{'@'.join((name, *arguments))}: {missing}: No such file or directory\n"
