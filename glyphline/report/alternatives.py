"""What each picture shows, for whoever does not see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from glyphline.evaluation.metrics import METRICS
from glyphline.evaluation.numbers import decimals, listed, percent, plural, signed
from glyphline.report.results import WorstError


def curves(train: dict[str, Any], name: str) -> str:
    return (
        f"Two line charts of {name}, loss and accuracy after each of {plural(train['epochs'], 'epoch')}, each with a "
        f"line for train and one for validation. Validation loss is lowest after epoch {train['best_epoch']}. At the "
        f"last epoch it is {signed(train['generalisation_gap']['last_epoch'], 3)} nats from train loss."
    )


def confusion(wrong: str, name: str) -> str:
    return (
        f"Confusion matrix of {name}, in images and in percent of the true class, a row for each true class and a "
        f"column for each predicted one: {wrong}."
    )


def errors(worst: Sequence[WorstError], class_names: Sequence[str], name: str) -> str:
    if not worst:
        return f"No pictures: {name} classifies every test image right."
    named = [
        f"{class_names[error.true]} taken for {class_names[error.predicted]} with {percent(error.probability, 1)}"
        for error in worst
    ]
    return (
        f"Test images that {name} takes for another class, the most confident errors first, each with its true class "
        f"above and the predicted one below. The first: {listed(named)}."
    )


def network(layers: pd.DataFrame, name: str) -> str:
    chain = ", ".join(
        f"{str(layer).replace('_', ' ')} {str(shape).replace('x', 'by')}"
        for layer, shape in zip(layers["layer"], layers["output_shape"], strict=True)
    )
    return (
        f"The layers of {name} from the input down, with their output shapes: {chain}. "
        f"{layers['parameters'].sum():,} parameters and {layers['multiply_adds'].sum():,} "
        "multiply-adds for one image."
    )


def examples(class_names: Sequence[str]) -> str:
    return f"Training images, several of each of the {len(class_names)} classes: {', '.join(class_names)}."


def balance(labels: pd.Series, class_names: Sequence[str]) -> str:
    counts = np.bincount(labels.to_numpy(), minlength=len(class_names))
    fewest, most = int(counts.argmin()), int(counts.argmax())
    if counts[fewest] == counts[most]:
        spread = f"the test set has {plural(int(counts[most]), 'image')} of each class"
    else:
        spread = (
            f"the test set has from {plural(int(counts[fewest]), 'image')} ({class_names[fewest]}) to "
            f"{counts[most]:,} ({class_names[most]}) of a class"
        )
    return f"Bar charts of how many images each class has among the training and the test images: {spread}."


def cost(test: dict[str, Any], train: dict[str, Any], metric: str) -> str:
    by_size = sorted(test, key=lambda name: int(train[name]["parameters"]))
    named = [f"{name} {percent(test[name][metric], decimals(test[name]['n']))}" for name in by_size]
    return (
        f"Two charts of test {METRICS[metric].title} with its 95 % interval, against the number of parameters and "
        f"against multiply-adds for one image. From the fewest parameters to the most: {', '.join(named)}."
    )


def overfitting(train: dict[str, Any]) -> str:
    gaps = {name: float(each["generalisation_gap"]["last_epoch"]) for name, each in train.items()}
    widest, narrowest = max(gaps, key=gaps.__getitem__), min(gaps, key=gaps.__getitem__)
    return (
        "Line charts of train and validation loss over the epochs, one for each variant, and below them the distance "
        f"of the two. At the last epoch it is largest for {widest}, {signed(gaps[widest], 3)} nats, and smallest for "
        f"{narrowest}, {signed(gaps[narrowest], 3)} nats."
    )
