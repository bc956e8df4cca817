"""Train one variant on the train split, watched on the validation split; with several seeds, several times."""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING

import pandas as pd

from glyphline import paths, stage
from glyphline.config import load_params
from glyphline.errors import GlyphlineError, ParamsError
from glyphline.model import networks, training
from glyphline.model.training import Examples
from glyphline.model.variant import Variant

if TYPE_CHECKING:
    import keras


def main(name: str) -> dict[str, float]:
    params = load_params(paths.PARAMS)
    if name not in params.variants:
        raise ParamsError(
            f"{paths.PARAMS}: variants.{name}: there is no such variant among {', '.join(params.variants)}"
        )
    return train_variant(name, params.variants[name], params.seed, where=f"variants.{name}")


def train_variant(name: str, variant: Variant, first_seed: int, where: str) -> dict[str, float]:
    """Train a variant and write what dvc.yaml declares of it; `where` in params.yaml its learning rate can be changed.

    Returns the seconds that went into epochs, for the record of the run. Raises GlyphlineError when the loss is lost on
    the way.
    """
    train, validation = (Examples.load(paths.PREPARED / split) for split in ("train", "validation"))

    network, history, seconds = fit(variant, train, validation, first_seed, where)
    training.save(network, paths.model(name))
    table = networks.layer_table(network)
    summaries = [training.summary(history, variant.early_stopping is not None)]
    paths.seed_models(name).mkdir(parents=True, exist_ok=True)  # DVC wants it, even with nothing in it
    for seed in training.further_seeds(first_seed, variant.seeds):
        print(f"seed {seed}, {len(summaries) + 1} of {variant.seeds}:", flush=True)
        again, its_history, its_seconds = fit(variant, train, validation, seed, where)
        seconds += its_seconds
        training.save(again, paths.seed_models(name) / f"{seed}.keras")
        summaries.append(training.summary(its_history, variant.early_stopping is not None))

    paths.LAYERS.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(table).to_csv(paths.layers(name), index=False)
    metrics = (
        summaries[0]
        | {
            "parameters": sum(row["parameters"] for row in table),
            "multiply_adds": sum(row["multiply_adds"] for row in table),
        }
        | ({"seeds": training.spread(summaries)} if variant.seeds > 1 else {})
    )
    paths.TRAIN_METRICS.mkdir(parents=True, exist_ok=True)
    paths.train_metrics(name).write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    paths.HISTORY.mkdir(parents=True, exist_ok=True)
    history.round(training.DIGITS).to_csv(paths.history(name), index=False)
    return {"training_seconds": round(seconds, 3)}


def fit(
    variant: Variant, train: Examples, validation: Examples, seed: int, where: str
) -> tuple[keras.Model, pd.DataFrame, float]:
    """A network trained from this seed, its history, and the seconds of its epochs.

    Raises GlyphlineError when the loss is lost on the way.
    """
    training.make_deterministic(seed)
    network = networks.build(
        variant, train.images.shape[1:], train.labels.shape[1], training.steps(variant, len(train.labels))
    )
    clock = time.perf_counter()
    history = training.train(network, variant, train, validation, seed)
    seconds = time.perf_counter() - clock
    if training.has_diverged(history, variant.early_stopping is not None):
        raise GlyphlineError(
            f"{paths.PARAMS}: {where}.learning_rate: training went astray, its loss is not a number any more; "
            "lower the learning rate"
        )
    return network, history, seconds


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variant", help="an entry under variants in params.yaml")
    variant_name = parser.parse_args().variant
    stage.run(f"train@{variant_name}", lambda: main(variant_name))
