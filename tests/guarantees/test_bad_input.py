"""Whatever lies in a file: a right result or one sentence, in little memory, and nothing of it is run."""

import hashlib
import importlib
import json
import re
import shutil
from pathlib import Path

import pytest

from glyphline.review.integrity import problems
from tests import fuzzing
from tests.conftest import REPOSITORY, edit, python, refusal, replace
from tests.pipeline.conftest import Clone


@pytest.mark.parametrize(
    ("target", "cases"),
    [("idx", 4000), ("npz", 2000), ("picture", 2000), ("source", 480), ("mat", 100), ("params", 500)],
)
def test_wrong_files_are_refused_in_one_sentence_or_read_right(target: str, cases: int, tmp_path: Path) -> None:
    accepted = fuzzing.run(target, tmp_path, cases)
    assert 0 < accepted < cases, "some changes do no harm, and most do"


CHANNELS = b"\x15\x01\x03\x00\x01\x00\x00\x00"  # of a TIFF; then comes how many a pixel has


@pytest.mark.parametrize(
    ("target", "content"),
    [
        # NumPy warns of Python 2's long integers, Pillow logs that a TIFF has too many channels.
        ("npz", fuzzing.npz({"arr_0.npy": fuzzing.npy(fuzzing.LABELS).replace(b"(5,), }  ", b"(5L,), } ")})),
        ("picture", fuzzing.picture("TIFF", "RGB").replace(CHANNELS + b"\x03", CHANNELS + b"\xff")),
    ],
)
def test_no_library_adds_words_of_its_own(target: str, content: bytes, tmp_path: Path) -> None:
    assert content not in fuzzing.TARGETS[target].seeds.values()
    with fuzzing.checking(fuzzing.TARGETS[target], tmp_path) as check:
        check(content)


NAME = "a variant's name is a lower-case letter, then up to 39 lower-case letters, digits and _"
# What is said of names that only a forged dvc.lock says are checked: by the stage that runs, or by DVC before it does.
FORGED = {
    "x;touch PWNED;:": f"params.yaml: variants.x;touch PWNED;:: {NAME}\n",
    "../precious": "models/../precious.keras' is ignored by .dvcignore",
    "../../precious": "output 'precious.csv' is already specified in stage: 'train@../../precious'",
    "../../../precious": "precious.csv' is already specified in stage: 'train@../../../precious'",
    "../data/downloads/precious": "models/../data/downloads/precious.keras' is ignored by .dvcignore",
    "a/../b": "Parameters 'variants.a/../b' are missing from 'params.yaml'",
    "$(touch PWNED)": f"params.yaml: variants.$(touch PWNED): {NAME}\n",
    "new\nline": f"params.yaml: variants.'new\\nline': {NAME}\n",
    "m" * 41: f"params.yaml: variants.{'m' * 41}: {NAME}\n",
    "m" * 999: "File name too long",
}


@pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning:dvc")
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.long] * (place > 1)) for place, name in enumerate(FORGED)],
    ids=lambda name: ascii(name)[:40],
)
def test_a_name_that_only_a_forged_lock_says_is_checked_runs_and_removes_nothing(
    finished: Clone, tmp_path: Path, name: str
) -> None:
    clone = finished.copy(tmp_path / "within/clone")
    folders = [clone.root, *(clone.root / folder for folder in ("data", "data/downloads", "metrics", "models"))]
    for folder in (*clone.root.parents[:2], *folders):
        for file in ("precious/file", "precious.csv", "precious.json", "precious.keras"):
            (folder / file).parent.mkdir(exist_ok=True, parents=True)
            (folder / file).touch()
    params, lock = clone.root / "params.yaml", clone.root / "dvc.lock"
    digest = hashlib.md5(params.read_bytes()).hexdigest()
    replace(params, "\n  mlp:\n", f"\n  {json.dumps(name)}:\n")
    replace(lock, digest, hashlib.md5(params.read_bytes()).hexdigest())

    def files() -> set[Path]:
        return {path for path in tmp_path.rglob("*") if not path.is_relative_to(clone.root / ".dvc")}

    before = files()
    refused = clone.run("glyphline", "repro", check=False)
    assert re.fullmatch(rf"glyphline: params\.yaml: variants\..*: {re.escape(NAME)}\n", refused.stdout)
    result = clone.dvc("repro", check=False)
    assert result.returncode != 0
    assert FORGED[name] in result.stdout
    assert "Running stage 'check'" not in result.stdout, "the digest in dvc.lock says that params.yaml was checked"
    assert before - files() == set()
    assert list(tmp_path.rglob("PWNED")) == []
    assert any(f": {NAME}; " in sentence for sentence in problems(clone.root)), "and make verify says so"


@pytest.mark.parametrize("stage", ["download", "preprocess", "train", "tune", "train_winner", "evaluate", "report"])
def test_a_stage_that_reads_params_yaml_refuses_all_of_it(
    small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """Even what the stage itself does not use, in case a forged dvc.lock says that it was checked."""
    monkeypatch.chdir(shutil.copytree(small_run, tmp_path / "run"))
    edit(Path("params.yaml"), lambda params: params.update(gate={"accuracy_flor": 0.9}))
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    main = importlib.import_module(f"stages.{stage}").main
    said = "params.yaml: gate.accuracy_flor: unknown key; did you mean accuracy_floor?"
    entry = {"train": ["winner"], "tune": ["tuned"], "train_winner": ["tuned"]}.get(stage, [])
    assert refusal(main, *entry) == said
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


@pytest.mark.long
@pytest.mark.parametrize(
    ("target", "cases"),
    [("idx", 580_000), ("npz", 180_000), ("picture", 200_000), ("source", 20_000), ("mat", 600), ("params", 20_000)],
)
def test_a_million_wrong_files_are_refused_or_read_right_in_two_gibibytes(target: str, cases: int) -> None:
    result = python("-m", "tests.fuzzing", target, "--cases", str(cases), "--seed", "2", cwd=REPOSITORY)
    assert result.returncode == 0, result.stderr
    assert target == "picture" or result.stderr == "", "of pictures libtiff says things of its own, past Python"
    assert f"{cases:,} cases" in result.stdout
