"""Judge every trained variant on the test set. No other stage opens it, and nothing that is judged is chosen here.

The variant with the best validation accuracy also says which labels of validation and test images it finds least
probable. The best small variant becomes the network that the report carries.
"""

import argparse
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glyphline import paths, stage
from glyphline.config import load_params
from glyphline.data.arrays import save_array, save_arrays
from glyphline.evaluation import scoring
from glyphline.evaluation.metrics import METRICS, check_leading
from glyphline.evaluation.numbers import DIGITS, percent, percent_interval
from glyphline.export.plain import folded
from glyphline.export.to_json import to_json
from glyphline.model import inference
from glyphline.model.training import Examples, make_deterministic

WORST_ERRORS = 40  # images kept for each variant's gallery
LABELS_TO_CHECK = 24  # images whose label may be wrong
MOST_PARAMETERS = 500_000  # of the network that the report carries: 2.7 MB of it
Judged = tuple[NDArray[np.uint8], scoring.Labels, NDArray[np.float32]]  # images, labels, probabilities


def main() -> None:
    params = load_params(paths.PARAMS)
    for name in params.judged():
        inference.check_model(paths.model(name))
    for stray in sorted({path.stem for path in paths.MODELS.glob("*.keras")} - set(params.judged())):
        print(f"{paths.model(stray)}: not a variant of params.yaml any more, left out (delete it when you like)")
    card = json.loads(paths.DATASET_CARD.read_text(encoding="utf-8"))
    check_leading(card["leading_metric"], card["name"])
    class_names = card["class_names"]
    make_deterministic(seed=0, threads=params.threads)
    with np.load(paths.RAW_TEST) as raw:
        images, labels = raw["images"], raw["labels"]
    best = max(params.judged(), key=validation_accuracy)

    metrics = {}
    recalls = []
    for name in params.judged():
        probabilities = inference.probabilities(paths.model(name), images)
        metrics[name] = scoring.score(labels, probabilities)
        others = [inference.probabilities(path, images) for path in sorted(paths.seed_models(name).glob("*.keras"))]
        if others:
            metrics[name]["seeds"] = scoring.seed_statistics(labels, [probabilities, *others])
        write_predictions(name, labels, probabilities)
        recalls.append(scoring.per_class(labels, probabilities, class_names).assign(variant=name))

        folder = paths.EVALUATION / name
        folder.mkdir(parents=True, exist_ok=True)
        save_array(folder / "probabilities.npy", probabilities)
        scoring.confusion_table(labels, probabilities, class_names).to_csv(folder / "confusion.csv")
        worst = scoring.worst_errors(labels, probabilities, WORST_ERRORS)
        save_arrays(
            folder / "worst_errors.npz",
            positions=worst,
            images=images[worst],
            labels=labels[worst],
            probabilities=probabilities[worst],
        )
        if name == best:
            validation = Examples.load(paths.PREPARED / "validation")
            guessed = inference.probabilities(paths.model(name), validation.images)
            of_validation = validation.images, validation.labels, guessed
            write_labels_to_check(
                name, {"validation": of_validation, "test": (images, labels, probabilities)}, class_names
            )
        print(_line(name, metrics[name], card["leading_metric"]), flush=True)
    write_network_to_try(params.judged(), images.shape[1:])

    paths.TEST_METRICS.parent.mkdir(exist_ok=True)
    paths.TEST_METRICS.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    columns = ["variant", "class", "recall", "precision", "n"]
    pd.concat(recalls)[columns].to_csv(paths.PER_CLASS, index=False)


def write_predictions(variant: str, labels: scoring.Labels, probabilities: NDArray[np.float32]) -> None:
    """Write one row for each test image: its number, its class, and the most probable class."""
    paths.PREDICTIONS.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame({"image": np.arange(len(labels)), "label": labels, "predicted": probabilities.argmax(axis=1)})
    table.to_csv(paths.predictions(variant), index=False)


def validation_accuracy(variant: str) -> float:
    return float(training_metrics(variant)["validation"]["accuracy"])


def training_metrics(variant: str) -> Any:
    """What `train` measured of a variant."""
    return json.loads(paths.train_metrics(variant).read_text(encoding="utf-8"))


def write_network_to_try(variants: list[str], image_shape: tuple[int, ...]) -> None:
    """Write the best of the small networks, by its validation accuracy, for the report to classify drawings with.

    JSON: `variant` and what to_json gives; null where no network is small, and for images in colour, (side, side, 3),
    of which nobody can draw any.
    """
    small = [name for name in variants if training_metrics(name)["parameters"] <= MOST_PARAMETERS]
    network = None
    if small and len(image_shape) == 2:
        best = max(small, key=validation_accuracy)
        network = {"variant": best} | to_json(folded(inference.load(paths.model(best), (*image_shape, 1))))
    paths.NETWORK_TO_TRY.write_text(json.dumps(network), encoding="utf-8")


def write_labels_to_check(variant: str, splits: Mapping[str, Judged], class_names: list[str]) -> None:
    """Write the LABELS_TO_CHECK images of the splits that are least probably what they are labelled, as table and npz.

    pixels: the first digits of the SHA-256 of an image's bytes, by which to find it again.
    """
    rows: list[dict[str, Any]] = []
    shown: list[NDArray[np.uint8]] = []
    for split, (images, labels, probabilities) in splits.items():
        for place in scoring.least_probable_labels(labels, probabilities, LABELS_TO_CHECK):
            predicted = int(probabilities[place].argmax())
            row = {"variant": variant, "split": split, "label": class_names[labels[place]]}
            row |= {"probability": float(probabilities[place, labels[place]]), "predicted": class_names[predicted]}
            row |= {"predicted_probability": float(probabilities[place, predicted])}
            rows.append(row | {"pixels": hashlib.sha256(images[place].tobytes()).hexdigest()[:12]})
            shown.append(np.asarray(images[place]))
    order = sorted(range(len(rows)), key=lambda number: rows[number]["probability"])[:LABELS_TO_CHECK]
    columns = ["variant", "split", "label", "probability", "predicted", "predicted_probability", "pixels"]
    table = pd.DataFrame([rows[number] for number in order], columns=columns).round(DIGITS)
    table.to_csv(paths.LABELS_TO_CHECK, index=False)
    images = splits["test"][0]
    save_arrays(
        paths.IMAGES_TO_CHECK,
        images=np.array([shown[number] for number in order], np.uint8).reshape(-1, *images.shape[1:]),
    )


def _line(name: str, metrics: dict[str, float], leading: str) -> str:
    cells = [
        f"{METRICS[metric].title} {percent(metrics[metric])} "
        f"({percent_interval(metrics[f'{metric}_low'], metrics[f'{metric}_high'])})"
        for metric in sorted(METRICS, key=lambda metric: metric != leading)
    ]
    return f"{name}: {', '.join(cells)}, loss {metrics['loss']:.4f}"


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    stage.run("evaluate", main)
