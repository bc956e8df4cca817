"""What dvc.yaml declares, stage by stage, and what code a stage comes to."""

import ast
import functools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from ruamel.yaml import YAML

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


def declarations(folder: Path) -> dict[str, Needs]:
    """By stage, `train@mlp` for one of a loop's, what the dvc.yaml in a folder declares."""
    yaml = YAML(typ="safe")
    stages = yaml.load((folder / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    params = yaml.load((folder / "params.yaml").read_text(encoding="utf-8"))
    found: dict[str, Needs] = {}
    for name, stage in stages.items():
        if "do" in stage:
            text = json.dumps(stage["do"])
            found |= {f"{name}@{key}": _needs(json.loads(text.replace("${key}", key))) for key in params["variants"]}
        else:
            found[name] = _needs(json.loads(json.dumps(stage).replace("${dataset}", params["dataset"])))
    return found


def _needs(stage: dict[str, Any]) -> Needs:
    def names(*sections: str) -> set[str]:
        entries = [entry for section in sections for entry in stage.get(section, [])]
        return {next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries}

    return Needs(names("deps"), names("outs", "metrics", "plots"), names("params"))


def module_name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in CODE}


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
