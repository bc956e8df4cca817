"""The model card of an exported network: what it is, what it was measured to do, and what it is not for.

Markdown that begins with the metadata which Hugging Face reads (https://huggingface.co/docs/hub/model-cards).
"""

from __future__ import annotations

import io
import json
import subprocess
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from ruamel.yaml import YAML

from glyphline import paths
from glyphline.config import Params
from glyphline.evaluation import numbers, scoring
from glyphline.evaluation.metrics import METRICS
from glyphline.predict.exported import FILES, Description
from glyphline.review import markdown
from glyphline.search.settings import winning_variant

CONFUSIONS = 5  # of the most frequent ones
# Identifiers of Hugging Face's for licences that the data sets have; another licence is "other", with its name.
LICENCES = {"cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-4.0", "cc0-1.0", "mit"}


def write(
    *,
    record: dict[str, Any],
    params: Params,
    description: Description,
    trained: dict[str, Any],
    labels: scoring.Labels,
    probabilities: scoring.Probabilities,
    compared: list[str],
) -> str:
    """The card of a network.

    record: data/raw/dataset.json. trained: the entry of the network in metrics/test.json. labels, probabilities: (n,)
    and (n, classes), of the test images, by the exported file. compared: sentences on how the file differs from the
    original. The same arguments and files give the same text.
    """
    name = description.variant
    variant = params.variants.get(name) or winning_variant(name, params.searches[name])
    scores = scoring.score(labels, probabilities)
    metrics = sorted(METRICS.values(), key=lambda metric: metric.name != record["leading_metric"])
    environment = Environment(
        loader=PackageLoader("glyphline.export", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
        finalize=lambda value: value if isinstance(value, Markdown) else markdown.escaped(value),
    )
    return environment.get_template("card.md.j2").render(
        metadata=Markdown(_metadata(record, description, scores)),
        name=description.variant,
        record=record,
        description=description,
        file=FILES[description.format],
        shape=", ".join(map(str, description.image_shape)),
        compared=compared,
        metrics=metrics,
        scores=scores,
        trained=trained,
        training=json.loads(paths.train_metrics(description.variant).read_text(encoding="utf-8")),
        images={split: int(np.load(paths.PREPARED / split / "classes.npy").sum()) for split in ("train", "validation")},
        classes=Markdown(_classes(record, labels, probabilities)),
        confusions=_confusions(record, labels, probabilities),
        parameters=Markdown(
            markdown.table(
                ("parameter", "value"),
                [(markdown.code(key), markdown.code(json.dumps(value))) for key, value in variant.model_dump().items()],
            )
        ),
        params=params,
        commit=_commit(),
        numbers=numbers,
        bins=scoring.CALIBRATION_BINS,
        code=lambda text: Markdown(markdown.code(text)),
    )


class Markdown(str):
    """Text that is Markdown already; whatever else a card holds is escaped."""


def _metadata(record: dict[str, Any], description: Description, scores: dict[str, Any]) -> str:
    """The YAML block at the top."""
    licence = record["licence"].lower().replace(" ", "-")
    known: dict[str, Any] = (
        {"license": licence}
        if licence in LICENCES
        else {
            "license": "other",
            "license_name": record["licence"],
        }
    )
    results = {
        "task": {"type": "image-classification"},
        "dataset": {"name": record["title"], "type": description.dataset, "split": "test"},
        "metrics": [{"type": name, "value": scores[name]} for name in METRICS],
    }
    stream = io.StringIO()
    yaml = YAML()
    yaml.width = 10_000
    yaml.dump(
        known
        | {
            "library_name": description.format,
            "pipeline_tag": "image-classification",
            "tags": ["glyphline", description.format, description.precision],
            "datasets": [description.dataset],
            "metrics": list(METRICS),
            "model-index": [{"name": description.variant, "results": [results]}],
        },
        stream,
    )
    return stream.getvalue().strip()


def _classes(record: dict[str, Any], labels: scoring.Labels, probabilities: scoring.Probabilities) -> str:
    """A table of each class: recall, precision, test images."""
    table = scoring.per_class(labels, probabilities, record["class_names"])
    return markdown.table(
        ("class", "recall", "precision", "test images"),
        [
            (
                markdown.escaped(row["class"]),
                numbers.percent(row["recall"]),
                numbers.percent(row["precision"]),
                f"{row['n']:,}",
            )
            for row in table.to_dict("records")
        ],
        numbers=range(1, 4),
    )


def _confusions(
    record: dict[str, Any], labels: scoring.Labels, probabilities: scoring.Probabilities
) -> list[tuple[str, str, int, int]]:
    """The most frequent mistakes: the true class, the one that it is taken for, how often, of how many."""
    names = record["class_names"]
    counts: NDArray[Any] = scoring.confusion_table(labels, probabilities, names).to_numpy()
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:CONFUSIONS]
    places = [divmod(int(position), len(names)) for position in order]
    return [
        (names[true], names[taken], int(wrong[true, taken]), int(counts[true].sum()))
        for true, taken in places
        if wrong[true, taken]
    ]


def _commit() -> str:
    """The commit that is checked out, and whether there are changes beside it."""
    head, changes = (
        subprocess.run(["git", *words], capture_output=True, text=True, check=False)
        for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
    )
    if head.returncode:
        return "unknown, as this is no git repository"
    return head.stdout.strip() + (", with changes that are not committed" if changes.stdout.strip() else "")
