"""Train the winner of the search, as variant `tuned`, like any other variant."""

import argparse

from glyphline import paths, stage
from glyphline.config import load_params
from glyphline.model import training
from glyphline.search.settings import tuned_variant
from stages.train import train_variant


def main() -> dict[str, float]:
    params = load_params(paths.PARAMS)
    training.make_deterministic(params.seed, params.threads)
    return train_variant(paths.TUNED, tuned_variant(params.search), params.seed, where="search.final")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    stage.run("train_tuned", main)
