"""`glyphline repro` gives what `dvc repro` gives, however many trainings run at once, whatever ends it."""

import re
import shutil
import signal
import stat
from pathlib import Path

import pytest

from glyphline.repro import trainings_at_once
from tests.guarantees.conftest import at_work, differing
from tests.pipeline.conftest import Clone
from tests.search.conftest import wait_until

GIB = 2**30


@pytest.mark.parametrize(
    ("jobs", "memory", "images_bytes", "helpers", "expected"),
    [
        (None, 64 * GIB, 0, 2, 4),  # one a core
        (8, 64 * GIB, 0, 0, 8),
        (8, 4 * GIB, 0, 0, 3),  # as memory allows
        (8, 4 * GIB, 0, 2, 1),  # two searches of two workers each
        (8, 16 * GIB, 2 * GIB, 0, 5),
        (8, GIB // 2, 0, 2, 1),
    ],
)
def test_no_more_run_at_once_than_memory_allows(
    jobs: int | None, memory: int, images_bytes: int, helpers: int, expected: int
) -> None:
    assert trainings_at_once(jobs, 4, memory, images_bytes, helpers) == expected


@pytest.fixture(scope="module")
def untrained(finished: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The commit that the finished repository was run from, with its data and its search, and nothing trained."""
    clone = Clone(tmp_path_factory.mktemp("untrained"))
    clone.git("clone", "--quiet", str(finished.root), ".")
    clone.git("reset", "--quiet", "--hard", "HEAD~1")
    # DVC's run cache has the data and the searches.
    shutil.copytree(finished.root / ".dvc/cache", clone.root / ".dvc/cache")
    for run in (clone.root / ".dvc/cache/runs").glob("*/*/*"):
        if not re.search(r"^cmd: python -m stages\.(check|download|preprocess|tune)$", run.read_text("utf-8"), re.M):
            shutil.rmtree(run.parent)
    assert "Running stage" not in clone.dvc("repro", "preprocess", "tune").stdout
    return clone


@pytest.mark.long
def test_the_bytes_are_those_of_dvc_repro_also_in_a_worktree_of_other_letters_for_one_user(
    finished: Clone, tmp_path: Path
) -> None:
    folder = tmp_path / "Bilder für Анна ☃"
    finished.copy(tmp_path / "clone").git("worktree", "add", "--quiet", str(folder), "HEAD~1")
    clone = Clone(folder)
    said = clone.run("sh", "-c", "umask 077; unset HOME; exec glyphline repro --jobs 3").stdout
    assert "4 networks, 3 at once: tune@" in said
    assert re.search(r"^train@mlp: epoch 1/1: ", said, re.MULTILINE)
    assert re.search(r"^tune@tuned: trial 0: .*; 1 of 2 done", said, re.MULTILINE)
    assert re.search(r"^train@convnet: [0-9.]+ s$", said, re.MULTILINE)
    assert differing(finished, clone) == []
    assert stat.S_IMODE((folder / "report/index.html").stat().st_mode) == 0o600


@pytest.mark.long
def test_one_that_fails_is_named_and_the_others_are_finished(untrained: Clone, tmp_path: Path) -> None:
    clone = untrained.copy(tmp_path / "clone")
    params = clone.read("params.yaml")
    (clone.root / "params.yaml").write_text(params.replace("learning_rate: 0.001", "learning_rate: 1.0e+38", 1))
    result = clone.run("glyphline", "repro", check=False)
    assert result.returncode == 1
    assert "train@mlp: params.yaml: variants.mlp.learning_rate: training failed" in result.stdout
    assert result.stdout.endswith(
        "glyphline: train@mlp: failed as said above (if nothing is, dvc repro train@mlp says why); "
        "the other networks are done; run it again to go on\n"
    )
    assert {path.name for path in (clone.root / "models").glob("*.keras")} == {
        "auto.keras",
        "convnet.keras",
        "tuned.keras",
    }
    (clone.root / "params.yaml").write_text(params)
    assert "1 network, 1 at once: train@mlp" in clone.run("glyphline", "repro").stdout


@pytest.mark.long
def test_a_signal_ends_all_that_was_started_and_the_next_run_goes_on(
    finished: Clone, untrained: Clone, tmp_path: Path
) -> None:
    clone = untrained.copy(tmp_path / "clone")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        process = clone.start("glyphline", "repro", "--jobs", "2")
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("train@"):
                break
        process.send_signal(number)
        said, _ = process.communicate()
        if number != signal.SIGKILL:  # that is for nobody to tell, and what it started goes on to its end
            assert process.returncode == 1
            assert said.endswith("glyphline: interrupted; run it again to go on\n")
        assert "Traceback" not in said
        wait_until(lambda: not at_work(clone), "nothing is left at work")
    clone.run("glyphline", "repro")
    assert differing(finished, clone) == []


@pytest.mark.long
def test_what_this_machine_has_made_is_taken_from_the_run_cache(clone: Clone, finished: Clone) -> None:
    """After a dvc.lock of another machine came back, with a checkout perhaps, nothing is trained again.

    A variant that is no more is no more in dvc.lock either.
    """
    made_elsewhere = r"(path: (?:models/\w+\.keras|data/evaluation|plots)\n.*\n +md5: )\w{6}"
    theirs = re.sub(made_elsewhere, r"\g<1>abcdef", clone.read("dvc.lock"))
    theirs += "  train@gone:\n    cmd: python -m stages.train\n"
    (clone.root / "dvc.lock").write_text(theirs, encoding="utf-8")
    shutil.rmtree(clone.root / "runs")
    clone.run("glyphline", "repro")
    assert differing(finished, clone) == []
    assert {path.stem for path in (clone.root / "runs").glob("*.json")} == set(), "no stage ran"
