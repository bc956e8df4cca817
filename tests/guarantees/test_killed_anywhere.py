"""SIGKILL at any moment of a run, and the next run ends as if nothing had happened, byte for byte.

The tests are in the order of the stages and build on each other.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.guarantees.conftest import STAGES, at_work, differing
from tests.pipeline.conftest import RUNNING, Clone, lines_until
from tests.search.conftest import wait_until

pytestmark = pytest.mark.long

KILLS_INSIDE, KILLS_AFTER = 3, 1  # of each stage: while it runs, and when DVC writes down that it ran
START_SECONDS = 0.5  # of a stage's process, about
CACHING_SECONDS = 0.2  # in which DVC does so, about


@pytest.fixture(scope="module")
def victim(lean: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The commit that the lean repository was run from, nothing run yet."""
    clone = lean.cloned(tmp_path_factory.mktemp("victim"))
    clone.git("reset", "--quiet", "--hard", "HEAD~1")
    return clone


@pytest.fixture(scope="module")
def complete(lean: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy of the lean repository, to be harmed."""
    return lean.copy(tmp_path_factory.mktemp("complete") / "clone")


@pytest.fixture(scope="module")
def seconds(lean: Clone) -> dict[str, float]:
    """About what each stage took with the start of its process: what a blow is aimed by."""
    records = {path.stem: json.loads(path.read_bytes()) for path in lean.root.glob("runs/*.json")}
    return {stage: START_SECONDS + record["seconds"] for stage, record in records.items()}


def strike(clone: Clone, stage: str, after: str, delay: float, group: bool = True) -> bool:
    """Kill a run of the stage `delay` seconds after it says `after`; whether it was still there to be killed.

    `group` kills all that DVC started, too; else they are left alone in the world.
    """
    forget(clone, stage)
    # Forced: DVC may have put away what the stage wrote before it was killed, and would take it from there.
    command = ("dvc", "repro", "--force", "--single-item", stage)
    process = clone.start(*command, apart=True, PYTHONUNBUFFERED="1")
    said = "".join(lines_until(process, f"Running stage '{stage}'"))
    if "Running stage" not in said and process.wait() > 0:
        obey(clone, said)
        return strike(clone, stage, after, delay, group)
    assert RUNNING.findall(said)[-1:] == [stage], said
    if after not in said:
        said += "".join(lines_until(process, after))
    try:
        process.wait(delay)
    except subprocess.TimeoutExpired:
        if group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    code = process.wait()
    assert code in (0, -signal.SIGKILL), said
    return code != 0


def forget(clone: Clone, stage: str) -> None:
    """Take a stage out of dvc.lock, the last one there, so that DVC writes it again."""
    lock = clone.root / "dvc.lock"
    if lock.is_file():
        rest = re.sub(rf"^  {stage}:\n(    .*\n)+", "", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)
        if rest.endswith("stages:\n"):  # it was the only one
            lock.unlink()
        else:
            lock.write_text(rest, encoding="utf-8")


def strike_often(clone: Clone, stage: str, *, after: str, within: float, times: int, chance: random.Random) -> None:
    """Kill a stage so many times. A blow that comes too late does not count, and the next comes earlier."""
    killed = 0
    for _ in range(10 * times):
        delay = chance.uniform(0, within)
        if strike(clone, stage, after, delay):
            killed += 1
            wait_until(lambda: not at_work(clone), f"nothing of {stage} is left")
        else:
            within = delay
        if killed == times:
            return
    pytest.fail(f"{stage} was killed {killed} times, and {times} were wanted")


def obey(clone: Clone, said: str) -> None:
    """Delete what `make verify` says to delete: a file that DVC was killed at writing, and cannot read."""
    advice = clone.run(sys.executable, "-m", "glyphline.review.integrity", check=False).stdout
    found = re.findall(r"^(dvc\.lock|\.dvc/tmp/rwlock): .*; delete it, then run: dvc repro", advice, flags=re.MULTILINE)
    assert found, f"{said}\n{advice}"
    assert "Traceback" not in said
    for path in found:
        (clone.root / path).unlink()


def repro(clone: Clone, *arguments: str) -> None:
    """Run DVC; where it cannot, do as `make verify` says, and run it again."""
    result = clone.dvc("repro", *arguments, check=False)
    if result.returncode:
        obey(clone, result.stdout)
        clone.dvc("repro", *arguments)


def assert_same(one: Clone, other: Clone) -> None:
    """Byte for byte, but for the order of dvc.lock, in which a stage that was taken out of it comes back at the end."""
    assert one.stages() == other.stages()
    assert set(differing(one, other)) <= {"dvc.lock"}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_killed_anywhere_is_right_in_the_next_run(
    lean: Clone, victim: Clone, seconds: dict[str, float], stage: str
) -> None:
    chance = random.Random(f"kills of {stage}")
    running, within = f"Running stage '{stage}'", 0.8 * seconds[stage]
    strike_often(victim, stage, after=running, within=within, times=KILLS_INSIDE, chance=chance)
    done = "Updating lock file"
    strike_often(victim, stage, after=done, within=CACHING_SECONDS, times=KILLS_AFTER, chance=chance)
    repro(victim, stage.partition("@")[0])  # all variants: only one is killed
    assert victim.stages()[stage] == lean.stages()[stage]


def test_after_all_these_kills_every_byte_is_that_of_an_uninterrupted_run(lean: Clone, victim: Clone) -> None:
    repro(victim)
    assert_same(lean, victim)
    assert "Data and pipelines are up to date." in victim.dvc("status").stdout
    assert not list(victim.root.rglob("*.partial")), "half-written files"


def test_a_dvc_lock_cut_short_is_made_again_without_training(lean: Clone, tmp_path: Path) -> None:
    clone = lean.copy(tmp_path / "clone")
    whole = lean.read("dvc.lock")
    cuts = [0, whole.index("hash: md5") + 7, *random.Random("cuts").sample(range(len(whole)), 6)]
    unreadable = 0
    for cut in cuts:
        (clone.root / "dvc.lock").write_text(whole[:cut], encoding="utf-8")
        result = clone.dvc("repro", check=False)
        if result.returncode:
            unreadable += 1
            said = clone.run(sys.executable, "-m", "glyphline.review.integrity", check=False).stdout
            assert said.startswith("dvc.lock: DVC cannot read it: "), said
            assert "; delete it, then run: dvc repro" in said
            assert len(said.splitlines()) == 1
            (clone.root / "dvc.lock").unlink()
            result = clone.dvc("repro")
        assert "Traceback" not in result.stdout
        assert RUNNING.findall(result.stdout) == [], cut
        assert differing(lean, clone) == []
    assert 0 < unreadable < len(cuts)


@pytest.mark.parametrize("stage", ["preprocess", "train@mlp", "tune@tuned", "evaluate"])
def test_a_stage_that_outlives_its_dvc_does_no_harm_to_the_next_run(
    lean: Clone, complete: Clone, seconds: dict[str, float], stage: str
) -> None:
    delay = random.Random(f"orphans of {stage}").uniform(0.2, 0.6) * seconds[stage]

    def strike_after(delay: float) -> bool:
        if stage == "tune@tuned":
            shutil.rmtree(complete.root / "runs/search", ignore_errors=True)  # it would go on from trials that are done
        return strike(complete, stage, f"Running stage '{stage}'", delay, group=False)

    # A blow that comes too late does not count, and the next comes earlier.
    assert any(strike_after(delay / 2**misses) and at_work(complete) for misses in range(6)), "nothing outlived DVC"
    repro(complete, "--force", "--single-item", stage)
    wait_until(lambda: not at_work(complete), f"nothing of {stage} is left")
    repro(complete)
    assert_same(lean, complete)


def test_a_killed_search_takes_its_workers_with_it(lean: Clone, complete: Clone) -> None:
    shutil.rmtree(complete.root / "runs/search")
    process = complete.start("dvc", "repro", "--force", "--single-item", "tune@tuned", PYTHONUNBUFFERED="1")
    said = "".join(lines_until(process, "1 of 2 done"))
    found = [each for each in psutil.Process(process.pid).children(recursive=True) if "stages.tune" in each.cmdline()]
    assert found, said
    assert any("glyphline.search.trial" in command for command in at_work(complete))
    found[-1].kill()
    process.communicate()
    assert process.returncode != 0
    wait_until(lambda: not at_work(complete), "the workers are gone")
    # Forced: DVC may know what comes of a search that was over before.
    said = complete.dvc("repro", "--force", "--single-item", "tune@tuned").stdout
    assert "1 of 2 trials were done before" in said
    assert_same(lean, complete)
