"""What dvc.yaml declares, stage by stage."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from ruamel.yaml import YAML

from glyphline.config import Params


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


def schemas(needs: Needs) -> set[str]:
    """The code that says what the sections of params.yaml mean which a stage reads: folders, and config.py for all."""
    sections: list[Any] = [Params.model_fields[key.partition(".")[0]].annotation for key in needs.parameters]
    if "params.yaml" in needs.read:
        sections.append(Params)
    return {name for section in sections for name in _code_of(section)}


def _code_of(kind: Any) -> Iterator[str]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        parts = kind.__module__.split(".")
        yield "/".join(parts[:2]) + (".py" if len(parts) == 2 else "")
        for each in kind.model_fields.values():
            yield from _code_of(each.annotation)
    for part in get_args(kind):
        yield from _code_of(part)
