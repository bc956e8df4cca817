"""The modules at the root of glyphline/ change no result, so dvc.yaml need not name them as dependencies.

Only check declares one: it writes the schema that config puts together.
"""

import inspect
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from glyphline import config, errors, paths, schema
from glyphline.data.splits import Preprocess
from glyphline.model.variant import Variant
from glyphline.review.limits import Gate
from glyphline.search.settings import Search
from tests.conftest import REPOSITORY, replace
from tests.guarantees.conftest import differing, results
from tests.guarantees.declared import declarations, under
from tests.pipeline.conftest import RUNNING, Clone

# Runs the stages that are named, without stage.run and cli, and with errors that has no words.
PROGRAM = """
import importlib, inspect, sys
from glyphline import errors, stage

def fail(*_):
    raise AssertionError("a result was about to depend on this")

for module in (errors, stage):
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if function.__module__ == module.__name__:
            setattr(module, name, fail)
sys.modules["glyphline.cli"] = None
for name in sys.argv[1:]:
    stage_name, *variant = name.split("@")
    importlib.import_module(f"stages.{stage_name}").main(*variant)
"""


def test_each_has_its_test_here() -> None:
    assert {path.stem for path in REPOSITORY.glob("glyphline/*.py")} == {
        *("__init__", "cli", "config", "errors", "paths", "repro", "schema", "stage"),
    }
    for package in ("glyphline", "stages"):
        assert len((REPOSITORY / package / "__init__.py").read_text(encoding="utf-8").splitlines()) == 1, "a docstring"


@pytest.mark.long
def test_errors_stage_and_cli_take_no_part_in_any_output(clone: Clone, finished: Clone) -> None:
    """Every stage's main() writes the same bytes where they cannot be used, and no record of the run."""
    stages = list(clone.stages())
    records = (clone.root / "runs").glob("*.json")
    for path in [*records, *(clone.root / name for name in results(clone) if name != "dvc.lock")]:
        path.unlink()
    clone.run(sys.executable, "-c", PROGRAM, *stages)
    assert differing(finished, clone) == []
    assert list((clone.root / "runs").glob("*.json")) == []


def test_errors_holds_exceptions_and_words_for_them() -> None:
    for name, member in vars(errors).items():
        if inspect.isclass(member):
            assert issubclass(member, Exception), name
        elif inspect.isfunction(member):
            assert inspect.signature(member).return_annotation is str, name


def test_paths_names_only_what_dvc_yaml_declares() -> None:
    """What a stage writes there is what it declares: test_declared_is_what_happens.py."""
    found = next(iter(config.load_params(REPOSITORY / "params.yaml").searches))
    declared = {path for needs in declarations(REPOSITORY).values() for path in needs.read | needs.written}
    beside = {"runs", "data/downloads", "datasets"}  # of the records download names the chosen one
    for name, value in vars(paths).items():
        path = value(found) if inspect.isfunction(value) else value
        if isinstance(path, Path):
            holds_some = any(under(each, [str(path)], "/") for each in declared)
            assert holds_some or under(str(path), declared | beside, "/"), name
    assert paths.model(found) in map(Path, declared)


def test_schema_gives_what_ruamel_yaml_and_pydantic_give() -> None:
    content = (REPOSITORY / "params.yaml").read_bytes()
    values = schema.parse_yaml(content, "params.yaml")
    assert values == YAML(typ="safe", pure=True).load(content)
    for name, value in values["variants"].items():
        assert schema.validated(Variant, value, name) == Variant.model_validate(value)


@pytest.mark.parametrize("written_out", [True, False], ids=["params.yaml", "the least"])
def test_config_adds_nothing_to_what_the_sections_schemas_say(tmp_path: Path, written_out: bool) -> None:
    values = YAML(typ="safe").load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    if not written_out:
        space = {"dense": {"count": {"low": 1, "high": 2}, "each": {"low": 8, "high": 16}}}
        values |= {"variants": {"least": {"epochs": 1}}, "preprocess": {"validation_fraction": 0.5}, "gate": {}}
        values["searches"] = {"found": {"trials": 1, "fixed": {"epochs": 1}, "space": space}}
    with (tmp_path / "params.yaml").open("w", encoding="utf-8") as stream:
        YAML().dump(values, stream)
    params = config.load_params(tmp_path / "params.yaml")
    assert dict(params) == values | {
        "preprocess": Preprocess.model_validate(values["preprocess"]),
        "variants": {name: Variant.model_validate(value) for name, value in values["variants"].items()},
        "searches": {name: Search.model_validate(value) for name, value in values["searches"].items()},
        "gate": Gate.model_validate(values["gate"]),
    }


def test_a_comment_in_one_of_them_runs_no_stage_but_check(clone: Clone, finished: Clone) -> None:
    for path in clone.root.glob("glyphline/*.py"):
        path.write_text(path.read_text(encoding="utf-8") + "# a comment\n", encoding="utf-8")
    assert RUNNING.findall(clone.dvc("repro").stdout) == ["check"]
    assert differing(finished, clone) == ["dvc.lock"]


def test_a_top_level_value_that_is_left_out_is_refused_by_dvc(clone: Clone) -> None:
    """So config's own default for `limit` decides nothing."""
    replace(clone.root / "params.yaml", "limit: 300\n", "")
    result = clone.dvc("repro", "--single-item", "preprocess", check=False)
    assert result.returncode != 0
    assert "Parameters 'limit' are missing from 'params.yaml'" in result.stdout
