"""YAML files: read as DVC reads them, checked against a pydantic model, every mistake explained in one sentence."""

from __future__ import annotations

import difflib
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError

from glyphline.errors import ParamsError, printable, quoted

if TYPE_CHECKING:
    from ruamel.yaml.nodes import Node

MOST_REPEATED = 2**20  # characters that the aliases of a file may stand for

Model = TypeVar("Model", bound=BaseModel)


def parse_yaml(content: bytes, source: str) -> Any:
    """The values in a YAML file, read as DVC reads them. Raises ParamsError, one line that begins with `source`."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    # YAML 1.2: 1e-3 is a number here, and `no` a string.
    yaml = YAML(typ="safe", pure=True)
    try:
        root = yaml.compose(content.decode("utf-8"))
        if root is None:
            return None
        # A few hundred bytes of aliases of aliases are gigabytes to whoever goes through them.
        if _characters(root, {}) > MOST_REPEATED + 8 * len(content):
            raise ValueError("its aliases stand for more text than any file here needs")
        return yaml.constructor.construct_document(root)
    except UnicodeDecodeError as error:
        raise ParamsError(f"{source}: byte {error.start} is not UTF-8 text") from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        problem = " ".join(str(error.problem).split())
        raise ParamsError(f"{source}: line {line} is not YAML: {problem}") from None
    except YAMLError as error:
        raise ParamsError(f"{source}: this is not YAML: {' '.join(str(error).split())}") from None
    except (ArithmeticError, LookupError, RecursionError, ValueError) as error:
        # What ruamel.yaml lets through: a thirteenth month, 5,000 digits, thousands of brackets.
        raise ParamsError(f"{source}: a value in it cannot be read: {' '.join(str(error).split())}") from None


def _characters(node: Node, counted: dict[int, int]) -> int:
    """How long a node is when every alias in it is written out. counted: by id, the nodes that are known."""
    from ruamel.yaml.nodes import MappingNode, SequenceNode

    if id(node) in counted:
        if not counted[id(node)]:
            raise ValueError("an alias in it stands for what it is itself a part of")
        return counted[id(node)]
    counted[id(node)] = 0
    if isinstance(node, MappingNode):
        inner = sum(_characters(key, counted) + _characters(value, counted) for key, value in node.value)
    elif isinstance(node, SequenceNode):
        inner = sum(_characters(entry, counted) for entry in node.value)
    else:
        inner = len(node.value)
    counted[id(node)] = 1 + inner
    return 1 + inner


def validated(model: type[Model], values: Any, source: str) -> Model:
    """The model with these values. Raises ParamsError, one line for each mistake: `source`, the key, what is wrong."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ParamsError("\n".join(f"{source}: {_explain(model, detail)}" for detail in error.errors())) from None


def _explain(model: type[BaseModel], detail: Any) -> str:
    """One error of pydantic's as a sentence that names the key."""
    kind: Any = model  # of what the location leads to
    names: list[str] = []
    known: list[str] = []
    for part in detail["loc"]:
        kinds = _alternatives(kind)
        if tagged := [each for tag, each in kinds if tag == part]:
            kind = tagged[0]
            continue
        if part == "[key]" and detail["type"] != "extra_forbidden":
            break  # the mistake is in the key itself
        names.append(printable(str(part)))
        kind = next(
            (each for _, each in kinds if hasattr(each, "model_fields") or get_origin(each) in (dict, list)), None
        )
        if hasattr(kind, "model_fields"):
            known = list(kind.model_fields)
            kind = kind.model_fields[part].annotation if part in known else None
        else:
            kind = (get_args(kind) or (None,))[-1]
    key = ".".join(names) or "the file"
    message = detail["msg"].removeprefix("Value error, ")
    match detail["type"]:
        case "extra_forbidden":
            close = difflib.get_close_matches(names[-1], known, n=1)
            return f"{key}: unknown key; " + (
                f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
            )
        case "missing":
            return f"{key}: this key is missing"
        case "value_error":
            return f"{key}: {message}"
        case _:
            return f"{key}: {message[0].lower()}{message[1:]}, but it is {quoted(detail['input'])}"


def _alternatives(kind: Any, tag: str | None = None) -> list[tuple[str | None, Any]]:
    """The types that an annotation allows, each with the tag by which pydantic's locations call it, if it has one."""
    if get_origin(kind) is Annotated:
        kind, *notes = get_args(kind)
        tag = next((note.tag for note in notes if isinstance(note, Tag)), tag)
    if get_origin(kind) in (Union, UnionType):
        return [alternative for each in get_args(kind) for alternative in _alternatives(each, tag)]
    return [(tag, kind)]
