"""YAML files against any schema: what a mistake is called, and how much a file may stand for."""

from typing import Any

import pytest
from pydantic import BaseModel

from glyphline.schema import parse_yaml, validated
from tests.conftest import refusal


class Leaf(BaseModel, extra="forbid", strict=True):
    colour: str = "green"


class Tree(BaseModel, extra="forbid", strict=True):
    leaf: Leaf | None = None
    listed: list[Leaf] = []
    named: dict[str, dict[str, Leaf]] = {}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"leav": 1}, "leav: unknown key; did you mean leaf?"),
        ({"[key]": 1}, "[key]: unknown key; known here: leaf, listed, named"),
        ({"leaf": {"color": 1}}, "leaf.color: unknown key; did you mean colour?"),
        ({"listed": [{}, {"size": 1}]}, "listed.1.size: unknown key; known here: colour"),
        ({"named": {"a": {"b": {"color": 1}}}}, "named.a.b.color: unknown key; did you mean colour?"),
        ({"named": {"a": {1: {}}}}, "named.a.1: input should be a valid string, but it is 1"),
        ({"leaf": {"colour": 1}}, "leaf.colour: input should be a valid string, but it is 1"),
    ],
)
def test_a_mistake_is_named_wherever_a_schema_has_it(values: dict[Any, Any], said: str) -> None:
    assert refusal(validated, Tree, values, "tree.yaml") == f"tree.yaml: {said}"


def nested_aliases(levels: int) -> bytes:
    """YAML of a few hundred bytes that stands for 9**levels words."""
    lines = ["a: &a [word]"]
    for above, name in zip("abcdefghijklmnopq", "bcdefghijklmnopqr"[:levels], strict=False):
        lines.append(f"{name}: &{name} [{','.join([f'*{above}'] * 9)}]")
    return "\n".join(lines).encode()


@pytest.mark.parametrize(
    "content", [nested_aliases(7), nested_aliases(17), nested_aliases(17).replace(b"[*", b"[<<: *")]
)
def test_aliases_that_stand_for_gigabytes_are_refused(content: bytes) -> None:
    assert len(content) < 1000
    said = "aliases stand for more text than any file here needs"
    assert refusal(parse_yaml, content, "f.yaml").endswith(said)


def test_an_alias_of_itself_is_refused() -> None:
    said = "an alias in it stands for what it is itself a part of"
    assert refusal(parse_yaml, b"a: &a [1, {b: *a}]", "f.yaml").endswith(said)


def test_a_few_aliases_are_read_as_what_they_stand_for() -> None:
    assert parse_yaml(b"a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: [*a, *a]", "f.yaml") == {
        "a": {"x": 1},
        "b": {"x": 1, "y": 2},
        "c": [{"x": 1}, {"x": 1}],
    }
    parse_yaml(nested_aliases(4), "f.yaml")
