"""What was pushed to a DVC remote is pulled, not built again."""

from pathlib import Path

import pytest

from tests.guarantees.conftest import differing
from tests.pipeline.conftest import RUNNING, Clone


@pytest.fixture(scope="module")
def pushed(finished: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The finished repository, its outputs in a remote: a plain folder."""
    pushed = finished.copy(tmp_path_factory.mktemp("pushed") / "clone")
    pushed.dvc("remote", "add", "--default", "store", str(tmp_path_factory.mktemp("store")))
    pushed.commit("Name a remote")
    pushed.dvc("push")
    return pushed


def test_after_a_pull_in_a_fresh_clone_nothing_is_run(pushed: Clone, tmp_path: Path) -> None:
    clone = pushed.cloned(tmp_path / "clone")
    clone.dvc("pull")
    assert differing(pushed, clone) == []
    output = clone.dvc("repro").stdout
    assert RUNNING.findall(output) == []
    assert "Data and pipelines are up to date." in output
    assert differing(pushed, clone) == []
    assert clone.git("status", "--porcelain") == ""


@pytest.mark.long
def test_a_repro_that_pulls_as_it_goes_runs_nothing(pushed: Clone, tmp_path: Path) -> None:
    clone = pushed.cloned(tmp_path / "clone")
    output = clone.dvc("repro", "--pull").stdout
    assert RUNNING.findall(output) == []
    assert differing(pushed, clone) == []
    assert clone.git("status", "--porcelain") == ""
