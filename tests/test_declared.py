"""What a stage's code imports is what dvc.yaml declares of code, and imports go one way through the folders."""

from pathlib import Path

import pytest

from glyphline.review.integrity import problems
from tests.conftest import REPOSITORY, python
from tests.guarantees.declared import CODE, MODULES, closure, declarations, dependency, imported, schemas
from tests.pipeline.conftest import copy_tree, start_repository

DECLARED = declarations(REPOSITORY)
# In the order of the work. A folder imports from itself and from those before it.
FOLDERS = ("data", "model", "search", "evaluation", "figures", "report", "review", "predict", "serve", "export")


@pytest.mark.parametrize("name", DECLARED)
def test_a_stage_declares_the_code_that_it_uses_and_the_schemas_of_what_it_reads(name: str) -> None:
    needs = DECLARED[name]
    needed = closure(Path("stages", name.partition("@")[0]).with_suffix(".py")) | schemas(needs)
    declared = {path for path in needs.read if path.startswith(("glyphline/", "stages/"))}
    assert declared == needed, f"missing: {sorted(needed - declared)}; in vain: {sorted(declared - needed)}"


def test_every_stage_has_a_module_and_every_module_a_stage() -> None:
    modules = {path.stem for path in (REPOSITORY / "stages").glob("*.py")} - {"__init__"}
    assert modules == {name.partition("@")[0] for name in DECLARED}


def test_imports_go_from_later_folders_to_earlier_ones() -> None:
    for path in CODE:
        if path.parts[0] == "glyphline" and len(path.parts) > 2:
            earlier = FOLDERS[: FOLDERS.index(path.parts[1]) + 1]
            allowed = {None, *(f"glyphline/{name}" for name in earlier)}
            assert {dependency(file) for file in imported(path)} <= allowed, path


def test_no_module_imports_tensorflow_before_it_needs_it() -> None:
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    early = [heavy for heavy in ('tensorflow', 'keras') if heavy in sys.modules]\n"
        "    assert not early, f'{name} imports {early}'\n"
    )
    result = python("-c", program, *MODULES)
    assert result.returncode == 0, result.stderr


def test_the_lock_agrees_with_what_lies_in_git(tmp_path: Path) -> None:
    copy_tree(tmp_path)
    start_repository(tmp_path)
    assert problems(tmp_path) == []
