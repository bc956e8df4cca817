"""Draw each variant, all variants side by side, the data and the searches, without opening the test set."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from glyphline import paths, stage
from glyphline.evaluation.metrics import METRICS
from glyphline.figures import architecture, comparison, data, learning, mistakes, search
from glyphline.figures.style import Picture, cover, save, shown

if TYPE_CHECKING:
    import optuna


def main() -> None:
    card, test = read_json(paths.DATASET_CARD), read_json(paths.TEST_METRICS)
    card["class_names"] = shown(card["class_names"])
    if unwritable := cover(card["class_names"]):
        print(f"{paths.PLOTS}: {unwritable}")
    train = {variant: read_json(paths.train_metrics(variant)) for variant in test}
    histories = {variant: pd.read_csv(paths.history(variant)) for variant in test}
    for variant in test:
        write(of_variant(variant, histories[variant], train[variant]["best_epoch"], card), variant)
    write(of_all(test, train, histories, card))
    write(of_data(card), "data")
    for variant in test:
        if paths.trials(variant).is_file():
            write(of_search(variant, card), f"search/{variant}")
    print(f"{paths.PLOTS}: figures of {len(test)} variants and of {card['title']}")


def write(pictures: Mapping[str, Picture], folder: str = "") -> None:
    """Each picture as <its name>.png. The report shows the files of a folder in the order of their names."""
    for name, picture in pictures.items():
        save(picture, paths.PLOTS / folder / f"{name}.png")


def of_variant(variant: str, history: pd.DataFrame, best_epoch: int, card: dict[str, Any]) -> dict[str, Picture]:
    """What is drawn of each variant."""
    dataset, class_names, evaluation = card["title"], card["class_names"], paths.EVALUATION / variant
    counts = pd.read_csv(evaluation / "confusion.csv", index_col="true").to_numpy(np.int64)
    with np.load(evaluation / "worst_errors.npz") as worst:
        shown = worst["images"], worst["labels"], worst["probabilities"]
    return {
        "confusion": mistakes.confusion(counts, class_names, variant, dataset),
        "curves": learning.curves(history, best_epoch, variant, dataset),
        "errors": mistakes.worst_errors(*shown, counts, class_names, variant=variant, dataset=dataset),
        "network": architecture.network(pd.read_csv(paths.layers(variant)), variant, dataset),
    }


def of_all(
    test: dict[str, Any], train: dict[str, Any], histories: dict[str, pd.DataFrame], card: dict[str, Any]
) -> dict[str, Picture]:
    """What is drawn of all variants together."""
    # Both metrics say what further seeds gave, where there are any.
    table = pd.DataFrame.from_dict({name: train[name] | test[name] for name in test}, orient="index")
    best_epochs = {variant: train[variant]["best_epoch"] for variant in test}
    return {
        "accuracy_vs_cost": comparison.accuracy_vs_cost(table, card["title"], card["leading_metric"]),
        "overfitting": comparison.overfitting(histories, best_epochs, card["title"]),
    }


def of_data(card: dict[str, Any]) -> dict[str, Picture]:
    """What is drawn of the data. How many test images each class has comes from the table of recalls."""
    dataset, class_names = card["title"], card["class_names"]
    with np.load(paths.RAW_TRAIN) as raw:
        images, labels = raw["images"], raw["labels"]
    per_class = pd.read_csv(paths.PER_CLASS, dtype={"class": str}, keep_default_na=False)
    test_counts = per_class[per_class["variant"] == per_class["variant"].iloc[0]]["n"].to_numpy()
    train_counts = np.bincount(labels, minlength=len(class_names))
    # As text: a class may be called NA or 1e3.
    to_check = pd.read_csv(paths.LABELS_TO_CHECK, dtype={"label": str, "predicted": str}, keep_default_na=False)
    to_check = to_check.assign(**{name: shown(to_check[name].tolist()) for name in ("label", "predicted")})
    with np.load(paths.IMAGES_TO_CHECK) as arrays:
        checked = arrays["images"]
    return {
        "balance": data.balance(train_counts, test_counts, class_names, dataset),
        "examples": data.examples(images, labels, class_names, dataset),
        "labels_to_check": mistakes.labels_to_check(checked, to_check, dataset),
    }


def of_search(name: str, card: dict[str, Any]) -> dict[str, Picture]:
    """What is drawn of a search."""
    study, metric, dataset = read_study(name), METRICS[card["leading_metric"]].title, card["title"]
    return {
        "coordinates": search.coordinates(study, name, metric, dataset),
        "history": search.history(study, name, metric, dataset),
        "importances": search.importances(study, name, metric, dataset),
    }


def read_study(name: str) -> optuna.Study:
    """The trials of a search."""
    # As text: a whole column decides what pandas reads a cell as.
    trials = pd.read_csv(paths.trials(name), dtype=str, keep_default_na=False)
    return search.study_of(trials, read_json(paths.space(name)))


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    stage.run("plot", main)
