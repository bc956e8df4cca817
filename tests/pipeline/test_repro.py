"""The real `dvc repro` and `dvc exp run` in a scratch clone. The tests run in order and build on each other."""

import json
import re

import pytest

from tests.guarantees.declared import declarations
from tests.pipeline.conftest import RUNNING, SEARCHES, VARIANTS, Clone


def stages_run(output: str) -> set[str]:
    return set(RUNNING.findall(output))


def test_one_command_builds_everything(finished: Clone) -> None:
    said = (finished.root.parent / "said.txt").read_text(encoding="utf-8")
    assert stages_run(said) == set(declarations(finished.root))
    scores = json.loads(finished.read("metrics/test.json"))
    assert list(scores) == [*VARIANTS, *SEARCHES]
    assert {score["n"] for score in scores.values()} == {1000}, "the test set is not limited"
    page = finished.read("report/index.html")
    for name in (*VARIANTS, *SEARCHES):
        assert f'id="variant-{name}"' in page
        for path in (
            f"models/{name}.keras",
            f"metrics/train/{name}.json",
            f"metrics/history/{name}.csv",
            f"data/evaluation/{name}/confusion.csv",
            f"plots/{name}/curves.png",
            f"runs/train{'_winner' if name in SEARCHES else ''}@{name}.json",
        ):
            assert (finished.root / path).is_file(), path
    for search in SEARCHES:
        for name in ("history", "importances", "coordinates"):
            assert (finished.root / f"plots/search/{search}/{name}.png").is_file()
        assert f'id="search-{search}"' in page
        assert len(finished.read(f"metrics/search/{search}/trials.csv").splitlines()) == 1 + 2


def test_git_sees_the_metrics_and_the_lock_and_nothing_else(finished: Clone) -> None:
    added = finished.git("diff", "--name-only", "HEAD~1").splitlines()
    assert {path for path in added if not path.startswith("metrics/")} == {"dvc.lock"}


@pytest.mark.long
def test_an_experiment_runs_what_it_changes_or_adds_and_what_follows_and_no_more(clone: Clone) -> None:
    before = clone.read("params.yaml").splitlines()
    new = "+variants.wide={filters:[4,4],kernel_size:5,dense:[8],epochs:1}"
    changes = ("variants.mlp.epochs=2", new, "searches.tuned.fixed.batch_size=32", "workers=2")
    ran = stages_run(clone.dvc("exp", "run", *(word for change in changes for word in ("-S", change))).stdout)
    # Where the trials run changes nothing. A search may come to the same winner, which then is not trained again.
    assert ran - {"train_winner@tuned"} == {
        "check",
        "train@mlp",
        "train@wide",
        "tune@tuned",
        "evaluate",
        "plot",
        "report",
    }
    winner_changed = bool(clone.git("diff", "--stat", "metrics/search/tuned/winner.json"))
    assert ("train_winner@tuned" in ran) == winner_changed
    assert len(clone.read("metrics/history/mlp.csv").splitlines()) == 1 + 2
    assert list(json.loads(clone.read("metrics/test.json"))) == [*VARIANTS, "wide", *SEARCHES]
    assert (clone.root / "plots/wide/network.png").is_file()
    after = clone.read("params.yaml").splitlines()
    changed = [line for line in before if line not in after]  # another entry has as many epochs as mlp had
    assert changed == ["      batch_size: 64", "workers: 1"], "what is left alone is written as before"
    assert len(after) == len(before) + 8, "wide, its four keys and the three numbers in lists"


@pytest.mark.long
def test_the_diffs_tell_what_an_experiment_changed(clone: Clone) -> None:
    params = json.loads(clone.dvc("params", "diff", "--json").stdout)["params.yaml"]
    assert params.pop("variants.mlp.epochs") == {"old": 1, "new": 2, "diff": 1}
    assert params.pop("searches.tuned.fixed.batch_size") == {"old": 64, "new": 32, "diff": -32}
    assert params.pop("workers") == {"old": 1, "new": 2, "diff": 1}
    assert {key.rpartition(".")[0] for key in params} == {"variants.wide"}
    metrics = json.loads(clone.dvc("metrics", "diff", "--json").stdout)
    assert metrics["metrics/train/mlp.json"]["epochs"] == {"old": 1, "new": 2, "diff": 1}
    assert {"mlp", "wide"} <= {key.split(".")[0] for key in metrics["metrics/test.json"]} <= {"mlp", "wide", "tuned"}
    shown = clone.dvc("exp", "show", "--csv", "--only-changed").stdout
    assert "variants.mlp.epochs" in shown


@pytest.mark.long
def test_plots_of_two_revisions_lie_over_each_other(clone: Clone) -> None:
    plots = json.loads(clone.dvc("plots", "diff", "--json").stdout)
    assert not plots.get("errors")
    content = json.dumps(plots["data"]["metrics/history/mlp.csv"])
    assert "HEAD" in content
    assert "workspace" in content
    for name in (*VARIANTS, "wide", *SEARCHES):
        assert f"metrics/predictions/{name}.csv" in plots["data"], "a confusion matrix each"


@pytest.mark.long
def test_going_back_restores_results_without_training(clone: Clone) -> None:
    for left in ("metrics/train/wide.json", "metrics/history/wide.csv", "models/wide.keras", "data/layers/wide.csv"):
        (clone.root / left).unlink()
    clone.git("checkout", "HEAD", "--", "params.yaml")
    assert stages_run(clone.dvc("repro").stdout) <= {"check"}
    clone.git("checkout", "HEAD", "--", "dvc.lock")  # DVC keeps the entry of a variant that is gone
    assert clone.git("status", "--porcelain") == ""
    assert "Data and pipelines are up to date." in clone.dvc("repro").stdout


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("+variants.mlp.dropuot=0.1", "variants.mlp.dropuot"),
        ("dataset=emnist", "dataset"),
    ],
)
def test_a_bad_parameter_stops_everything_with_one_sentence(clone: Clone, override: str, key: str) -> None:
    params = clone.read("params.yaml")
    result = clone.dvc("exp", "run", "-S", override, check=False)
    # Not by `git checkout`: an override of the same length may leave git believing that the file is unchanged.
    (clone.root / "params.yaml").write_text(params, encoding="utf-8")
    assert result.returncode != 0
    assert stages_run(result.stdout) == {"check"}
    said = [line for line in result.stdout.splitlines() if line.startswith("params.yaml: ")]
    assert len(said) == 1
    assert said[0].startswith(f"params.yaml: {key}: ")
    assert "Traceback" not in result.stdout


def test_a_variant_with_the_name_of_a_search_is_refused_before_anything_runs(clone: Clone) -> None:
    params = clone.read("params.yaml")
    result = clone.dvc("exp", "run", "-S", "+variants.tuned={dense:[8],epochs:1}", check=False)
    said = clone.run("python", "-m", "stages.check", check=False)
    (clone.root / "params.yaml").write_text(params, encoding="utf-8")
    assert result.returncode != 0
    assert stages_run(result.stdout) == set()
    assert re.search(r"ERROR: output '.*tuned.*' is specified in", result.stdout), "DVC sees two stages write one file"
    assert "Traceback" not in result.stdout
    assert said.returncode == 1
    assert said.stdout.startswith("params.yaml: searches: tuned: a variant has this name already")
