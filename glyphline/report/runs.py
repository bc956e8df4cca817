"""Run records (runs/, written by stage.run) of several machines or several runs, side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from glyphline.errors import FormatError

TOTAL = "all stages"
_GIB = 2**30


def read_records(folder: Path) -> dict[str, dict[str, Any]]:
    """The records in a folder by stage, in the order in which the stages started. Raises FormatError."""
    if not folder.is_dir():
        raise FormatError(f"{folder}: there is no such folder; a run leaves its records in runs/")
    records = []
    for path in sorted(folder.glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            records.append((record["started"], record["stage"], record))
            _ = record["seconds"], record["machine"]["processor"]
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
            raise FormatError(f"{path}: this is not a run record") from None
    if not records:
        raise FormatError(f"{folder}: there is no run record in it; dvc repro writes them to runs/")
    return {stage: record for _, stage, record in sorted(records, key=lambda entry: entry[:2])}


def compare(folders: Sequence[Path]) -> pd.DataFrame:
    """One column for each folder: what machine it was, then the seconds and the peak memory of each stage.

    The index names the row; a stage that a folder has no record of is empty there. Raises FormatError.
    """
    columns = {}
    for folder in folders:
        records = read_records(folder)
        column = columns[str(folder)] = _machine([record["machine"] for record in records.values()])
        for stage, record in records.items():
            peak = record.get("peak_memory_bytes")
            column[stage] = f"{record['seconds']:.1f} s" + (f", {peak / _GIB:.2f} GiB" if peak else "")
        column[TOTAL] = f"{sum(record['seconds'] for record in records.values()):.1f} s"
    names = dict.fromkeys(name for column in columns.values() for name in column if name != TOTAL)
    order = [*names, TOTAL]
    return pd.DataFrame(columns, dtype=object).reindex(order).fillna("")


def _machine(machines: list[dict[str, Any]]) -> dict[str, str]:
    """What the machines of a folder's records say; usually they are one."""
    said = {}
    for key in machines[-1]:
        values = [machine[key] for machine in machines if key in machine]
        texts = [f"{value / _GIB:.1f} GiB" if key.endswith("_bytes") else str(value) for value in values]
        said[key.removesuffix("_bytes")] = ", ".join(dict.fromkeys(texts))
    return said
