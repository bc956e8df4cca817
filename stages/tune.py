"""Search for the variant that does best on the validation split, as one entry of `searches` in params.yaml says.

After a kill the next run goes on from there. Where the trials run changes no result; with `tpe` or
`minutes` their timing may.
"""

import json

from glyphline import paths, stage
from glyphline.config import load_params
from glyphline.search.cluster import connected
from glyphline.search.loop import run_trials
from glyphline.search.settings import search_named
from glyphline.search.study import open_study
from glyphline.search.trial import Splits


def main(name: str) -> None:
    params = load_params(paths.PARAMS)
    search = search_named(params.searches, name)
    splits = Splits.load(paths.PREPARED)
    metric = json.loads(paths.DATASET_CARD.read_text(encoding="utf-8"))["leading_metric"]
    with open_study(search, params.seed, splits.digest, metric) as study:
        if study.has_trials_left:
            with connected(params.workers) as client:
                run_trials(client, study, splits, name, params.trial_memory_gib)
        study.write(name)


if __name__ == "__main__":
    stage.run_each("tune", main, __doc__, section="searches")
