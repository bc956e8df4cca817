"""`glyphline repro` gives what `dvc repro` gives, however many trainings run at once, whatever ends it."""

import re
import shutil
import signal
import stat
from pathlib import Path

import pytest

from glyphline.repro import trainings_at_once
from tests.guarantees.conftest import at_work, differing
from tests.pipeline.conftest import Clone, lines_until
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


@pytest.mark.long
def test_whatever_ended_it_the_next_run_goes_on_to_the_bytes_of_dvc_repro(finished: Clone, tmp_path: Path) -> None:
    """In a worktree of other letters, whose files are for one user alone, who has no home."""
    folder = tmp_path / "Bilder für Анна ☃"
    finished.copy(tmp_path / "clone").git("worktree", "add", "--quiet", str(folder), "HEAD~1")
    clone = Clone(folder)
    command = ("sh", "-c", "umask 077; unset HOME; exec glyphline repro --jobs 3")
    params = clone.read("params.yaml")
    (folder / "params.yaml").write_text(params.replace("learning_rate: 0.001", "learning_rate: 1.0e+38", 1))

    said = ""
    for number, moment in (
        (signal.SIGINT, "4 networks, 3 at once: tune@"),
        (signal.SIGTERM, "train@convnet: epoch"),
        (signal.SIGKILL, "train@convnet: epoch"),
    ):
        process = clone.start(*command)
        said += "".join(lines_until(process, moment))
        process.send_signal(number)
        said += process.communicate()[0]
        if number != signal.SIGKILL:  # that is for nobody to tell, and what it started goes on to its end
            assert process.returncode == 1
            assert said.endswith("glyphline: interrupted; run it again to go on\n")
        wait_until(lambda: not at_work(clone), "nothing is left at work")

    failed = clone.run(*command, check=False)
    assert failed.returncode == 1
    assert "train@mlp: params.yaml: variants.mlp.learning_rate: training failed" in failed.stdout
    assert failed.stdout.endswith(
        "glyphline: train@mlp: failed as said above (if nothing is, dvc repro train@mlp says why); "
        "the other networks are done; run it again to go on\n"
    )
    assert {path.stem for path in (folder / "models").glob("*.keras")} == {"auto", "convnet", "tuned"}

    (folder / "params.yaml").write_text(params)
    last = clone.run(*command).stdout
    assert "1 network, 1 at once: train@mlp" in last
    said += failed.stdout + last
    assert "Traceback" not in said
    for words in (
        "4 networks, 3 at once: tune@",
        "train@mlp: epoch 1/1: ",
        r"tune@tuned: trial 0: .*; 1 of 2 done",
        r"train@convnet: [0-9.]+ s$",
    ):
        assert re.search(f"^{words}", said, re.MULTILINE), words
    assert differing(finished, clone) == []
    assert stat.S_IMODE((folder / "report/index.html").stat().st_mode) == 0o600


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
