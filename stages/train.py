"""Train one variant on the train split, watched on the validation split."""

import argparse
import json

import pandas as pd

from glyphline import networks, paths, stage, training
from glyphline.errors import GlyphlineError, ParamsError
from glyphline.params import Variant, load_params


def main(name: str) -> None:
    params = load_params(paths.PARAMS)
    if name not in params.variants:
        raise ParamsError(
            f"{paths.PARAMS}: variants.{name}: there is no such variant among {', '.join(params.variants)}"
        )
    train_variant(name, params.variants[name], params.seed, where=f"variants.{name}")


def train_variant(name: str, variant: Variant, seed: int, where: str) -> None:
    """Train a variant and write what dvc.yaml declares of it; `where` in params.yaml its learning rate can be changed.

    Raises GlyphlineError, before anything is written, when the loss is not a number any more.
    """
    train = training.Examples.load(paths.PREPARED / "train")
    validation = training.Examples.load(paths.PREPARED / "validation")

    training.make_deterministic(seed)
    network = networks.build(variant, train.images.shape[1:], train.labels.shape[1])
    history = training.train(network, variant, train, validation, seed)
    if training.has_diverged(history, variant.early_stopping is not None):
        raise GlyphlineError(
            f"{paths.PARAMS}: {where}.learning_rate: training went astray, its loss is not a number any more; "
            "lower the learning rate"
        )

    training.save(network, paths.model(name))
    table = networks.layer_table(network)
    paths.LAYERS.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(table).to_csv(paths.layers(name), index=False)
    metrics = training.summary(history, variant.early_stopping is not None) | {
        "parameters": sum(row["parameters"] for row in table),
        "multiply_adds": sum(row["multiply_adds"] for row in table),
    }
    paths.TRAIN_METRICS.mkdir(parents=True, exist_ok=True)
    paths.train_metrics(name).write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    paths.HISTORY.mkdir(parents=True, exist_ok=True)
    history.round(training.DIGITS).to_csv(paths.history(name), index=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variant", help="an entry under variants in params.yaml")
    variant_name = parser.parse_args().variant
    stage.run(f"train@{variant_name}", lambda: main(variant_name))
