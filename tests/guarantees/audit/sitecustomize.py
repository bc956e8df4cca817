"""Python runs this file at its start where this folder is on PYTHONPATH: it writes down what a stage opens and reads.

GLYPHLINE_AUDIT names a folder. Every process of a stage writes there, to a file of its own named after the stage, the
files of the working folder that it read or wrote, the folders that it listed, and the keys of params.yaml that it asked
for: a line of JSON each, at once, because the processes that train trials do not live to their end.

It sees what Python is asked to open. No library here opens a file of the working folder behind Python's back but
SQLite, whose journal lies beside its database: strace saw no other.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path.cwd()

READ, WRITTEN, PARAMETERS = "read", "written", "parameters"

told: set[tuple[str, str]] = set()
here = types.SimpleNamespace(log=None, loading=False)  # this process' file, and whether load_params is at work


def inside(path: Any) -> str | None:
    """The path as dvc.yaml would have it, byte-code as its source; None for what lies elsewhere."""
    if not isinstance(path, str | bytes | os.PathLike):
        return None  # an open file's number
    text = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - resolve() would leave for the cache
    if text != str(ROOT) and not text.startswith(f"{ROOT}{os.sep}"):
        return None
    place = Path(text)
    if place.suffix == ".pyc":
        place = Path(importlib.util.source_from_cache(str(place)))
    return place.relative_to(ROOT).as_posix()


def hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        path, _, flags = arguments
        note(READ if flags & os.O_ACCMODE == os.O_RDONLY else WRITTEN, path)
        if not here.loading and inside(path) == "params.yaml":
            tell(PARAMETERS, "*")  # past load_params: anything may be read of it
    elif event in ("os.listdir", "os.scandir"):
        # Python lists the folders that it looks for modules in.
        if "importlib" not in sys._getframe(1).f_code.co_filename:
            note(READ, arguments[0] or ".")
    elif event in ("os.mkdir", "sqlite3.connect"):
        note(WRITTEN, arguments[0])
    elif event == "os.rename":
        note(WRITTEN, arguments[1])


def note(kind: str, path: Any) -> None:
    name = inside(path)
    if name is None or "__pycache__" in name:
        return
    absent = kind == READ and not (ROOT / name).exists()
    byte_code = kind == WRITTEN and "__pycache__" in os.fsdecode(path)
    if not absent and not byte_code:
        tell(kind, name)


def tell(kind: str, name: str) -> None:
    if (kind, name) not in told:
        told.add((kind, name))
        os.write(here.log, f"{json.dumps([kind, name])}\n".encode())


class Entries(dict[str, Any]):
    """The entries of a section, such as variants: who goes through their names has read the section."""

    section: str

    def __iter__(self) -> Iterator[str]:
        tell(PARAMETERS, self.section)
        return super().__iter__()

    def keys(self) -> Any:
        tell(PARAMETERS, self.section)
        return super().keys()

    def values(self) -> Any:
        tell(PARAMETERS, self.section)
        return super().values()

    def items(self) -> Any:
        tell(PARAMETERS, self.section)
        return super().items()


def below(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def watch(module: types.ModuleType) -> None:
    """Have what load_params returns tell which of its fields are asked for."""
    from pydantic import BaseModel

    places: dict[int, tuple[BaseModel, str]] = {}  # the object too, so that its id stays its own
    load = module.load_params
    plain_attribute, plain_dump = BaseModel.__getattribute__, BaseModel.model_dump

    def enter(value: Any, key: str) -> Any:
        if isinstance(value, BaseModel):
            value = value.model_copy()  # two sections may share the object of a default
            places[id(value)] = (value, key)
            for name in type(value).model_fields:
                value.__dict__[name] = enter(value.__dict__[name], below(key, name))
        elif isinstance(value, dict) and any(isinstance(entry, BaseModel) for entry in value.values()):
            value = Entries({name: enter(entry, below(key, name)) for name, entry in value.items()})
            value.section = key
        return value

    def load_params(path: Path) -> Any:
        here.loading = True
        try:
            return enter(load(path), "")
        finally:
            here.loading = False

    def attribute(self: BaseModel, name: str) -> Any:
        value = plain_attribute(self, name)
        if id(self) in places and name in type(self).model_fields and not isinstance(value, BaseModel | Entries):
            tell(PARAMETERS, below(places[id(self)][1], name))
        return value

    def dump(
        self: BaseModel, *, include: set[str] | None = None, exclude: set[str] | None = None, **options: Any
    ) -> Any:
        if id(self) in places:
            names = (include or set(type(self).model_fields)) - (exclude or set())
            for name in names:
                tell(PARAMETERS, below(places[id(self)][1], name))
        return plain_dump(self, include=include, exclude=exclude, **options)

    module.load_params = load_params  # type: ignore[attr-defined]
    BaseModel.__getattribute__ = attribute  # type: ignore[assignment,method-assign]
    BaseModel.model_dump = dump  # type: ignore[assignment,method-assign]


class Watcher(importlib.abc.MetaPathFinder):
    """Finds glyphline.config where Python would, and watches it as soon as it is loaded."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != "glyphline.config":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_watch(module: types.ModuleType) -> None:
                execute(module)
                watch(module)

            spec.loader.exec_module = execute_and_watch  # type: ignore[method-assign]
        return spec


def begin() -> None:
    if "GLYPHLINE_AUDIT" not in os.environ:
        return
    stage = os.environ.get("DVC_STAGE")  # which DVC sets, and the processes that a stage starts inherit
    if stage is None:
        return  # DVC itself
    sys.meta_path.insert(0, Watcher())
    folder = Path(os.environ["GLYPHLINE_AUDIT"]) / stage
    folder.mkdir(exist_ok=True)
    here.log = os.open(folder / f"{os.getpid()}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    sys.addaudithook(hook)


begin()
