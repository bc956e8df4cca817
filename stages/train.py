"""Train one variant on the train split, watched on the validation split; with several seeds, several times."""

import json

import pandas as pd

from glyphline import paths, stage
from glyphline.config import load_params
from glyphline.errors import GlyphlineError, ParamsError
from glyphline.model import training
from glyphline.model.files import save
from glyphline.model.networks import layer_table, precision
from glyphline.model.training import Examples
from glyphline.model.variant import Variant


def main(name: str) -> dict[str, float]:
    params = load_params(paths.PARAMS)
    if name not in params.variants:
        raise ParamsError(
            f"{paths.PARAMS}: variants.{name}: there is no such variant among {', '.join(params.variants)}"
        )
    training.make_deterministic(params.seed, params.threads)
    return train_variant(name, params.variants[name], params.seed, where=f"variants.{name}")


def train_variant(name: str, variant: Variant, first_seed: int, where: str) -> dict[str, float]:
    """Train a variant and write what dvc.yaml declares of it. where: its key in params.yaml, for error messages.

    Returns the seconds that went into epochs, for the record of the run. Raises GlyphlineError when the loss is not a
    number any more.
    """
    train, validation = (Examples.load(paths.PREPARED / split) for split in ("train", "validation"))
    try:
        variant.check_fits(train.image_shape[0])
    except ValueError as error:
        raise ParamsError(f"{paths.PARAMS}: {where}: {error}") from None
    summaries, seconds = [], 0.0
    for number, seed in enumerate(training.seeds(first_seed, variant.seeds)):
        if number:
            print(f"seed {seed}, {number + 1} of {variant.seeds}:", flush=True)
        try:
            trained = training.fit(variant, train, validation, seed)
        except FloatingPointError as error:
            raise GlyphlineError(
                f"{paths.PARAMS}: {where}.learning_rate: training failed, {error}; lower the learning rate"
            ) from None
        save(trained.network, paths.seed_models(name) / f"{seed}.keras" if number else paths.model(name))
        if not number:
            layers, history = pd.DataFrame(layer_table(trained.network)), trained.history
        summaries.append(trained.summary)
        seconds += trained.seconds

    for folder in (paths.seed_models(name), paths.LAYERS, paths.TRAIN_METRICS, paths.HISTORY):
        folder.mkdir(parents=True, exist_ok=True)  # DVC wants that of further seeds even where there are none
    layers.to_csv(paths.layers(name), index=False)
    history.round(training.DIGITS).to_csv(paths.history(name), index=False)
    costs = {key: int(layers[key].sum()) for key in ("parameters", "multiply_adds")}
    metrics = summaries[0] | costs | {"precision": precision(variant)}
    if variant.seeds > 1:
        metrics["seeds"] = training.over_seeds(summaries)
    paths.train_metrics(name).write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    return {"training_seconds": round(seconds, 3)}


if __name__ == "__main__":
    stage.run_each("train", main, __doc__, section="variants")
