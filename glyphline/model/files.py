"""Networks saved so that the same network gives the same bytes."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip entry can have
_OBJECT_ID = "shared_object_id"


def save(network: keras.Model, path: Path) -> None:
    """Write a network, optimiser state included, as a `.keras` file with the same bytes for the same network.

    Keras writes the time of saving into metadata.json and the zip entries, and object ids from memory addresses into
    config.json. Nothing reads them: with fixed times, no date and objects numbered as they appear, the file loads,
    predicts and resumes training like Keras' own.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    network.save(path)
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
