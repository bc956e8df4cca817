"""A real `make prove` that fails. One that proves a commit: test_own_data.py."""

import sys

import pytest

from tests.pipeline.conftest import Clone


@pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning:dvc")
def test_a_commit_that_cannot_be_run_gets_one_sentence_and_no_stage_is_told_of_a_cluster(clone: Clone) -> None:
    says = "import os\nraise SystemExit(f\"check: {os.environ.get('GLYPHLINE_SCHEDULER')}\")\n"
    (clone.root / "stages/check.py").write_text(says)
    clone.commit("Break a stage")
    command = (sys.executable, "-m", "glyphline.review.proof")
    result = clone.run(*command, check=False, GLYPHLINE_SCHEDULER="tcp://127.0.0.1:9")
    assert result.returncode == 1
    assert "\ncheck: None\n" in result.stdout
    assert result.stdout.splitlines()[-1] == "dvc repro failed, so nothing is proven; what it said stands above"
