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
from glyphline.search.settings import tuned_variant

PICTURES = ("accuracy_vs_cost", "overfitting", "data/balance", "data/examples")
VARIANT_PICTURES = ("curves", "confusion", "errors", "network")
NAMED_ERRORS = 3  # of the worst errors, those that the text names

AGAIN = "run: dvc repro"


@dataclass(frozen=True)
class WorstError:
    """A test image taken for another class: indices of the two classes, and the probability given to the wrong one."""

    true: int
    predicted: int
    probability: float


@dataclass(frozen=True)
class Results:
    """One run of the pipeline. What is by variant has the variants of metrics/test.json, in its order.

    card: data/raw/dataset.json. images: how many images each split has, by split. test, train: metrics/test.json and
    metrics/train/. per_class and predictions: the tables of that name in metrics/. layers: data/layers/. worst: the
    worst errors, the most confident first. plots: the folder of pictures. variants: the parameters of those that
    params.yaml has, and of the search's winner. trials: the table of the search, if it found one of them.
    """

    params: Params
    card: dict[str, Any]
    images: dict[str, int]
    test: dict[str, dict[str, Any]]
    train: dict[str, dict[str, Any]]
    per_class: pd.DataFrame
    predictions: pd.DataFrame
    layers: dict[str, pd.DataFrame]
    worst: dict[str, list[WorstError]]
    plots: Path
    variants: dict[str, Variant]
    trials: pd.DataFrame | None


def read_results() -> Results:
    """Read one run. Raises GlyphlineError for a file that is missing, unreadable, or of another run."""
    test = _read_json(paths.TEST_METRICS)
    if not test:
        raise GlyphlineError(f"{paths.TEST_METRICS}: no variant is judged in it; {AGAIN}")
    predictions = _read_predictions(list(test))
    per_class = _read_csv(paths.PER_CLASS, dtype={"class": str}, keep_default_na=False)
    for name in test:
        if not (per_class["variant"] == name).any():
            raise GlyphlineError(
                f"{paths.PER_CLASS}: nothing in it is of {name}, which {paths.TEST_METRICS} has; {AGAIN}"
            )
    for picture in (*PICTURES, *(f"{name}/{picture}" for name in test for picture in VARIANT_PICTURES)):
        _present(paths.PLOTS / f"{picture}.png")
    splits = {split: _present(paths.PREPARED / split / "labels.npy") for split in ("train", "validation")}
    params = load_params(paths.PARAMS)
    searched = paths.TUNED in test
    return Results(
        params=params,
        card=_read_json(paths.DATASET_CARD),
        images={split: len(np.load(path, mmap_mode="r")) for split, path in splits.items()}
        | {"test": len(predictions)},
        test=test,
        train={name: _read_json(paths.train_metrics(name)) for name in test},
        per_class=per_class,
        predictions=predictions,
        layers={name: _read_csv(paths.layers(name)) for name in test},
        worst={name: _read_worst(paths.EVALUATION / name / "worst_errors.npz") for name in test},
        plots=paths.PLOTS,
        variants=params.variants | ({paths.TUNED: tuned_variant(params.search)} if searched else {}),
        trials=_read_csv(paths.TRIALS, dtype=str, keep_default_na=False) if searched else None,
    )


def _read_predictions(variants: list[str]) -> pd.DataFrame:
    """A row a test image: its label, and the class that each variant took it for in a column of the variant's name."""
    tables = {name: _read_csv(paths.predictions(name)) for name in variants}
    label = next(iter(tables.values()))["label"]
    return pd.DataFrame({"label": label} | {name: table["predicted"] for name, table in tables.items()})


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


def _read_worst(path: Path) -> list[WorstError]:
    with np.load(_present(path)) as worst:
        labels, probabilities = worst["labels"][:NAMED_ERRORS], worst["probabilities"][:NAMED_ERRORS]
    return [
        WorstError(int(label), int(given.argmax()), float(given.max()))
        for label, given in zip(labels, probabilities, strict=True)
    ]
