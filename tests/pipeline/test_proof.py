"""Real rebuilds from nothing, of the small pipeline that all tests share. The tests build on each other."""

import subprocess
import sys

import pytest

from tests.pipeline.conftest import Clone

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning:dvc")


def prove(clone: Clone) -> subprocess.CompletedProcess[str]:
    return clone.run(sys.executable, "-m", "glyphline.review.proof", check=False)


@pytest.mark.long
def test_a_rebuild_on_the_same_machine_gives_every_byte_and_asks_no_cluster(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLYPHLINE_SCHEDULER", "tcp://127.0.0.1:9")
    result = prove(clone)
    assert result.returncode == 0, result.stdout
    assert "Running stage 'train@mlp'" in result.stdout, "what takes long shows where it is"
    assert "**Proven to the byte:** " in result.stdout
    assert clone.git("status", "--porcelain") == ""


def test_a_commit_that_cannot_be_run_gets_one_sentence(clone: Clone) -> None:
    (clone.root / "stages/check.py").write_text("raise SystemExit('check: no')\n")
    clone.commit("Break a stage")
    result = prove(clone)
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1] == "dvc repro failed, so nothing is proven; what it said stands above"
