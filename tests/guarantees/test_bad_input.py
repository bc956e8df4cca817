"""Whatever lies in a file: a right result or one sentence, in little memory, and nothing of it is run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import fuzzing
from tests.conftest import REPOSITORY


@pytest.mark.parametrize(("target", "cases"), [("idx", 2000), ("npz", 1000), ("picture", 1000), ("params", 300)])
def test_wrong_files_are_refused_in_one_sentence_or_read_right(target: str, cases: int, tmp_path: Path) -> None:
    accepted = fuzzing.run(target, tmp_path, cases)
    assert 0 < accepted < cases, "some changes do no harm, and most do"


@pytest.mark.parametrize(
    ("target", "content"),
    [
        # NumPy warns of Python 2's long integers, Pillow logs that a TIFF has too many channels.
        ("npz", fuzzing.npz({"arr_0.npy": fuzzing.npy(fuzzing.LABELS).replace(b"(5,), }  ", b"(5L,), } ")})),
        (
            "picture",
            fuzzing.picture("TIFF", "RGB").replace(
                b"\x15\x01\x03\x00\x01\x00\x00\x00\x03", b"\x15\x01\x03\x00\x01\x00\x00\x00\xff"
            ),
        ),
    ],
)
def test_no_library_adds_words_of_its_own(target: str, content: bytes, tmp_path: Path) -> None:
    assert content not in fuzzing.TARGETS[target].seeds.values()
    with fuzzing.Tester(fuzzing.TARGETS[target], tmp_path).ready() as check:
        check(content)


@pytest.mark.long
@pytest.mark.parametrize(
    ("target", "cases"), [("idx", 500_000), ("npz", 250_000), ("picture", 250_000), ("params", 20_000)]
)
def test_a_million_wrong_files_are_refused_or_read_right_in_two_gibibytes(target: str, cases: int) -> None:
    command = [sys.executable, "-m", "tests.fuzzing", target, "--cases", str(cases), "--seed", "2"]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert target == "picture" or result.stderr == "", "of pictures libtiff says things of its own, past Python"
    assert f"{cases:,} cases" in result.stdout
