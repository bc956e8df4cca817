"""What is drawn, when a trial is stopped, and which trial wins: decided without any training."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import create_trial

from glyphline.config import load_params
from glyphline.model.variant import Augmentation, Variant
from glyphline.search import cluster
from glyphline.search.cluster import versions
from glyphline.search.loop import timing_warnings
from glyphline.search.settings import Search
from glyphline.search.space import distributions, merged, suggest
from glyphline.search.study import Study, digest, open_study, pruner, sampler
from glyphline.search.table import winner
from tests.conftest import REPOSITORY, refusal
from tests.search.conftest import SEARCH

R5_SPACE: dict[str, Any] = {
    "dense": {"count": {"low": 1, "high": 5}, "each": {"low": 32, "high": 512, "step": 32}},
    "activation": {"choices": ["relu", "tanh", "sigmoid", "softmax"]},
    "initializer": {"choices": ["he_uniform", "glorot_uniform", "glorot_normal"]},
    "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
}


def search(**changes: Any) -> Search:
    return Search.model_validate(SEARCH | changes)


def test_a_leading_metric_that_no_trial_measures_is_refused() -> None:
    said = refusal(open_study(search(), 1, "", "macro_f1").__enter__)
    assert said.endswith("is 'macro_f1'; remove the searches, or let another metric lead")


def draws(wanted: Search, seed: int, count: int) -> list[dict[str, Any]]:
    study = optuna.create_study(sampler=sampler(wanted, seed))
    return [suggest(study.ask(), wanted.space) for _ in range(count)]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_draw_of_r5_s_space_is_a_variant_of_it(seed: int) -> None:
    r5 = search(space=R5_SPACE)
    for drawn in draws(r5, seed, 5):
        variant = Variant.model_validate(r5.fixed.model_dump() | drawn)
        assert 1 <= len(variant.dense) <= 5
        assert all(units in range(32, 513, 32) for units in variant.dense)
        assert 1e-4 <= variant.learning_rate <= 1e-2


def test_params_yaml_has_r5_s_space() -> None:
    here = load_params(REPOSITORY / "params.yaml").searches["tuned"]
    assert here.space == search(space=R5_SPACE).space
    assert (here.trials, here.fixed.epochs, here.fixed.batch_size) == (10, 10, 64)
    assert (here.sampler, here.stopping) == ("random", "plateau")


def test_a_trial_draws_the_same_whatever_was_drawn_before() -> None:
    r5 = search(space=R5_SPACE)
    in_order = draws(r5, 3, 4)

    study = optuna.create_study(sampler=sampler(r5, 3))
    trials = [study.ask() for _ in range(4)]
    study.tell(trials[1], 0.5)
    backwards = dict(reversed(r5.space.items()))
    again = [suggest(trial, backwards) for trial in (trials[0], trials[3], trials[2])]
    assert again == [in_order[0], in_order[3], in_order[2]]
    assert len({str(drawn) for drawn in in_order}) == 4, "and trials differ from each other"
    assert draws(r5, 4, 4) != in_order, "as seeds do"


def test_a_log_range_draws_each_decade_as_often() -> None:
    drawn = draws(search(space={"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}), 1, 400)
    assert 150 < sum(each["learning_rate"] < 1e-3 for each in drawn) < 250


def test_a_section_of_a_variant_is_drawn_key_by_key_and_its_other_keys_stay() -> None:
    wanted = search(
        fixed={"epochs": 1, "augmentation": {"shift": 1.0, "until": 0.85}},
        space={"augmentation": {"shift": {"low": 2.0, "high": 3.0}, "scale": {"choices": [0.1]}}},
    )
    [drawn] = draws(wanted, 1, 1)
    shift = drawn["augmentation"]["shift"]
    assert 2 <= shift <= 3
    found = Variant.model_validate(merged(wanted.fixed.model_dump(), drawn)).augmentation
    assert found == Augmentation(shift=shift, scale=0.1, until=0.85)
    assert list(distributions(wanted.space)) == ["augmentation.shift", "augmentation.scale"]


@pytest.mark.parametrize(
    ("accuracies", "stops"),
    [
        ([], False),
        ([0.5], False),
        ([0.5, 0.4], False),
        ([0.5, 0.4, 0.45], True),
        ([0.1, 0.1, 0.1], True),
        ([0.1, 0.1, 0.2], False),
        ([0.5, 0.4, 0.6, 0.6], False),
        ([0.5, 0.4, 0.6, 0.6, 0.5], True),
    ],
)
def test_plateau_stops_after_two_epochs_without_a_higher_accuracy(accuracies: list[float], stops: bool) -> None:
    study = optuna.create_study(direction="maximize", pruner=pruner(search()))
    for _ in range(5):  # at which it does not look
        study.add_trial(create_trial(value=0.99, intermediate_values=dict.fromkeys(range(1, 6), 0.99)))
    trial = study.ask()
    for epoch, accuracy in enumerate(accuracies, start=1):
        trial.report(accuracy, epoch)
    assert trial.should_prune() is stops


def test_a_study_comes_back_from_its_file_with_what_was_under_way(tmp_path: Path) -> None:
    wanted = search(trials=2)
    study = Study(tmp_path / "study.sqlite", wanted, seed=5)
    first = study.next_trial()
    assert first
    second = study.next_trial(busy=[0])
    assert second
    drawn = suggest(first, wanted.space)
    second.suggest_float("learning_rate", 1e-4, 1e-2, log=True)  # and no further
    first.report(0.5, 1)
    study.end(first, stopped=False)
    assert study.next_trial(busy=[1]) is None

    assert not Study(tmp_path / "study.sqlite", search(trials=1), seed=5).has_trials_left
    back = Study(tmp_path / "study.sqlite", wanted, seed=5)
    assert back.has_trials_left
    again = back.next_trial()
    assert again
    assert again.number == 1
    assert [drawn, suggest(again, wanted.space)] == draws(wanted, 5, 2)


@pytest.mark.parametrize("changes", [{"trials": 99}, {"minutes": 1}, {"rungs": [3]}, {"final": {"epochs": 3}}])
def test_what_a_trial_does_not_depend_on_goes_on_with_the_study(changes: dict[str, Any]) -> None:
    assert digest(search(**changes), 1, ["data"], {"keras": "3"}) == digest(search(), 1, ["data"], {"keras": "3"})


def test_what_a_trial_depends_on_begins_a_new_study() -> None:
    dropout = {"dense_dropout": {"choices": [0.1]}}
    others = [
        (search(**changes), 1, ["data"]) for changes in ({"patience": 1}, {"fixed": {"epochs": 3}}, {"space": dropout})
    ]
    others += [(search(), 2, ["data"]), (search(), 1, ["others"])]
    digests = {digest(*each, {"keras": "3"}) for each in (*others, (search(), 1, ["data"]))}
    assert len(digests | {digest(search(), 1, ["data"], {"keras": "4"})}) == 7


@pytest.mark.parametrize("package", ["keras", "numpy", "optuna", "tensorflow"])
def test_another_version_of_what_decides_begins_a_new_study(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = versions()
    monkeypatch.setattr(cluster, "version", lambda name: "0.1" if name == package else version(name))
    assert digest(search(), 1, ["data"], versions()) != digest(search(), 1, ["data"], before)


def test_the_table_tells_how_each_trial_ended_and_the_first_of_the_best_wins(tmp_path: Path) -> None:
    wanted = search(trials=5)
    study = Study(tmp_path / "study.sqlite", wanted, seed=1)
    for number, accuracies in enumerate(([0.2, 0.6], [0.8, 0.9, 0.9], [0.3], [0.9], [])):
        trial = study.next_trial(busy=range(number))
        assert trial
        suggest(trial, wanted.space)
        for epoch, accuracy in enumerate(accuracies, start=1):
            trial.report(accuracy, epoch)
        if trial.number == 2:
            study.fail(trial, "diverged in epoch 2", transient=False)
        elif trial.number == 4:
            study.fail(trial, "out of memory", transient=True)
        else:
            study.end(trial, stopped=trial.number == 1)
    table = study.table()
    assert list(table["state"]) == ["complete", "stopped", "failed", "complete", "failed"]
    assert list(table["epochs"]) == [2, 3, 1, 1, 0]
    assert list(table["failure"]) == ["", "", "diverged in epoch 2", "", "out of memory"]
    assert winner(table) == 1, "the first of equals"
    assert (table["validation_score"][1], table["best_epoch"][1]) == (0.9, 2)
    assert winner(table[table["state"] == "failed"]) is None
    text = table.to_csv(index=False)
    assert all("." not in cell for line in text.splitlines()[1:] for cell in line.split(",")[5:8]), "whole numbers"
    again = Study(tmp_path / "study.sqlite", wanted, seed=1)
    assert [trial.number for trial in [again.next_trial()] if trial] == [4], "a failure that may pass is tried again"
    assert again.next_trial(busy=[4]) is None


def test_what_is_not_reproducible_is_said() -> None:
    around = search(sampler="tpe")
    assert timing_warnings("auto", around, threads=1) == timing_warnings("auto", search(), threads=2) == []
    [warning] = timing_warnings("auto", around, threads=2)
    assert warning.startswith("searches.auto.sampler: tpe looks at other trials, ")
