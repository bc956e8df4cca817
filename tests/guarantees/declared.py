"""What dvc.yaml declares, stage by stage, and what code a stage comes to."""

import ast
import functools
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from dvc.dependency import ParamsDependency
from dvc.repo import Repo
from dvc.stage import PipelineStage
from pydantic import BaseModel

from glyphline.config import Params
from tests.conftest import REPOSITORY

CODE = sorted(
    path.relative_to(REPOSITORY) for room in ("glyphline", "stages") for path in (REPOSITORY / room).rglob("*.py")
)


@dataclass
class Needs:
    """Paths and keys of params.yaml; a path stands for all that lies under it, and so does a key."""

    read: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    parameters: set[str] = field(default_factory=set)


def under(name: str, names: Iterable[str], separator: str) -> bool:
    """Whether a path (separator /) or a key (.) is one of some names or lies under one."""
    return any(name == above or name.startswith(above + separator) for above in names)


@contextmanager
def repository(folder: Path) -> Iterator[Repo]:
    """A folder as DVC sees it."""
    with warnings.catch_warnings(), Repo(str(folder)) as repo:
        warnings.simplefilter("ignore", DeprecationWarning)  # of a library that DVC uses
        yield repo


def declarations(folder: Path) -> dict[str, Needs]:
    """By stage, `train@mlp` for one of a loop's, what DVC reads in a folder's dvc.yaml."""
    with repository(folder) as repo:
        return {stage.name: _needs(stage) for stage in repo.index.stages if isinstance(stage, PipelineStage)}


def _needs(stage: Any) -> Needs:
    params = [entry for entry in stage.deps if isinstance(entry, ParamsDependency)]
    return Needs(
        {entry.def_path for entry in stage.deps if entry not in params},
        {out.def_path for out in stage.outs},
        {key for entry in params for key in entry.params},
    )


MODULES = {".".join(path.with_suffix("").parts).removesuffix(".__init__"): path for path in CODE}


@functools.cache
def imported(path: Path) -> frozenset[Path]:
    """Our files that a file imports, at its top or inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            assert node.module is not None
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(MODULES[name] for name in names if name in MODULES)


def dependency(path: Path) -> str | None:
    """What a stage that uses a file declares: its folder, or a stage's file; None for a module at the root."""
    if path.parts[0] == "stages":
        return None if path.name == "__init__.py" else str(path)
    return str(Path(*path.parts[:2])) if len(path.parts) > 2 else None


def closure(path: Path) -> set[str]:
    """The dependencies that a stage's file, and whatever it imports, come to. Modules at the root are not followed."""
    found: set[Path] = set()
    waiting = {path}
    while waiting:
        found |= waiting
        waiting = {file for each in waiting for file in imported(each) if dependency(file)} - found
    return {name for name in map(dependency, found) if name}


def schemas(needs: Needs) -> set[str]:
    """The dependencies that say what the sections of params.yaml mean which a stage reads; config.py for the whole."""
    if "params.yaml" in needs.read:
        return {"glyphline/config.py", *closure(Path("glyphline/config.py"))}
    modules = {
        each for key in needs.parameters for each in _modules_of(Params.model_fields[key.split(".")[0]].annotation)
    }
    return {name for module in modules for name in closure(MODULES[module])}


def _modules_of(kind: Any) -> Iterator[str]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind.__module__
        for each in kind.model_fields.values():
            yield from _modules_of(each.annotation)
    for part in get_args(kind):
        yield from _modules_of(part)
