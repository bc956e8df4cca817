"""One run to one page of HTML."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glyphline.evaluation import numbers
from glyphline.evaluation.metrics import METRICS, wilson_interval
from glyphline.evaluation.numbers import decimals, percent, percent_interval
from glyphline.evaluation.significance import Compared
from glyphline.report import html, parameters, words
from glyphline.report.intervals import Mark, Scale, scale_of
from glyphline.report.parameters import Parameter
from glyphline.report.ranking import Ranking, rank
from glyphline.report.results import Run

HERE = Path(__file__).parent
MOST_NAMED = 100  # classes that the page names one by one


@dataclass(frozen=True)
class Split:
    """One line of what a variant scores on each split. interval: in words, or empty."""

    name: str
    images: int
    accuracy: str
    interval: str
    loss: float


@dataclass(frozen=True)
class VariantReport:
    """Everything that the page says of one variant. parameters: None where it is known no more."""

    name: str
    test: dict[str, Any]
    train: dict[str, Any]
    mark: Mark
    rival: Compared | None
    standing: str
    errors: str
    hardest: str
    splits: list[Split]
    parameters: list[Parameter] | None


def render(run: Run) -> str:
    """The page. The same run gives the same text."""
    metric = run.card["leading_metric"]
    ranking = rank(run.test, run.predictions, metric)
    scale = scale_of(run.test, metric, ranking.winner)
    in_params = {name: each for name, each in run.variants.items() if name in run.test}
    network = None
    styles, scripts = [html.STYLE, HERE / "page.css"], [HERE / "page.js"]
    if run.network:
        pictures = run.card.get("pictures") or {}
        network = run.network | {"classes": run.card["class_names"]}
        network |= {key: pictures.get(key) for key in ("how", "trimmed")}
        styles, scripts = [*styles, html.PAD_STYLE], [html.PAD, HERE / "network.js", HERE / "try.js", *scripts]
    style, script = html.joined(*styles), html.joined(*scripts)
    return (
        html.environment("glyphline.report")
        .get_template("page.html.j2")
        .render(
            numbers=numbers,
            words=words,
            card=run.card,
            images=run.images,
            most_named=MOST_NAMED,
            findings=words.findings(run.card.get("found") or {}),
            ranking=ranking,
            metrics=sorted(METRICS.values(), key=lambda each: each.name != metric),
            headline=words.headline(run.test, ranking),
            finding=words.finding(ranking),
            smallest=words.smallest(run.test, run.train, ranking),
            scale=scale,
            seeds=any("seeds" in each for each in run.test.values()),
            variants=[_variant(name, run, ranking, scale) for name in ranking.variants],
            settings=parameters.of_run(run.params),
            compared=parameters.compared(in_params),
            labels_to_check=run.labels_to_check.to_dict("records"),
            network=network,
            pictures=run.pictures,
            trials=run.trials,
            style=style,
            script=script,
            style_digest=_digest(style),
            script_digest=_digest(script),
        )
    )


def _variant(name: str, run: Run, ranking: Ranking, scale: Scale) -> VariantReport:
    test, train, class_names = run.test[name], run.train[name], run.card["class_names"]
    labels, predicted = run.predictions["label"], run.predictions[name]
    known = run.variants.get(name)
    classes = run.per_class[run.per_class["variant"] == name].to_dict("records")
    hardest = min((each for each in classes if each["n"]), key=lambda each: float(each["recall"]))
    n, recall = int(hardest["n"]), float(hardest["recall"])
    interval = percent_interval(*wilson_interval(recall, n), decimals(n))
    return VariantReport(
        name=name,
        test=test,
        train=train,
        mark=scale.mark(test, ranking.metric),
        rival=ranking.rivals.get(name),
        standing=words.standing(name, ranking, test["n"]),
        errors=words.confusions(labels, predicted, class_names),
        hardest=f"{hardest['class']}: {percent(recall, decimals(n))} ({interval}, n = {n:,})",
        splits=_splits(test, train, run.images),
        parameters=None if known is None else parameters.of_variant(known, train["precision"]),
    )


def _splits(test: dict[str, Any], train: dict[str, Any], images: dict[str, int]) -> list[Split]:
    """Train, validation and test. The train split has no interval: the network has seen every image of it."""
    scores = {"train": train["train"], "validation": train["validation"], "test": test}
    return [
        Split(
            name=split,
            images=images[split],
            accuracy=percent(score["accuracy"], decimals(images[split])),
            interval=""
            if split == "train"
            else percent_interval(*wilson_interval(score["accuracy"], images[split]), decimals(images[split])),
            loss=score["loss"],
        )
        for split, score in scores.items()
    ]


def _digest(text: str) -> str:
    """What a content security policy names an inline script or style by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
