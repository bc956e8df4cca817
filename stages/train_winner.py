"""Train the winner of a search, as the variant of the search's name, like any other variant."""

from glyphline import paths, stage
from glyphline.config import load_params
from glyphline.model import training
from glyphline.search.settings import search_named, winning_variant
from stages.train import train_variant


def main(name: str) -> dict[str, float]:
    params = load_params(paths.PARAMS)
    variant = winning_variant(name, search_named(params.searches, name))
    training.make_deterministic(params.seed, params.threads)
    return train_variant(name, variant, params.seed, where=f"searches.{name}.final")


if __name__ == "__main__":
    stage.run_each("train_winner", main, __doc__, section="searches")
