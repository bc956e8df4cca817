"""Search for the variant with the best validation accuracy, as `search` in params.yaml says.

Killed in the middle, the next run goes on from there. Where the trials run changes nothing that is written.
"""

import argparse

from glyphline import paths, stage
from glyphline.config import load_params
from glyphline.search.cluster import connected
from glyphline.search.loop import run_trials
from glyphline.search.settings import required
from glyphline.search.study import open_study
from glyphline.search.trial import Splits


def main() -> None:
    params = load_params(paths.PARAMS)
    search = required(params.search)
    splits = Splits.load(paths.PREPARED)
    with open_study(search, params.seed, splits.digest) as study:
        if study.has_trials_left:
            with connected(search.workers) as client:
                run_trials(client, study, splits)
        study.write()


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    stage.run("tune", main)
