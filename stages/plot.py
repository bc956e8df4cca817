"""Draw each variant, all variants side by side, the data and the search. The test images stay shut."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from glyphline import figures, paths, stage


def main() -> None:
    card = _read_json(paths.DATASET_CARD)
    test = _read_json(paths.TEST_METRICS)
    train = {variant: _read_json(paths.train_metrics(variant)) for variant in test}
    histories = {variant: pd.read_csv(paths.history(variant)) for variant in test}
    best_epochs = {variant: int(train[variant]["best_epoch"]) for variant in test}

    for variant, metrics in test.items():
        folder = paths.PLOTS / variant
        curves = figures.curves(histories[variant], best_epochs[variant], variant, card["title"])
        figures.save(curves, folder / "curves.png")
        layers = pd.read_csv(paths.layers(variant))
        figures.save(figures.network(layers, variant, card["title"]), folder / "network.png")
        draw_mistakes(variant, metrics["n"], card, folder)

    # Both say what further seeds gave, where there are any.
    comparison = pd.DataFrame.from_dict({name: train[name] | test[name] for name in test}, orient="index")
    against_cost = figures.accuracy_vs_cost(comparison, card["title"], card["leading_metric"])
    figures.save(against_cost, paths.PLOTS / "accuracy_vs_cost.png")
    figures.save(figures.overfitting(histories, best_epochs, card["title"]), paths.PLOTS / "overfitting.png")
    draw_data(card, paths.PLOTS / "data")
    if paths.TUNED in test:
        draw_search(card["title"], paths.PLOTS / "search")
    print(f"{paths.PLOTS}: figures of {len(test)} variants and of {card['title']}")


def draw_mistakes(variant: str, n: int, card: dict[str, Any], folder: Path) -> None:
    """confusion.png and errors.png of a variant that was judged on `n` test images."""
    evaluation = paths.EVALUATION / variant
    counts = pd.read_csv(evaluation / "confusion.csv", index_col="true").to_numpy(np.int64)
    confusion = figures.confusion(counts, card["class_names"], variant, card["title"])
    figures.save(confusion, folder / "confusion.png")
    with np.load(evaluation / "worst_errors.npz") as worst:
        gallery = figures.worst_errors(
            worst["images"],
            worst["labels"],
            worst["probabilities"],
            card["class_names"],
            errors=int(counts.sum() - np.trace(counts)),
            n=n,
            variant=variant,
            dataset=card["title"],
        )
    figures.save(gallery, folder / "errors.png")


def draw_data(card: dict[str, Any], folder: Path) -> None:
    """examples.png and balance.png. How many test images each class has comes from the table of recalls."""
    class_names = card["class_names"]
    with np.load(paths.RAW_TRAIN) as raw:
        images, labels = raw["images"], raw["labels"]
    per_class = pd.read_csv(paths.PER_CLASS, dtype={"class": str}, keep_default_na=False)
    test_counts = per_class[per_class["variant"] == per_class["variant"].iloc[0]]["n"].to_numpy()
    figures.save(figures.examples(images, labels, class_names, card["title"]), folder / "examples.png")
    train_counts = np.bincount(labels, minlength=len(class_names))
    figures.save(figures.balance(train_counts, test_counts, class_names, card["title"]), folder / "balance.png")


def draw_search(dataset: str, folder: Path) -> None:
    """history.png, importances.png and coordinates.png of the search that found `tuned`."""
    study = figures.search_study(pd.read_csv(paths.TRIALS), _read_json(paths.SPACE))
    for name, draw, shows in (
        ("history", figures.search_history, "Validation accuracy of each trial, and the best so far"),
        ("importances", figures.search_importances, "How much each searched parameter matters to validation accuracy"),
        ("coordinates", figures.search_coordinates, "What each trial drew, a line from parameter to parameter"),
    ):
        figures.save(draw(study, dataset), folder / f"{name}.png", f"{shows}: the table above has the numbers.")


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    stage.run("plot", main)
