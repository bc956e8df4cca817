"""One run to one page of HTML."""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from glyphline.evaluation import numbers
from glyphline.evaluation.metrics import METRICS, wilson_interval
from glyphline.evaluation.numbers import decimals, percent, percent_interval
from glyphline.evaluation.significance import Compared
from glyphline.report import alternatives, parameters, words
from glyphline.report.intervals import Mark, Scale, scale_of
from glyphline.report.parameters import Parameter
from glyphline.report.pictures import Picture, description, embed
from glyphline.report.ranking import Ranking, rank
from glyphline.report.results import VARIANT_PICTURES, Results

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Split:
    """One line of what a variant scores on each split. interval: in words, or empty."""

    name: str
    images: int
    accuracy: str
    interval: str
    loss: float


@dataclass(frozen=True)
class Variant:
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
    pictures: list[Picture]
    parameters: list[Parameter] | None


def render(results: Results) -> str:
    """The page. The same results give the same text."""
    metric = results.card["leading_metric"]
    ranking = rank(results.test, results.predictions, metric)
    scale = scale_of(results.test, metric, ranking.winner)
    in_params = {name: each for name, each in results.variants.items() if name in results.test}
    style, script = (_read(name) for name in ("page.css", "page.js"))
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            numbers=numbers,
            words=words,
            card=results.card,
            images=results.images,
            ranking=ranking,
            metrics=sorted(METRICS.values(), key=lambda each: each.name != metric),
            headline=words.headline(results.test, ranking),
            finding=words.finding(ranking),
            smallest=words.smallest(results.test, results.train, ranking),
            scale=scale,
            seeds=any("seeds" in each for each in results.test.values()),
            variants=[_variant(name, results, ranking, scale) for name in ranking.variants],
            settings=parameters.of_run(results.params),
            compared=parameters.compared(in_params),
            examples=_examples(results),
            balance=_balance(results),
            comparisons=_comparisons(results, metric),
            search=_search_pictures(results.plots / "search"),
            trials=results.trials,
            style=style,
            script=script,
            style_digest=_digest(style),
            script_digest=_digest(script),
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_unbroken,
    )
    environment.tests["japanese"] = _is_japanese
    return environment


def _variant(name: str, results: Results, ranking: Ranking, scale: Scale) -> Variant:
    test, train, class_names = results.test[name], results.train[name], results.card["class_names"]
    labels, predicted = results.predictions["label"], results.predictions[name]
    errors = words.confusions(labels, predicted, class_names)
    shown = {
        "curves": ("Loss and accuracy over the epochs", alternatives.curves(train, name)),
        "confusion": ("Confusion matrix", alternatives.confusion(errors, name)),
        "errors": ("The worst errors", alternatives.errors(results.worst[name], class_names, name)),
        "network": ("The network", alternatives.network(results.layers[name], name)),
    }
    known = results.variants.get(name)
    return Variant(
        name=name,
        test=test,
        train=train,
        mark=scale.mark(test, ranking.metric),
        rival=ranking.rivals.get(name),
        standing=words.standing(name, ranking, test["n"]),
        errors=errors,
        hardest=_hardest(name, results),
        splits=_splits(test, train, results.images),
        pictures=[embed(results.plots / name / f"{each}.png", *shown[each]) for each in VARIANT_PICTURES],
        parameters=None if known is None else parameters.of_variant(known),
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


def _hardest(name: str, results: Results) -> str:
    """The class with the lowest recall, of those that occur."""
    table = results.per_class
    rows = table[(table["variant"] == name) & (table["n"] > 0)].to_dict("records")
    row = min(rows, key=lambda each: float(each["recall"]))
    n, recall = int(row["n"]), float(row["recall"])
    interval = percent_interval(*wilson_interval(recall, n), decimals(n))
    return f"{row['class']}: {percent(recall, decimals(n))} ({interval}, n = {n:,})"


def _examples(results: Results) -> Picture:
    alt = alternatives.examples(results.card["class_names"])
    return embed(results.plots / "data" / "examples.png", "Examples of each class", alt)


def _balance(results: Results) -> Picture:
    alt = alternatives.balance(results.predictions["label"], results.card["class_names"])
    return embed(results.plots / "data" / "balance.png", "Images of each class", alt)


def _comparisons(results: Results, metric: str) -> list[Picture]:
    against_cost = alternatives.cost(results.test, results.train, metric)
    overfitting = alternatives.overfitting(results.train)
    return [
        embed(results.plots / "accuracy_vs_cost.png", "What accuracy costs", against_cost),
        embed(results.plots / "overfitting.png", "Overfitting", overfitting),
    ]


def _search_pictures(folder: Path) -> list[Picture]:
    """The pictures of the search, if there was one, each with the description that it carries."""
    pictures = []
    for path in sorted(folder.glob("*.png")):
        caption = path.stem.replace("_", " ").capitalize()
        pictures.append(embed(path, caption, description(path) or f"{caption}, a picture of the search."))
    return pictures


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """What a content security policy names an inline script or style by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _unbroken(value: Any) -> Any:
    """A text in which no line ends between a number and its unit."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return re.sub(r"(?<=\d) (?=[%kMG](?!\w))|(?<=\bp) (?=[<=])|(?<=[<=]) (?=\d)", "\N{NO-BREAK SPACE}", value)


def _is_japanese(text: str) -> bool:
    """Whether a text has kana or kanji, for screen readers to speak and fonts to draw as Japanese."""
    return any(unicodedata.name(sign, "").startswith(("HIRAGANA", "KATAKANA", "CJK")) for sign in text)
