"""What the other stages left, read and checked against each other."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from glyphline import paths
from glyphline.config import Params, load_params
from glyphline.errors import GlyphlineError
from glyphline.model.variant import Variant
from glyphline.report.html import Embedded, embed
from glyphline.search.settings import winning_variant

AGAIN = "run: dvc repro"


@dataclass(frozen=True)
class Run:
    """One run of the pipeline. What is by variant, but `variants`, has those of metrics/test.json, in its order.

    card: data/raw/dataset.json. images: how many images each split has, by split. test, train: metrics/test.json and
    metrics/train/. per_class: the table of that name. predictions: a row a test image, its label and a column for each
    variant. labels_to_check: the table of that name. network: the one to try (export.to_json), or None. pictures:
    those in plots/ by folder ("" for plots/ itself) and name. variants: the parameters of those that params.yaml has,
    and of the searches' winners. trials: by the name of each search, its table.
    """

    params: Params
    card: dict[str, Any]
    images: dict[str, int]
    test: dict[str, dict[str, Any]]
    train: dict[str, dict[str, Any]]
    per_class: pd.DataFrame
    predictions: pd.DataFrame
    labels_to_check: pd.DataFrame
    network: dict[str, Any] | None
    pictures: dict[str, dict[str, Embedded]]
    variants: dict[str, Variant]
    trials: dict[str, pd.DataFrame]


def read_run() -> Run:
    """Read one run. Raises GlyphlineError for a file that is missing, unreadable, or of another run."""
    test = _read_json(paths.TEST_METRICS)
    if not test:
        raise GlyphlineError(f"{paths.TEST_METRICS}: no variant is judged in it; {AGAIN}")
    per_class = _read_csv(paths.PER_CLASS, dtype={"class": str}, keep_default_na=False)
    for name in test:
        if not (per_class["variant"] == name).any():
            raise GlyphlineError(
                f"{paths.PER_CLASS}: nothing in it is of {name}, which {paths.TEST_METRICS} has; {AGAIN}"
            )
    predictions = {name: _read_csv(paths.predictions(name)) for name in test}
    labels = next(iter(predictions.values()))["label"]
    splits = {split: _present(paths.PREPARED / split / "classes.npy") for split in ("train", "validation")}
    params = load_params(paths.PARAMS)
    searches = {name: search for name, search in params.searches.items() if name in test}
    folders = [f"search/{name}" for name in searches]
    return Run(
        params=params,
        card=_read_json(paths.DATASET_CARD),
        images={split: int(np.load(path).sum()) for split, path in splits.items()} | {"test": len(labels)},
        test=test,
        train={name: _read_json(paths.train_metrics(name)) for name in test},
        per_class=per_class,
        predictions=pd.DataFrame({"label": labels} | {name: table["predicted"] for name, table in predictions.items()}),
        labels_to_check=_read_csv(paths.LABELS_TO_CHECK, dtype={"label": str, "predicted": str}, keep_default_na=False),
        network=_read_json(paths.NETWORK_TO_TRY),
        pictures={folder: _read_pictures(folder) for folder in ("", "data", *folders, *test)},
        variants=params.variants | {name: winning_variant(name, search) for name, search in searches.items()},
        trials={name: _read_csv(paths.trials(name), dtype=str, keep_default_na=False) for name in searches},
    )


def _read_pictures(folder: str) -> dict[str, Embedded]:
    """Those of one folder of plots/, by name, in the order of their names."""
    found = sorted((paths.PLOTS / folder).glob("*.png"))
    if not found:
        raise GlyphlineError(f"{paths.PLOTS / folder}: the report needs the pictures in it, and has none; {AGAIN}")
    pictures = {}
    for path in found:
        try:
            pictures[path.stem] = embed(path.read_bytes())
        except ValueError as error:
            raise GlyphlineError(f"{path}: {error}; delete it and {AGAIN}") from None
    return pictures


def _present(path: Path) -> Path:
    if not path.is_file():
        raise GlyphlineError(f"{path}: the report needs this file, and it is missing; {AGAIN}")
    return path


def _read_json(path: Path) -> Any:
    try:
        return json.loads(_present(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise GlyphlineError(f"{path}: this is not JSON ({error}); delete it and {AGAIN}") from None


def _read_csv(path: Path, **options: Any) -> pd.DataFrame:
    try:
        table: pd.DataFrame = pd.read_csv(_present(path), **options)
    except ValueError as error:
        raise GlyphlineError(f"{path}: this is not a table ({error}); delete it and {AGAIN}") from None
    return table
