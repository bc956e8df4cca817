"""The first stage: nothing runs on a params.yaml that is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from glyphline.data.records import DATASETS
from glyphline.errors import ParamsError
from stages import check
from tests.conftest import REPOSITORY, Run, Write


def test_an_unknown_data_set_is_refused_with_the_known_ones(write_params: Write, run_stage: Run, world: Path) -> None:
    write_params(dataset="emnist")
    result = run_stage("check")
    assert result.returncode == 1
    assert result.stderr == (
        "params.yaml: dataset: 'emnist' is not one of mnist-5k, mnist, fashion-mnist, kmnist, k49\n"
    )
    assert not (world / "data").exists()


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_known_data_set_passes(write_params: Write, world: Path, dataset: str) -> None:
    write_params(dataset=dataset)
    check.main()
    assert (world / "data/params.schema.json").is_file()


def test_what_the_schema_forbids_is_refused(write_params: Write) -> None:
    write_params(speed=11)
    with pytest.raises(ParamsError, match=r"^params\.yaml: speed: unknown key"):
        check.main()


def test_the_schema_for_editors_depends_on_the_code_alone(write_params: Write, world: Path) -> None:
    write_params()
    check.main()
    first = (world / "data/params.schema.json").read_bytes()
    write_params(seed=8, dataset="k49", limit=None)
    check.main()
    assert (world / "data/params.schema.json").read_bytes() == first


def test_the_schema_names_every_key_and_every_data_set(write_params: Write, world: Path) -> None:
    write_params()
    check.main()
    schema = json.loads((world / "data/params.schema.json").read_text(encoding="utf-8"))
    assert list(schema["properties"]) == ["seed", "dataset", "limit", "preprocess", "variants", "search", "gate"]
    assert schema["properties"]["dataset"]["enum"] == list(DATASETS)
    assert schema["additionalProperties"] is False
    assert set(schema["$defs"]["Variant"]["properties"]) >= {"filters", "dense", "optimizer", "epochs"}


def test_the_repository_s_own_parameters_pass(world: Path, run_stage: Run) -> None:
    (world / "params.yaml").write_bytes((REPOSITORY / "params.yaml").read_bytes())
    result = run_stage("check")
    assert (result.returncode, result.stderr) == (0, "")
    assert (world / "runs/check.json").is_file()
