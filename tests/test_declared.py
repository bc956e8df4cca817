"""dvc.yaml declares what the code imports, and dvc.lock agrees with what lies in git."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from glyphline.paths import TUNED
from glyphline.review.integrity import problems
from tests.conftest import REPOSITORY
from tests.pipeline.conftest import copy_tree, start_repository

ROOMS = ("glyphline", "stages")


def load(name: str) -> Any:
    return YAML(typ="safe").load((REPOSITORY / name).read_text(encoding="utf-8"))


DVC_YAML = load("dvc.yaml")
PARAMS = load("params.yaml")
STAGES: dict[str, dict[str, Any]] = {name: stage.get("do", stage) for name, stage in DVC_YAML["stages"].items()}


def paths_of(entries: list[Any]) -> list[str]:
    """The paths of deps or outs, of which those with options are mappings."""
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def module_file(module: str) -> Path | None:
    """The file of a module of ours, or None for anybody else's."""
    if module.partition(".")[0] not in ROOMS:
        return None
    stem = REPOSITORY.joinpath(*module.split("."))
    return next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()), None)


def imported(path: Path) -> set[Path]:
    """Our files that a file imports, at its top or inside functions, with the packages that they lie in."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            assert node.module is not None
            modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {file for module in modules for file in [module_file(module)] if file} | packages_of(path)


def packages_of(path: Path) -> set[Path]:
    """The __init__.py files that Python runs before it runs this file."""
    inner = path.relative_to(REPOSITORY).parents
    return {REPOSITORY / folder / "__init__.py" for folder in inner if folder != Path()} - {path}


def closure(path: Path) -> set[Path]:
    """A file and all of our files that it imports, directly or not."""
    found: set[Path] = set()
    waiting = {path}
    while waiting:
        found |= waiting
        waiting = {file for path in waiting for file in imported(path)} - found
    return found


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_declares_every_module_that_it_imports_and_no_other(name: str) -> None:
    declared = {path for path in paths_of(STAGES[name]["deps"]) if path.endswith(".py")}
    needed = {str(path.relative_to(REPOSITORY)) for path in closure(REPOSITORY / "stages" / f"{name}.py")}
    assert declared == needed, f"missing: {sorted(needed - declared)}; in vain: {sorted(declared - needed)}"


def test_the_closure_follows_imports_inside_functions_and_through_other_modules() -> None:
    found = {str(path.relative_to(REPOSITORY)) for path in closure(REPOSITORY / "stages/train.py")}
    assert {"stages/__init__.py", "stages/train.py", "glyphline/__init__.py"} <= found
    assert "glyphline/archive.py" in found, "training imports it, and train imports training"
    assert "glyphline/fetch.py" not in found


def test_every_stage_has_a_module_and_every_module_a_stage() -> None:
    modules = {path.stem for path in (REPOSITORY / "stages").glob("*.py")} - {"__init__"}
    assert modules == set(STAGES)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_runs_its_module(name: str) -> None:
    assert STAGES[name]["cmd"].split()[:3] == ["python", "-m", f"stages.{name}"]


def test_every_declared_file_of_ours_exists() -> None:
    declared = {path for stage in STAGES.values() for path in paths_of(stage["deps"]) if path.startswith(ROOMS)}
    assert [path for path in sorted(declared) if not (REPOSITORY / path).is_file()] == []


def test_the_library_imports_nothing_from_the_stages() -> None:
    for path in (REPOSITORY / "glyphline").rglob("*.py"):
        assert [str(file) for file in imported(path) if "stages" in file.relative_to(REPOSITORY).parts] == []


def test_no_module_imports_tensorflow_before_it_needs_it() -> None:
    files = [path.relative_to(REPOSITORY) for room in ROOMS for path in sorted((REPOSITORY / room).rglob("*.py"))]
    modules = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in files]
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    early = [heavy for heavy in ('tensorflow', 'keras') if heavy in sys.modules]\n"
        "    assert not early, f'{name} imports {early}'\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, *modules], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_the_test_set_is_opened_by_one_stage() -> None:
    assert [name for name, stage in STAGES.items() if "data/raw/test.npz" in paths_of(stage["deps"])] == ["evaluate"]


def test_every_confusion_plot_is_a_variant_s_and_every_variant_has_one() -> None:
    shown = [
        options["y"]
        for stage in STAGES.values()
        for entry in stage.get("plots", [])
        if isinstance(entry, dict)
        for options in entry.values()
        if options.get("template") == "confusion"
    ]
    for entry in DVC_YAML.get("plots", []):
        ((title, options),) = entry.items()
        if options.get("template") == "confusion":
            (variant,) = options["y"].values()
            assert options["x"] == dict.fromkeys(options["y"], "label"), title
            assert title == f"confusion of {variant}"
            shown.append(variant)
    assert shown == [*PARAMS["variants"], TUNED], "one each, in the order of params.yaml"


def test_the_lock_agrees_with_what_lies_in_git(tmp_path: Path) -> None:
    copy_tree(tmp_path)
    start_repository(tmp_path)
    assert problems(tmp_path) == []
