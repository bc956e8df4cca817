"""A search's winner from metrics/search/tuned/winner.json to a trained variant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from glyphline.model.variant import Variant
from stages import train_winner
from tests.conftest import Labelled, Write, refusal
from tests.stages.test_train import prepare

SEARCH: dict[str, Any] = {
    "trials": 1,
    "fixed": {"batch_size": 50, "epochs": 9},
    "space": {"dense": {"choices": [[8]]}},
    "final": {"epochs": 1, "dense_dropout": 0.25},
}


def found(folder: Path, **changes: Any) -> None:
    """Write what tune writes: the winner's variant, whole."""
    variant = Variant.model_validate(SEARCH["fixed"] | {"dense": [8]} | changes).model_dump()
    (folder / "metrics/search/tuned").mkdir(parents=True)
    winner = {"trial": 0, "validation_accuracy": 0.5, "best_epoch": 1, "variant": variant}
    (folder / "metrics/search/tuned/winner.json").write_text(json.dumps(winner), encoding="utf-8")


def test_the_winner_is_trained_with_final_on_top(world: Path, digits: Labelled, write_params: Write) -> None:
    prepare(world, digits)
    write_params(searches={"tuned": SEARCH})
    found(world)
    train_winner.main("tuned")
    assert (world / "models/tuned.keras").is_file()
    metrics = json.loads((world / "metrics/train/tuned.json").read_text(encoding="utf-8"))
    assert metrics["epochs"] == 1
    assert metrics["parameters"] == 784 * 8 + 8 + 8 * 10 + 10
    assert "dense_dropout_1" in (world / "data/layers/tuned.csv").read_text(encoding="utf-8")
    assert len((world / "metrics/history/tuned.csv").read_text(encoding="utf-8").splitlines()) == 1 + 1


@pytest.mark.parametrize(
    ("final", "said"),
    [
        ({"first_convolution_l2": 0.1}, "together with what was found: first_convolution"),
        ({"filters": [4] * 4}, "convolution 4 of 4 leaves nothing of a 28x28 image"),
    ],
)
def test_a_final_that_makes_no_network_is_one_sentence_with_the_section_to_change(
    world: Path, digits: Labelled, write_params: Write, final: dict[str, Any], said: str
) -> None:
    prepare(world, digits)
    write_params(searches={"tuned": SEARCH | {"final": final}})
    found(world)
    assert refusal(train_winner.main, "tuned").startswith(f"params.yaml: searches.tuned.final: {said}")
    assert not (world / "models").exists()


def test_a_winner_that_goes_astray_is_one_sentence_with_the_key_to_change(
    world: Path, digits: Labelled, write_params: Write
) -> None:
    prepare(world, digits)
    write_params(searches={"tuned": SEARCH})
    found(world, optimizer="sgd", learning_rate=1e38)
    assert refusal(train_winner.main, "tuned").startswith("params.yaml: searches.tuned.final.learning_rate: ")
    assert not (world / "models").exists()
