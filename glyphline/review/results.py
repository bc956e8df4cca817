"""What one revision's committed files say: parameters, test metrics, predictions, cost.

Revisions older than today's schema are read too, so params.yaml is a plain mapping here, and what an old revision does
not have yet is left out.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glyphline import paths
from glyphline.data.records import Dataset, parse_dataset
from glyphline.errors import GlyphlineError
from glyphline.evaluation import scoring
from glyphline.evaluation.metrics import METRICS, measure
from glyphline.evaluation.numbers import exact_percent
from glyphline.review.revision import Revision
from glyphline.schema import parse_yaml

COSTS = ("parameters", "multiply_adds")
ROUNDING = 1.5e-6  # metrics keep six decimals, of which another machine may round the last one otherwise

Classes = NDArray[np.int64]


@dataclass(frozen=True)
class Results:
    """One revision.

    metrics: metrics/test.json. labels: (n,) true classes of the test images, or None without metrics/predictions/.
    predictions: of each variant, (n,) predicted classes. class_names: in the order of the classes' numbers; empty where
    the revision does not tell. costs: of each variant, parameters and multiply_adds. outs: the digest in dvc.lock of
    each file or folder that a stage writes. used_by: of each file or folder, the stages that declare it. packages: the
    version of each package in requirements.lock. record: of the data set; None where the revision has none that is
    valid today. per_class: metrics/per_class.csv, or None.
    """

    name: str
    params: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, Any]]
    labels: Classes | None
    predictions: Mapping[str, Classes]
    class_names: list[str]
    costs: Mapping[str, Mapping[str, int]]
    outs: Mapping[str, str]
    used_by: Mapping[str, list[str]]
    packages: Mapping[str, str]
    record: Dataset | None = None
    per_class: pd.DataFrame | None = None

    @property
    def dataset(self) -> str:
        return str(self.params.get("dataset"))

    def class_name(self, label: int) -> str:
        """The name of a class, or its number where the revision does not tell."""
        return self.class_names[label] if 0 <= label < len(self.class_names) else str(label)

    def right(self, variant: str) -> NDArray[np.bool_] | None:
        """(n,) whether the variant was right about each test image; None where its predictions are not committed."""
        return None if variant not in self.predictions else self.predictions[variant] == self.labels


def read_results(revision: Revision) -> Results:
    """Raises GlyphlineError, one sentence that names the revision and the file, for what cannot be read."""
    content = revision.read(paths.TEST_METRICS)
    if content is None:
        raise GlyphlineError(f"{revision.name}: it has no {paths.TEST_METRICS}, so there is nothing to compare")
    metrics = _json(revision, paths.TEST_METRICS, content)
    where = f"{revision.name}: {paths.TEST_METRICS}"
    if not isinstance(metrics, dict) or not all(isinstance(scores, dict) for scores in metrics.values()):
        raise GlyphlineError(f"{where}: expected the metrics of each variant by name")
    params = _mapping(revision, paths.PARAMS)
    if params is None:
        raise GlyphlineError(f"{revision.name}: it has no {paths.PARAMS}")
    labels, predictions = _predictions(revision, metrics)
    per_class = _per_class(revision)
    for variant, scores in metrics.items():
        if labels is not None and variant in predictions:  # what the revision did not measure yet
            metrics[variant] = measure(labels, predictions[variant]) | scores
        _check_scores(f"{where}: {variant}", metrics[variant])
    return Results(
        name=revision.name,
        params=params,
        metrics=metrics,
        labels=labels,
        predictions=predictions,
        class_names=[] if per_class is None else list(dict.fromkeys(per_class["class"])),
        per_class=per_class,
        costs={variant: _costs(revision, variant) for variant in metrics},
        outs=_outs(_quietly(revision, Path("dvc.lock"))),
        used_by=_used_by(_quietly(revision, Path("dvc.yaml"))),
        record=_record(revision, paths.dataset(str(params.get("dataset")))),
        packages=_packages((revision.read(Path("requirements.lock")) or b"").decode("utf-8", "replace")),
    )


def contradictions(results: Results) -> list[str]:
    """A sentence for each of METRICS, n and the table of classes that the variant's predictions do not give.

    Loss and calibration error are made of probabilities, which are not in git: only a rebuild can tell.
    """
    sentences: list[str] = []
    if results.labels is None:
        return sentences
    for variant, predicted in results.predictions.items():
        scores, source = results.metrics[variant], paths.predictions(variant)
        sentences += [
            f"{paths.TEST_METRICS}: {variant}: {key} is {exact_percent(scores[key])}, "
            f"but {source} gives {exact_percent(value)}"
            for key, value in measure(results.labels, predicted).items()
            if key in scores and abs(scores[key] - value) > ROUNDING
        ]
        if scores.get("n", len(predicted)) != len(predicted):
            sentences.append(
                f"{paths.TEST_METRICS}: {variant}: n is {scores['n']}, but {source} gives {len(predicted)}"
            )
        if results.per_class is None:
            continue
        one_hot = (predicted[:, np.newaxis] == np.arange(len(results.class_names))).astype(np.float32)
        expected = scoring.per_class(results.labels.astype(np.uint16), one_hot, results.class_names)
        try:
            table = results.per_class[results.per_class["variant"] == variant].reset_index(drop=True)
            pd.testing.assert_frame_equal(table[[*expected]], expected, check_dtype=False, rtol=0, atol=ROUNDING)
        except (AssertionError, KeyError, TypeError):
            what = f"recall, precision or n of a class is not that of {source}"
            sentences.append(f"{paths.PER_CLASS}: {variant}: {what}")
    return sentences


def _check_scores(where: str, scores: dict[str, Any]) -> None:
    ends = [f"{metric}_{end}" for metric in METRICS for end in ("low", "high")]
    for key in (*METRICS, *(end for end in ends if end in scores)):
        if not _is_number(scores.get(key)):
            raise GlyphlineError(f"{where}.{key}: expected a number, but it is {scores.get(key)!r}")
    if "seeds" in scores:
        seeds = scores["seeds"]
        numbers = seeds if isinstance(seeds, dict) and all(map(_is_number, seeds.values())) else {}
        means, sds = ({key.removesuffix(end) for key in numbers if key.endswith(end)} for end in ("_mean", "_sd"))
        if not means or means != sds or numbers.get("n", 0) < 2:
            raise GlyphlineError(f"{where}.seeds: expected n > 1, and a mean and an sd of each metric")


def _predictions(revision: Revision, variants: Iterable[str]) -> tuple[Classes | None, dict[str, Classes]]:
    labels: Classes | None = None
    predicted: dict[str, Classes] = {}
    for variant in variants:
        path = paths.predictions(variant)
        content = revision.read(path)
        if content is None:
            continue
        try:
            table = pd.read_csv(io.BytesIO(content), index_col="image", dtype=np.int64)
            if table.empty:
                raise ValueError
            its_labels, predicted[variant] = table["label"].to_numpy(), table["predicted"].to_numpy()
        except (KeyError, ValueError):
            raise GlyphlineError(
                f"{revision.name}: {path}: expected the columns image, label and predicted, with whole numbers"
            ) from None
        if labels is not None and not np.array_equal(labels, its_labels):
            raise GlyphlineError(f"{revision.name}: {path}: its labels are not those of the other variants")
        labels = its_labels
    return labels, predicted


def _per_class(revision: Revision) -> pd.DataFrame | None:
    content = revision.read(paths.PER_CLASS)
    try:
        table = (
            None if content is None else pd.read_csv(io.BytesIO(content), dtype={"class": str}, keep_default_na=False)
        )
        if table is not None and "class" not in table:
            raise ValueError
    except ValueError:
        raise GlyphlineError(f"{revision.name}: {paths.PER_CLASS}: expected a table with a column class") from None
    return table


def _costs(revision: Revision, variant: str) -> dict[str, int]:
    path = paths.train_metrics(variant)
    content = revision.read(path)
    metrics = _json(revision, path, content) if content is not None else None
    return {cost: metrics[cost] for cost in COSTS if _is_number(metrics.get(cost))} if isinstance(metrics, dict) else {}


def _record(revision: Revision, path: Path) -> Dataset | None:
    try:
        return parse_dataset(revision.read(path) or b"", source=str(path))
    except GlyphlineError:
        return None


def _json(revision: Revision, path: Path, content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise GlyphlineError(f"{revision.name}: {path}: this is not JSON") from None


def _mapping(revision: Revision, path: Path) -> dict[str, Any] | None:
    content = revision.read(path)
    if content is None:
        return None
    values = parse_yaml(content, source=f"{revision.name}: {path}")
    if not isinstance(values, dict):
        raise GlyphlineError(f"{revision.name}: {path}: expected keys and values")
    return values


def _quietly(revision: Revision, path: Path) -> dict[str, Any]:
    """The file's mapping, or an empty one: what is wrong with DVC's files is for glyphline.review.integrity to say."""
    try:
        return _mapping(revision, path) or {}
    except GlyphlineError:
        return {}


def _outs(lock: dict[str, Any]) -> dict[str, str]:
    try:
        outs = [out for stage in lock.get("stages", {}).values() for out in stage.get("outs", [])]
        return {str(out["path"]): str(out["md5"]) for out in outs}
    except (AttributeError, KeyError, TypeError):
        return {}


def _used_by(dvc_yaml: dict[str, Any]) -> dict[str, list[str]]:
    users: dict[str, list[str]] = {}
    stages = dvc_yaml.get("stages")
    for name, stage in stages.items() if isinstance(stages, dict) else ():
        settings = stage.get("do", stage) if isinstance(stage, dict) else {}
        dependencies = settings.get("deps") if isinstance(settings, dict) else None
        for dependency in dependencies if isinstance(dependencies, list) else ():
            users.setdefault(str(dependency), []).append(str(name))
    return users


def _packages(lock: str) -> dict[str, str]:
    # One package may have several versions, for several systems.
    versions: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock, re.MULTILINE):
        versions.setdefault(name, []).append(version)
    return {name: ", ".join(several) for name, several in versions.items()}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
