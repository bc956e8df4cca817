"""The section `searches` of params.yaml: what it says, and what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest

from glyphline.config import Params, parse_params
from glyphline.errors import ParamsError
from tests.conftest import refusal
from tests.search.conftest import SEARCH

REST: dict[str, Any] = {
    "seed": 1,
    "dataset": "mnist-5k",
    "preprocess": {"validation_fraction": 0.1},
    "variants": {"mlp": {"dense": [8], "epochs": 1}},
}


def parse(**changes: Any) -> Params:
    return parse_params(REST | {"searches": {"tuned": SEARCH | changes}}, "params.yaml")


def test_what_a_search_finds_is_judged_beside_the_variants() -> None:
    assert parse().judged() == ["mlp", "tuned"]
    assert parse_params(REST, "params.yaml").judged() == ["mlp"]


def entries(**each: Any) -> dict[str, Any]:
    return {"dense": {"count": {"low": 1, "high": 2}, "each": each}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trails": 3}, ".trails: unknown key; did you mean trials?"),
        ({"trials": 0}, ".trials: input should be greater than or equal to 1, but it is 0"),
        ({"fixed": {"dens": [1], "epochs": 1}}, ".fixed.dens: unknown key; did you mean dense?"),
        ({"fixed": {}}, ".fixed.epochs: this key is missing"),
        ({"space": {}}, ".space: "),
        ({"space": {"lr": {"low": 1, "high": 2}}}, ".space: a variant has no key lr; known: "),
        ({"space": {"epochs": {"low": 1, "high": 2}}}, ".space: epochs is not searched: "),
        ({"space": {"learning_rate": 0.1}}, ".space.learning_rate: "),
        ({"space": {"learning_rate": {"low": 0.1, "hihg": 1}}}, ".space.learning_rate.high: this key is missing"),
        ({"space": {"learning_rate": {"low": "1", "high": 2}}}, ".space.learning_rate.low: expected a number, but it"),
        ({"space": {"learning_rate": {"low": 3, "high": 2}}}, ".space.learning_rate: low (3) is above high (2)"),
        ({"space": {"learning_rate": {"low": 0.0, "high": 1.0}}}, ".space: learning_rate cannot be 0.0: "),
        ({"space": {"learning_rate": {"low": 0.0, "high": 1.0, "log": True}}}, ".space.learning_rate: with log, "),
        ({"space": {"batch_size": {"low": 32, "high": 100, "step": 32}}}, ".space.batch_size: steps of 32 from "),
        ({"space": {"activation": {"choices": ["reluu"]}}}, ".space: activation cannot be 'reluu': "),
        ({"space": {"activation": {"choices": []}}}, ".space.activation.choices: "),
        ({"space": entries(lo=1, high=2)}, ".space.dense.each.lo: unknown key; did you mean low?"),
        ({"space": entries(choices=["a"])}, ".space: dense cannot be ['a']: "),
        ({"space": entries(count=3)}, ".space.dense.each: expected a range or choices; "),
        ({"space": {"augmentation": {"shift": {"low": -1.0, "high": 1.0}}}}, ".space: augmentation cannot be"),
        ({"space": {"augmentation": {"shfit": {"low": 0.0, "high": 1.0}}}}, ".space: augmentation cannot be"),
        ({"space": {"augmentation": {"shift": {"low": 0.0}}}}, ".space.augmentation.shift.high: this key is "),
        ({"minutes": 0}, ".minutes: input should be greater than 0, but it is 0"),
        ({"stopping": "successive_halving"}, ": stopping: in place of successive_halving write rungs, "),
        ({"stopping": "rungs"}, ": rungs: expected rising epochs below fixed.epochs, 6, but they are []"),
        ({"stopping": "rungs", "rungs": [2, 6]}, ": rungs: expected rising epochs below fixed.epochs, 6, but they"),
        ({"stopping": "rungs", "rungs": [1], "sampler": "tpe"}, ": sampler: rungs begin all trials before "),
        (
            {"stopping": "rungs", "rungs": [1], "fixed": {"epochs": 2, "early_stopping": 1}},
            ": fixed.early_stopping: rungs say when a trial ends; ",
        ),
        ({"final": {"epoch": 3}}, ".final: a variant has no key epoch; did you mean epochs?"),
        ({"final": {"epochs": 0}}, ".final: epochs cannot be 0: "),
        (
            {"scheduler": "tcp://10.0.0.1:1", "tls_key": None},
            ": remove scheduler, tls_key; in their place set the environment's GLYPHLINE_SCHEDULER, GLY",
        ),
    ],
)
def test_what_makes_no_search_is_refused_by_key(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ParamsError) as caught:
        parse(**changes)
    lines = str(caught.value).splitlines()
    assert any(line.startswith(f"params.yaml: searches.tuned{said}") for line in lines), lines


def test_the_names_of_searches_and_variants_differ() -> None:
    both = {"variants": {"tuned": {"epochs": 1}}, "searches": {"tuned": SEARCH}}
    said = refusal(parse_params, REST | both, "params.yaml")
    assert said.startswith("params.yaml: searches: tuned: a variant has this name already; rename one")
    gate = {"variants": {"tuned": {"accuracy_floor": 0.5}}}
    assert parse_params(REST | {"gate": gate}, "params.yaml").gate.limits("tuned").accuracy_floor == 0.5


def test_a_file_of_before_is_told_how_to_change() -> None:
    said = refusal(parse_params, REST | {"search": SEARCH}, "params.yaml")
    assert re.match(r"params.yaml: search: .* searches.tuned; move its keys there, but workers and ", said)
