"""README.md and docs/ say what is so: the tests that they name exist, links lead somewhere, commands work."""

from __future__ import annotations

import ast
import itertools
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dvc.cli import parse_args
from dvc.utils.hydra import apply_overrides, get_hydra_sweeps

from glyphline.config import load_params
from tests.conftest import REPOSITORY, python
from tests.guarantees.declared import CODE, imported

if TYPE_CHECKING:
    from tests.pipeline.conftest import Clone

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
# What is run as it is written, in a small run of the pipeline.
RUN = (
    "dvc params diff",
    "dvc metrics diff",
    "dvc plots diff",
    "dvc exp show",
    "glyphline export",
    "glyphline predict",
    "glyphline review",
    "glyphline runs",
    "python -m benchmarks.reference_table",
)


def names_in(file: Path) -> set[str]:
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def named_tests(page: Path) -> set[tuple[str, str]]:
    return set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", page.read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def lines_in_blocks(page: Path) -> list[str]:
    """Each line of the sh blocks of a page, without here-documents and comments."""
    text = page.read_text(encoding="utf-8")
    blocks = "".join(re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL))
    blocks = re.sub(r"<<'EOF'\n.*?^EOF\n", "\n", blocks, flags=re.MULTILINE | re.DOTALL).replace("\\\n", " ")
    return [code for line in blocks.splitlines() if (code := re.sub(r"(^|\s+)# .*", "", line).strip())]


def code_spans(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", text)


def commands(page: Path) -> list[list[str]]:
    """The words of each command on a page, without the variables that are set for it."""
    found: list[list[str]] = []
    for line in (*lines_in_blocks(page), *code_spans(page)):
        words: list[str] = []
        try:
            lexer = shlex.shlex(line.replace("$variant", "mlp"), posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            split = [*lexer, ";"]
        except ValueError:  # a code span that is no command, with a quotation mark in it
            continue
        for word in split:
            if word in {";", "&&", "|", "&", ">"}:
                found += [words] if words else []
                words = []
            elif words or not re.match(r"[A-Z_]+=", word):
                words.append(word)
    return found


@by_page
def test_every_test_that_is_named_exists(page: Path) -> None:
    assert [(file, name) for file, name in named_tests(page) if name not in names_in(REPOSITORY / file)] == []


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


def test_the_picture_of_the_rooms_shows_their_imports() -> None:
    def room(path: Path) -> str | None:
        inside = [folder for folder in path.parts[:-1] if folder != "glyphline"]
        return inside[0] if inside else None

    imports = {(room(importer), room(file)) for importer in CODE for file in imported(importer)}
    page = (REPOSITORY / "docs/development.md").read_text(encoding="utf-8")
    drawn = set(re.findall(r"(\w+) -->(?= (\w+))", page))
    assert drawn == {(importer, used) for importer, used in imports if importer != used and importer and used}


@by_page
def test_every_dvc_command_has_options_that_dvc_knows(page: Path) -> None:
    for words in (words for words in commands(page) if words[0] == "dvc" and len(words) > 2):
        try:
            parse_args([word for word in words[1:] if word not in {"...", "FOLDER..."}])
        except Exception as error:
            pytest.fail(f"{shlex.join(words)}: {error}")


@by_page
def test_every_parameter_that_is_set_can_be_set(page: Path, tmp_path: Path) -> None:
    """As `dvc exp run -S` sets it: a key that params.yaml has, or has not after a `+`, and a value that it can have."""
    for words in commands(page):
        values = [after for option, after in itertools.pairwise(words) if option == "-S"]
        for sweep in get_hydra_sweeps({"params.yaml": values}) if values else []:
            params = tmp_path / "params.yaml"
            shutil.copy2(REPOSITORY / params.name, params)
            try:
                apply_overrides(params, sweep[params.name])
            except Exception as error:
                pytest.fail(f"{shlex.join(words)}: {error.__cause__ or error}")
            load_params(params)


@pytest.mark.long
def test_every_benchmark_has_the_options_that_are_named() -> None:
    named: dict[str, set[str]] = {}
    for words in itertools.chain.from_iterable(map(commands, PAGES)):
        if words[:2] == ["python", "-m"] and words[2].startswith("benchmarks."):
            named.setdefault(words[2], set()).update(word for word in words[3:] if word.startswith("--"))
    assert len(named) > 5
    for module, options in named.items():
        shown = python("-m", module, "--help")
        assert shown.returncode == 0, f"{module}: {shown.stderr}"
        assert options <= set(re.findall(r"--[\w-]+", shown.stdout)), module


@by_page
def test_every_make_target_exists(page: Path) -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE)) | {".venv/bench"}
    wanted = {
        word
        for words in commands(page)
        if words[0] == "make"
        for before, word in itertools.pairwise(words)
        if "=" not in word and not word.startswith("-") and before != "-C"
    }
    assert wanted <= targets


AS_WRITTEN = sorted({line for page in PAGES for line in lines_in_blocks(page) if line.startswith(RUN)})


@pytest.fixture(scope="module")
def example(finished: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A small run of the pipeline with a change that has not been run, the network and the pictures that pages name."""
    clone = finished.copy(tmp_path_factory.mktemp("docs") / "clone")
    clone.git("branch", "--move", "--force", "main")
    shutil.copy2(clone.root / "models/mlp.keras", clone.root / "models/small_l2.keras")
    clone.run(sys.executable, "-m", "benchmarks.user_pictures", "--examples", "examples")
    shutil.copy2(clone.root / "examples/19-photograph.jpg", clone.root / "photo.png")
    apply_overrides(clone.root / "params.yaml", ["variants.mlp.learning_rate=0.002"])
    return clone


@pytest.mark.long
@pytest.mark.parametrize("line", AS_WRITTEN)
def test_a_command_works_as_it_is_written(example: Clone, line: str) -> None:
    result = example.run("bash", "-c", line, check=False)
    assert "Traceback" not in result.stdout, result.stdout
    # The small run's networks are below the floors of the gate.
    assert result.returncode == 0 or ("--gate" in line and "glyphline review: " in result.stdout), result.stdout
