"""Train the winner of the search, as variant `tuned`, like any other variant."""

import argparse
import json

from pydantic import ValidationError

from glyphline import paths, stage
from glyphline.errors import ParamsError
from glyphline.params import Variant, load_params
from stages.train import train_variant


def main() -> None:
    params = load_params(paths.PARAMS)
    if params.search is None:
        raise ParamsError(f"{paths.PARAMS}: search: this section is missing; docs/search.md says what it holds")
    found = json.loads(paths.WINNER.read_text(encoding="utf-8"))["variant"]
    try:
        variant = Variant.model_validate(found | params.search.final)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ParamsError(f"{paths.PARAMS}: search.final: together with what was found: {reason}") from None
    train_variant(paths.TUNED, variant, params.seed, where="search.final")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    stage.run("train_tuned", main)
