"""docs/guarantees.md names tests that exist, and leaves out none that holds a guarantee."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs/guarantees.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE))


def names_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_test_named_on_the_page_exists() -> None:
    assert len(NAMED) > 20, "the page names its tests as `file::test`"
    gone = [f"{file}::{name}" for file, name in sorted(NAMED) if name not in names_in(REPOSITORY / file)]
    assert not gone


def test_every_guarantee_that_is_tested_stands_on_the_page() -> None:
    files = [path for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__)]
    held = {(path.relative_to(REPOSITORY).as_posix(), name) for path in files for name in names_in(path)}
    assert held - NAMED == set()
