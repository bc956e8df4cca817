"""Whatever lies in a file: a right result or one sentence, in little memory, and nothing of it is run."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests import fuzzing
from tests.conftest import REPOSITORY, python
from tests.pipeline.conftest import Clone


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
    with fuzzing.checking(fuzzing.TARGETS[target], tmp_path) as check:
        check(content)


def test_a_name_out_of_params_yaml_is_no_part_of_a_command(finished: Clone, tmp_path: Path) -> None:
    clone = finished.copy(tmp_path / "clone")
    params, lock = clone.root / "params.yaml", clone.root / "dvc.lock"
    before = hashlib.md5(params.read_bytes()).hexdigest()
    text = params.read_text(encoding="utf-8")
    assert "\n  mlp:\n" in text
    params.write_text(text.replace("\n  mlp:\n", "\n  'x;touch PWNED;:':\n"), encoding="utf-8")
    forged = lock.read_text(encoding="utf-8").replace(before, hashlib.md5(params.read_bytes()).hexdigest())
    lock.write_text(forged, encoding="utf-8")
    result = clone.dvc("repro", check=False)
    assert "Stage 'check' didn't change" in result.stdout, "the digest in dvc.lock says that params.yaml was checked"
    assert result.returncode != 0
    assert not list(clone.root.rglob("PWNED"))
    said = [line for line in result.stdout.splitlines() if line.startswith("params.yaml: ")]
    assert said == [
        "params.yaml: variants.x;touch PWNED;:: a variant's name is a lower-case letter, then lower-case "
        "letters, digits and _"
    ]


@pytest.mark.long
@pytest.mark.parametrize(
    ("target", "cases"), [("idx", 500_000), ("npz", 250_000), ("picture", 250_000), ("params", 20_000)]
)
def test_a_million_wrong_files_are_refused_or_read_right_in_two_gibibytes(target: str, cases: int) -> None:
    result = python("-m", "tests.fuzzing", target, "--cases", str(cases), "--seed", "2", cwd=REPOSITORY)
    assert result.returncode == 0, result.stderr
    assert target == "picture" or result.stderr == "", "of pictures libtiff says things of its own, past Python"
    assert f"{cases:,} cases" in result.stdout
