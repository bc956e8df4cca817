from typing import Any

import pytest

from glyphline.evaluation.metrics import METRICS
from glyphline.review import experiments
from tests.conftest import refusal

ENDS = {"": 0.95, "_low": 0.9, "_high": 0.99}
SCORE = {"loss": 0.1, "n": 1000} | {f"{name}{end}": ENDS[end] for name in METRICS for end in ENDS}


def experiment(
    name: str | None, accuracy: float, seed: int = 1, state: str | None = None, **mlp: Any
) -> dict[str, Any]:
    """One experiment as `dvc exp show --json` lists it, in the state that its executor says."""
    params = {"seed": seed, "variants": {"mlp": {"epochs": 2, "dense": [512], **mlp}}}
    data = {
        "params": {"params.yaml": {"data": params}},
        "metrics": {"metrics/test.json": {"data": {"mlp": SCORE | {"accuracy": accuracy}}}},
    }
    executor = None if state is None else {"state": state, "name": "dvc-task", "local": None}
    return {"revs": [{"rev": "0" * 40, "name": name, "data": data}], "executor": executor, "name": name}


def listing(*experiments: dict[str, Any]) -> list[Any]:
    return [{"rev": "workspace", "experiments": None}, {"rev": "1" * 40, "experiments": list(experiments)}]


GRID = listing(
    experiment("d", 0.98, optimizer="sgd", epochs=15),
    experiment("a", 0.95, optimizer="adam", epochs=2),
    experiment("c", 0.97, optimizer="sgd", epochs=2),
    experiment("b", 0.96, optimizer="adam", epochs=15),
)


@pytest.mark.parametrize(
    ("found", "swept", "values"),
    [
        ([experiment(f"e{epochs}", 0.9, epochs=epochs) for epochs in (15, 2, 10)], "epochs", [2, 10, 15]),
        ([experiment("a", 0.9, seed=10), experiment("b", 0.8, seed=9)], "seed", [9, 10]),  # outside the variant
        ([experiment("a", 0.9, dense=[64]), experiment("b", 0.8, dense=[64, 64])], "dense", None),
    ],
)
def test_rows_come_in_the_order_of_what_varied_numbers_by_size(
    found: list[dict[str, Any]], swept: str, values: list[int] | None
) -> None:
    table = experiments.collect(listing(*found), "mlp")
    assert experiments.swept_parameters(table) == [swept]
    assert len(table) == len(found)
    assert values is None or list(table[swept]) == values


UNREADABLE = experiment("new", 0.5)
UNREADABLE["revs"][0] |= {"data": None, "error": {"msg": "YAML file structure is corrupted", "type": ""}}


@pytest.mark.parametrize(
    "new",
    [
        experiment("again", 0.95, optimizer="adam"),
        *(experiment("new", 0.5, state=state, epochs=9) for state in ("queued", "running", "failed")),
        UNREADABLE,
    ],
    ids=["differs elsewhere", "queued", "running", "failed", "unreadable"],
)
def test_a_sweep_shows_what_varied_and_neither_what_varied_elsewhere_nor_what_has_no_result(
    new: dict[str, Any],
) -> None:
    table = experiments.collect(listing(*GRID[1]["experiments"], new), "mlp")
    assert sorted(experiments.swept_parameters(table)) == ["epochs", "optimizer"]
    assert sorted(table[experiments.EXPERIMENT]) == ["a", "b", "c", "d"]


def test_an_experiment_without_a_name_goes_by_its_revision() -> None:
    table = experiments.collect(listing(experiment(None, 0.9, state="success")), "mlp")
    assert list(table[experiments.EXPERIMENT]) == ["0000000"]


def test_no_experiment_says_how_to_make_some() -> None:
    assert "dvc exp run --queue" in refusal(experiments.collect, listing(), "mlp")


def test_the_markdown_has_a_row_for_each_experiment() -> None:
    lines = experiments.to_markdown(experiments.collect(GRID, "mlp")).splitlines()
    assert len(lines) == 2 + 4
    assert len({line.count("|") for line in lines}) == 1
    assert any("adam" in line and "96.00" in line and "15" in line for line in lines)
    assert all(f"test {metric.title}, % | 95 % interval" in lines[0] for metric in METRICS.values())
