"""`glyphline review` from end to end, in real repositories with the real git and DVC."""

import shutil
from pathlib import Path

import pytest

from glyphline import paths
from glyphline.cli import main
from tests.conftest import Capture, edit
from tests.review.conftest import Flags, Scratch, start, wrong

GATE = {"accuracy_floor": 0.9, "accuracy_drop": 0.005}


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Scratch:
    """An honest run of one variant on the main branch, and a new branch."""
    repository = start(tmp_path_factory.mktemp("command") / "scratch")
    repository.start_dvc()
    repository.write_params(gate=GATE)
    run(repository, wrong(range(30)))
    repository.git("switch", "--quiet", "--create", "idea")
    return repository


@pytest.fixture
def honest(history: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scratch:
    """That repository, to do with as one likes; the working directory."""
    repository = history.copy(tmp_path / "scratch")
    monkeypatch.chdir(repository.root)
    return repository


def run(scratch: Scratch, right: Flags) -> None:
    """Commit a run in which the variant mlp is right where the flags say."""
    scratch.write_results({"mlp": right})
    scratch.lock()
    scratch.commit()


def outcome(capsys: Capture, *arguments: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of `glyphline review`."""
    status = main(["review", *arguments])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_a_better_variant_passes_the_gate_even_from_a_folder_in_the_repository(
    honest: Scratch, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(honest, wrong(range(10)))
    monkeypatch.chdir(honest.root / "metrics")
    status, out, err = outcome(capsys, "--gate")
    assert (status, err) == (0, "")
    assert out.startswith("**1 of 1 variant changed beyond noise: 1 better. The gate passes.**\n")


def test_a_worse_variant_fails_the_gate_by_name(honest: Scratch, capsys: Capture) -> None:
    run(honest, wrong(range(120)))
    status, out, err = outcome(capsys, "--gate")
    assert status == 1
    assert "The gate fails: 2 limits." in out.splitlines()[0]
    assert "glyphline review: mlp: accuracy is 88 %, below its floor of 90 %" in err
    assert "mlp: accuracy fell from 97 % to 88 %, beyond noise" in err
    assert outcome(capsys)[0] == 0, "without --gate it only says so"


def test_falls_within_noise_that_add_up_fail_the_gate_against_a_baseline(honest: Scratch, capsys: Capture) -> None:
    honest.git("tag", "v1")
    for errors in (range(10, 47), range(20, 64), range(30, 81), range(40, 98)):  # each: 17 lost, 10 gained
        run(honest, wrong(errors))
        assert outcome(capsys, "--gate", "HEAD^")[0] == 0
    status, out, err = outcome(capsys, "--gate", "--baseline", "v1", "HEAD^")
    assert status == 1
    assert "The gate fails: 1 limit." in out.splitlines()[0]
    assert "(v1): mlp: accuracy fell from 97 % to 94.2 %, beyond noise; a drop of 0.5 points is allowed" in err
    assert "git knows no such revision" in outcome(capsys, "--gate", "--baseline", "v2")[2]


def test_a_metric_changed_by_hand_fails_the_gate(honest: Scratch, capsys: Capture) -> None:
    run(honest, wrong(range(25)))
    edit(honest.root / paths.TEST_METRICS, lambda metrics: metrics["mlp"].update(accuracy=0.99))
    honest.commit()
    status, out, err = outcome(capsys, "--gate")
    assert status == 1
    assert "### Problems in the repository" in out
    assert "but metrics/predictions/mlp.csv gives 97.5 %" in err.replace("\n", " ")


def test_a_clone_without_data_is_enough(
    honest: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    run(honest, wrong(range(10)))
    there = outcome(capsys, "main")[1]
    clone = honest.cloned(tmp_path / "clone")
    monkeypatch.chdir(clone.root)
    status, out, _ = outcome(capsys, "origin/main", "--gate", "--html", str(tmp_path / "out/page.html"))
    assert status == 0
    assert out.replace("origin/main", "main") == there
    assert "Test images that changed" not in (tmp_path / "out/page.html").read_text(encoding="utf-8")
    assert clone.git("status", "--porcelain") == ""


def test_with_the_cache_the_page_has_a_gallery(honest: Scratch, tmp_path: Path, capsys: Capture) -> None:
    run(honest, wrong(range(10)))
    shutil.rmtree(honest.root / "data")
    assert outcome(capsys, "--html", str(tmp_path / "page.html"))[0] == 0
    assert "Test images that changed" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_wrong_parameters_are_a_problem_of_the_repository(honest: Scratch, capsys: Capture) -> None:
    honest.write_params(gate={"accuracy_flor": 0.9})
    status, _, err = outcome(capsys, "--gate")
    assert status == 1
    assert "params.yaml: gate.accuracy_flor: unknown key; did you mean accuracy_floor?" in err


def test_what_cannot_be_reviewed_is_one_sentence_and_status_1(honest: Scratch, capsys: Capture) -> None:
    def refused(*arguments: str) -> str:
        status, out, err = outcome(capsys, *arguments)
        assert (status, out, len(err.splitlines())) == (1, "", 1)
        return err

    assert "nowhere: git knows no such revision" in refused("nowhere")
    honest.write(paths.PARAMS, "a: [")
    assert "params.yaml: line 1 is not YAML" in refused()
    (honest.root / paths.TEST_METRICS).unlink()
    assert "it has no metrics/test.json" in refused()
    shutil.rmtree(honest.root / ".git")
    assert "this is not a git repository" in refused()
