"""`.keras` archives rewritten so that the same network gives the same bytes.

Keras writes the time of saving into metadata.json and the zip entries, and object ids from memory addresses into
config.json. Nothing reads them: the rewritten file loads, predicts and resumes training like the original.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip entry can have
_OBJECT_ID = "shared_object_id"


def canonicalise(path: Path) -> None:
    """Rewrite the `.keras` file at `path` in place: fixed times, no date, objects numbered as they appear."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    metadata = json.loads(members["metadata.json"])
    metadata.pop("date_saved", None)
    members["metadata.json"] = json.dumps(metadata).encode()
    members["config.json"] = json.dumps(_renumbered(json.loads(members["config.json"]), {})).encode()
    rewritten = path.with_name(path.name + ".partial")
    with zipfile.ZipFile(rewritten, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), members[name])
    rewritten.replace(path)


def _renumbered(value: Any, numbers: dict[int, int]) -> Any:
    if isinstance(value, dict):
        return {
            key: numbers.setdefault(item, len(numbers)) if key == _OBJECT_ID else _renumbered(item, numbers)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_renumbered(item, numbers) for item in value]
    return value
