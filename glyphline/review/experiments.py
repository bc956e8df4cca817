"""Experiments, as `dvc exp show --json` lists them, to one table: which parameters varied, and what came of it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pandas as pd

from glyphline import paths
from glyphline.errors import GlyphlineError
from glyphline.evaluation.metrics import METRICS
from glyphline.evaluation.numbers import percent_interval
from glyphline.review import markdown

EXPERIMENT = "experiment"
CELL_COLUMNS = (*(f"{name}{end}" for name in METRICS for end in ("", "_low", "_high")), "loss", "n")


def read_experiments() -> list[Any]:
    """What `dvc exp show --json` prints for the current commit. Raises GlyphlineError with DVC's own words."""
    result = subprocess.run(["dvc", "exp", "show", "--json"], capture_output=True, text=True, check=False)
    if result.returncode:
        words = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
        raise GlyphlineError(f"dvc exp show: {words[0] if words else result.stderr.strip()}")
    listing: list[Any] = json.loads(result.stdout)
    return listing


def collect(listing: list[Any], variant: str) -> pd.DataFrame:
    """One row for each finished experiment that has test metrics of `variant`.

    Columns: experiment (its name, or its revision), every parameter of the variant, and every parameter outside
    `variants`, that takes more than one value (`optimizer`, `epochs`, `seed`, ...), then CELL_COLUMNS. Experiments that
    left the variant as the others did, so that no parameter tells them apart, appear once. Raises GlyphlineError when
    there is none.
    """
    rows = []
    for experiment in [each for commit in listing for each in commit.get("experiments") or []]:
        if experiment["executor"] and experiment["executor"]["state"] != "success":
            continue  # queued, running or failed: its metrics are still those of the commit
        state = experiment["revs"][0]
        files = {kind: (state["data"] or {}).get(kind, {}) for kind in ("metrics", "params")}
        scores = (files["metrics"].get(str(paths.TEST_METRICS), {}).get("data") or {}).get(variant)
        params = files["params"].get(str(paths.PARAMS), {}).get("data") or {}
        if scores and variant in params.get("variants", {}):
            general = {key: value for key, value in params.items() if key != "variants"}
            (described,) = pd.json_normalize([general | params["variants"][variant]]).to_dict("records")
            scored = {key: scores.get(key) for key in CELL_COLUMNS}
            rows.append({EXPERIMENT: experiment["name"] or state["rev"][:7]} | described | scored)
    if not rows:
        raise GlyphlineError(
            f"no finished experiment of this commit has test metrics of {variant!r}; queue some with: "
            f"dvc exp run --queue -S 'variants.{variant}.epochs=2,5'"
        )
    table = pd.DataFrame(rows)
    # Lists of layers differ as wholes, and pandas cannot compare lists: as text it can.
    swept = [
        str(key) for key in table if key not in (EXPERIMENT, *CELL_COLUMNS) and table[key].astype(str).nunique() > 1
    ]
    columns = [EXPERIMENT, *swept, *CELL_COLUMNS]
    distinct = table[columns].loc[~table[swept].astype(str).duplicated()] if swept else table[columns].iloc[:1]
    return distinct.sort_values(swept, key=lambda column: column.map(_order)).reset_index(drop=True)


def swept_parameters(table: pd.DataFrame) -> list[str]:
    """The parameters that vary in a table of collect()."""
    return [str(column) for column in table.columns if column not in (EXPERIMENT, *CELL_COLUMNS)]


def to_markdown(table: pd.DataFrame) -> str:
    """The table of collect() as Markdown: accuracies in per cent with their intervals, by METRICS."""
    swept = swept_parameters(table)
    scores = [title for metric in METRICS.values() for title in (f"test {metric.title}, %", "95 % interval")]
    rows = []
    for _, row in table.iterrows():
        cells = [
            *(str(row[key]) for key in swept),
            *(
                cell
                for name in METRICS
                for cell in (f"{100 * row[name]:.2f}", percent_interval(row[f"{name}_low"], row[f"{name}_high"]))
            ),
            f"{row['loss']:.4f}",
            str(row[EXPERIMENT]),
        ]
        rows.append(cells)
    return markdown.table([*swept, *scores, "loss", "experiment"], rows)


def _order(value: Any) -> tuple[int, float, str]:
    """Numbers by size, before everything else by name."""
    return (0, value, "") if isinstance(value, int | float) else (1, 0.0, str(value))
