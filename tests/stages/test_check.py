"""The first stage: nothing runs on a params.yaml that is wrong."""

import json
import os
from pathlib import Path

import pytest

from glyphline.errors import ParamsError
from glyphline.evaluation.metrics import METRICS
from stages import check
from tests.conftest import Write, refusal, replace
from tests.pipeline.conftest import start_repository


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("title:", "speed: 11\ntitle:", "speed: unknown key"),
        ("balanced_accuracy", "loss", f"leading_metric: expected {' or '.join(METRICS)}, but it is 'loss'"),
    ],
)
def test_a_mistake_in_the_record_is_refused_and_in_another_s_is_not(
    write_params: Write, world: Path, old: str, new: str, said: str
) -> None:
    write_params(dataset="k49")
    replace(world / "datasets/k49.yaml", old, new)
    assert refusal(check.main).startswith(f"datasets/k49.yaml: {said}")
    assert not (world / "data").exists()
    write_params(dataset="mnist")
    check.main()


def test_variants_whose_layers_the_images_do_not_outlast_are_refused_together(write_params: Write, world: Path) -> None:
    deep = {"filters": [4] * 4, "epochs": 1}
    variants = {"deep": deep, "thin": {"dense": [8], "epochs": 1}, "deeper": {"filters": [4] * 5, "epochs": 1}}
    rates = {"trials": 1, "space": {"learning_rate": {"low": 0.1, "high": 0.2}}}
    searches = {"found": rates | {"fixed": deep}, "wide": rates | {"fixed": {"epochs": 1}, "final": deep}}
    searches["any"] = rates | {"fixed": deep, "space": {"filters": {"choices": [[4]]}}}  # a trial tells
    write_params(variants=variants, searches=searches)
    with pytest.raises(ParamsError) as caught:
        check.main()
    assert [line.partition(";")[0] for line in str(caught.value).splitlines()] == [
        "params.yaml: variants.deep: convolution 4 of 4 leaves nothing of a 28x28 image",
        "params.yaml: variants.deeper: convolution 4 of 5 leaves nothing of a 28x28 image",
        "params.yaml: searches.found.fixed: convolution 4 of 4 leaves nothing of a 28x28 image",
        "params.yaml: searches.wide.final: convolution 4 of 4 leaves nothing of a 28x28 image",
    ]
    replace(world / "datasets/mnist-5k.yaml", "side: 28", "side: 128")
    check.main()


def test_git_takes_back_a_value_that_was_refused(write_params: Write, world: Path) -> None:
    """Even where the file's size and time are those of the committed one, which is all that git compares at first."""
    params = world / "params.yaml"
    write_params(seed=7)
    os.utime(params, (1e9, 1e9))
    clone = start_repository(world)
    clone.git("config", "core.trustctime", "false")
    committed = params.read_bytes()
    params.write_bytes(committed.replace(b'"seed": 7', b'"seed": x'))
    os.utime(params, (1e9, 1e9))
    assert clone.git("status", "--porcelain", "--untracked-files=no") == "", "git is fooled"
    with pytest.raises(ParamsError):
        check.main()
    clone.git("checkout", "params.yaml")
    assert params.read_bytes() == committed


def test_the_schema_for_editors_names_every_key_and_depends_on_no_value(write_params: Write, world: Path) -> None:
    written = []
    for changes in ({}, {"seed": 8, "dataset": "k49", "limit": None}):
        write_params(**changes)
        check.main()
        written.append((world / "data/params.schema.json").read_text(encoding="utf-8"))
    assert written[0] == written[1]
    schema = json.loads(written[0])
    assert (
        " ".join(schema["properties"])
        == "seed dataset limit threads preprocess variants searches workers trial_memory_gib gate"
    )
    assert schema["additionalProperties"] is False
    assert set(schema["$defs"]["Variant"]["properties"]) >= {"filters", "dense", "optimizer", "epochs"}
