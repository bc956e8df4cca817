"""What has to be the same wherever a trial runs: Python, the packages that compute, and our own code."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path

from glyphline.errors import GlyphlineError

PACKAGES = ("distributed", "keras", "numpy", "optuna", "tensorflow")
_ROOM = Path(__file__).parents[1]
_CODE = ("model", "search")  # what decides the course of a trial


class VersionsDifferError(GlyphlineError):
    """A worker has other versions than the process that searches."""


def versions() -> dict[str, str]:
    """The versions here, by package. `glyphline` is a digest of the modules that a trial runs."""
    code = hashlib.sha256()
    for name in _CODE:
        for path in sorted((_ROOM / name).rglob("*.py")):
            code.update(path.relative_to(_ROOM).as_posix().encode() + path.read_bytes())
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, **{name: version(name) for name in PACKAGES}, "glyphline": code.hexdigest()[:12]}


def check(expected: dict[str, str], who: str) -> None:
    """Raise VersionsDifferError, in one sentence about `who`, unless the versions here are the expected ones."""
    here = versions()
    differing = [
        f"{name} {here.get(name, 'missing')} instead of {wanted}"
        for name, wanted in expected.items()
        if here.get(name) != wanted
    ]
    if differing:
        raise VersionsDifferError(
            f"{who} has {', '.join(differing)}; set up the same commit there with make setup, and start it again"
        )
