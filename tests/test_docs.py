"""README.md and docs/ say what is so: the tests that they name exist, their links lead somewhere."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def names_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def named_tests(page: Path) -> set[tuple[str, str]]:
    return set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", page.read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@by_page
def test_every_test_that_is_named_exists(page: Path) -> None:
    missing = {(file, name) for file, name in named_tests(page) if not (REPOSITORY / file).is_file()}
    missing |= {(file, name) for file, name in named_tests(page) - missing if name not in names_in(REPOSITORY / file)}
    assert not missing


def test_every_guarantee_that_is_tested_is_named() -> None:
    files = (REPOSITORY / "tests/guarantees").glob("test_*.py")
    held = {(path.relative_to(REPOSITORY).as_posix(), name) for path in files for name in names_in(path)}
    assert held - named_tests(REPOSITORY / "docs/guarantees.md") == set()


@by_page
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    for link in (link for link in links if "://" not in link):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
