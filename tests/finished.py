"""A small run: what the stages up to evaluate leave, made up, and the pictures and the report that are made of it."""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from optuna.distributions import distribution_to_json

from glyphline import paths
from glyphline.evaluation import scoring
from glyphline.search.settings import Search
from glyphline.search.space import distributions
from stages import plot, report
from stages.evaluate import write_labels_to_check, write_predictions
from tests.conftest import params_in

CLASS_NAMES = ("あ", "<b>&amp;", "Ankle boot", "3")
TEST_IMAGES = 400  # 100 of each class
# By variant, not in the order of merit: how many test images it takes for the class after theirs.
FOUND = "tuned"  # by the search of that name
ERRORS = {"large_but_worse": 60, "winner": 20, FOUND: 22}
PARAMETERS = {"large_but_worse": 900_000, "winner": 50_000, FOUND: 1_000}
SEEDS = {"winner": {"n": 5, "accuracy_mean": 0.94, "accuracy_sd": 0.0123}}  # of those with several

SEARCH: dict[str, Any] = {
    "trials": 4,
    "fixed": {"batch_size": 64, "epochs": 2},
    "space": {
        "dense": {"count": {"low": 1, "high": 2}, "each": {"low": 8, "high": 32, "step": 8}},
        "activation": {"choices": ["relu", "tanh"]},
    },
    "final": {"dense_dropout": 0.375, "epochs": 20},
}


def finish(root: Path) -> None:
    """Make the folder `root` one in which every stage has run."""
    with contextlib.chdir(root):
        _write_inputs()
        labels = (np.arange(TEST_IMAGES) % len(CLASS_NAMES)).astype(np.uint8)
        _write_evaluation(labels, {name: _probabilities(labels, wrong) for name, wrong in ERRORS.items()})
        for name in ERRORS:
            _write_training(name)
        plot.main()
        report.main()


def _write_inputs() -> None:
    variants = {
        name: {"filters": [4] * position, "epochs": 3, "dense_dropout": 0.5}
        for position, name in enumerate(ERRORS)
        if name != FOUND
    }
    _write_search()
    params_in(Path(), limit=None, variants=variants, searches={FOUND: SEARCH})
    paths.RAW.mkdir(parents=True)
    card = {
        "name": "mnist-5k",
        "title": "Glyphs & <tags>",
        "class_names": CLASS_NAMES,
        "leading_metric": "accuracy",
        "licence": "CC0",
        "citation": "Nobody, 2000",
    }
    paths.DATASET_CARD.write_text(json.dumps(card), encoding="utf-8")
    labels = (np.arange(80) % len(CLASS_NAMES)).astype(np.uint8)
    np.savez(paths.RAW_TRAIN, images=_images(labels), labels=labels)
    for split, count in (("train", 60), ("validation", 20)):
        (paths.PREPARED / split).mkdir(parents=True)
        np.save(paths.PREPARED / split / "classes.npy", np.bincount(labels[:count], minlength=len(CLASS_NAMES)))


def _write_search() -> None:
    """What tune leaves of three trials."""
    search = Search.model_validate(SEARCH)
    for path in (paths.trials(FOUND), paths.space(FOUND)):
        path.parent.mkdir(parents=True)
    space = {name: distribution_to_json(each) for name, each in distributions(search.space).items()}
    paths.space(FOUND).write_text(json.dumps(space), encoding="utf-8")
    paths.trials(FOUND).write_text(
        "trial,state,validation_score,best_epoch,epochs,dense_count,dense_1,dense_2,activation,failure\n"
        "0,complete,0.5,2,2,1,32,,tanh,\n1,failed,,,1,2,16,8,relu,diverged in epoch 2\n"
        "2,stopped,0.75,1,2,2,8,32,relu,\n3,complete,0.625,1,2,2,16,16,tanh,\n",
        encoding="utf-8",
    )
    variant = search.fixed.model_dump() | {"dense": [8, 32], "activation": "relu"}
    winner = {"trial": 2, "validation_score": 0.75, "best_epoch": 1, "variant": variant}
    paths.winner(FOUND).write_text(json.dumps(winner), encoding="utf-8")


def _images(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, 28, 28) uint8: an upright bar for each, the thicker the higher its class."""
    columns = np.arange(28)[np.newaxis, np.newaxis, :]
    bars = np.abs(columns - 14) <= labels[:, np.newaxis, np.newaxis]
    return np.broadcast_to(np.where(bars, 255, 0).astype(np.uint8), (len(labels), 28, 28)).copy()


def _probabilities(labels: NDArray[np.uint8], wrong: int) -> NDArray[np.float32]:
    """(n, classes): each image surely in its class, but the first `wrong` in the next one, less and less surely."""
    classes = len(CLASS_NAMES)
    predicted = (labels + (np.arange(len(labels)) < wrong)) % classes
    sure = np.linspace(0.99, 0.6, len(labels))[:, np.newaxis]
    others = (1 - sure) / (classes - 1)
    return np.where(np.eye(classes, dtype=bool)[predicted], sure, others).astype(np.float32)


def _write_evaluation(labels: NDArray[np.uint8], by_variant: Mapping[str, NDArray[np.float32]]) -> None:
    images = _images(labels)
    class_names = list(CLASS_NAMES)
    recalls = []
    for name, probabilities in by_variant.items():
        write_predictions(name, labels, probabilities)
        recalls.append(scoring.per_class(labels, probabilities, class_names).assign(variant=name))
        folder = paths.EVALUATION / name
        folder.mkdir(parents=True)
        scoring.confusion_table(labels, probabilities, class_names).to_csv(folder / "confusion.csv")
        worst = scoring.worst_errors(labels, probabilities, 5)
        np.savez(
            folder / "worst_errors.npz",
            positions=worst,
            images=images[worst],
            labels=labels[worst],
            probabilities=probabilities[worst],
        )
    paths.NETWORK_TO_TRY.write_text("null", encoding="utf-8")
    winner = by_variant["winner"]
    splits = {"validation": (images[:50], labels[:50], winner[:50]), "test": (images, labels, winner)}
    write_labels_to_check("winner", splits, class_names)
    paths.TEST_METRICS.parent.mkdir(exist_ok=True)
    metrics: dict[str, Any] = {name: scoring.score(labels, each) for name, each in by_variant.items()}
    for name, seeds in SEEDS.items():
        metrics[name]["seeds"] = seeds
    paths.TEST_METRICS.write_text(json.dumps(metrics), encoding="utf-8")
    pd.concat(recalls)[["variant", "class", "recall", "precision", "n"]].to_csv(paths.PER_CLASS, index=False)


def _write_training(name: str) -> None:
    for folder in (paths.TRAIN_METRICS, paths.HISTORY, paths.LAYERS):
        folder.mkdir(parents=True, exist_ok=True)
    parameters = PARAMETERS[name]
    metrics = {
        "train": {"accuracy": 0.9, "loss": 0.3},
        "validation": {"accuracy": 0.7, "loss": 0.7},
        "generalisation_gap": {"best_epoch": 0.1, "last_epoch": 0.4},
        "best_epoch": 2,
        "epochs": 3,
        "parameters": parameters,
        "multiply_adds": 2 * parameters,
        "precision": "float32",
    }
    paths.train_metrics(name).write_text(json.dumps(metrics), encoding="utf-8")
    paths.history(name).write_text(
        "epoch,loss,accuracy,validation_loss,validation_accuracy\n"
        "1,0.9,0.5,0.8,0.6\n2,0.5,0.8,0.6,0.7\n3,0.3,0.9,0.7,0.7\n",
        encoding="utf-8",
    )
    paths.layers(name).write_text(
        "layer,output_shape,parameters,multiply_adds\n"
        f"image,28 x 28 x 1,0,0\nflatten,784,0,0\nprobabilities,4,{parameters},{2 * parameters}\n",
        encoding="utf-8",
    )
