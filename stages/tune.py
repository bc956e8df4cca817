"""Search for the variant with the best validation accuracy, as `search` in params.yaml says. The test set stays shut.

Killed in the middle, the next run goes on from there. Where the trials run changes nothing that is written.
"""

import argparse
import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import distribution_to_json
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import OperationalError

from glyphline import paths, stage
from glyphline.config import load_params
from glyphline.errors import GlyphlineError, ParamsError
from glyphline.model import training
from glyphline.search.cluster import check_scheduler, connected
from glyphline.search.loop import Loop
from glyphline.search.settings import Search
from glyphline.search.space import distributions, suggest
from glyphline.search.study import digest, is_done, open_study
from glyphline.search.table import trials_table, winner
from glyphline.search.trial import Splits
from glyphline.search.versions import versions


def main() -> None:
    params = load_params(paths.PARAMS)
    search = params.search
    if search is None:
        raise ParamsError(f"{paths.PARAMS}: search: this section is missing; docs/search.md says what it holds")
    splits = read_splits()
    path = paths.study(digest(search, params.seed, splits.digest, versions()))
    with alone(path.with_suffix(".lock")):
        try:
            search_and_write(path, search, params.seed, splits)
        except (OperationalError, StorageInternalError) as error:
            cause = error if isinstance(error, OperationalError) else error.__cause__
            raise GlyphlineError(f"{path}: {getattr(cause, 'orig', cause)}; what is done is kept") from None


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Wait until no other process holds the file at `path` in the same way, and hold it.

    Two in one study would end each other's trials. A search outlives its `dvc repro` where that is killed alone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("the same search is running already; waiting for its end", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def search_and_write(study_path: Path, search: Search, seed: int, splits: Splits) -> None:
    """Bring a study to its end and write what dvc.yaml declares. Raises GlyphlineError."""
    study = open_study(study_path, search, seed)
    accidents = {} if is_done(study, search) else run(study, search, seed, splits)
    table = trials_table(study, search.trials, search.space, accidents)
    best = winner(table)
    if best is None:
        raise GlyphlineError(f"{paths.PARAMS}: search: every trial failed, the first: {table['failure'].iloc[0]}")
    row = table.loc[best].to_dict()
    found = {
        "trial": best,
        "validation_accuracy": row["validation_accuracy"],
        "best_epoch": row["best_epoch"],
        "variant": search.fixed.model_dump() | suggest(study.trials[best], search.space),
    }
    space = {name: distribution_to_json(each) for name, each in distributions(search.space).items()}
    for path in (paths.TRIALS, paths.SPACE):
        path.parent.mkdir(parents=True, exist_ok=True)
    paths.SPACE.write_text(json.dumps(space, indent=2) + "\n", encoding="utf-8")
    table.to_csv(paths.TRIALS, index=False)
    paths.WINNER.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"{paths.WINNER}: trial {best} of {len(table)}, validation accuracy {row['validation_accuracy']:.4f}")


def read_splits() -> Splits:
    """What preprocess wrote, with a digest of the files."""
    md5 = hashlib.md5()
    for path in sorted(paths.PREPARED.glob("*/*.npy")):
        with path.open("rb") as file:
            md5.update(hashlib.file_digest(file, "md5").digest())
    train, validation = (training.Examples.load(paths.PREPARED / name) for name in ("train", "validation"))
    return Splits(md5.hexdigest(), in_memory(train), in_memory(validation))


def in_memory(examples: training.Examples) -> training.Examples:
    """The same as plain arrays, which are sent without another copy."""
    return training.Examples(np.array(examples.images), examples.labels)


def run(study: optuna.Study, search: Search, seed: int, splits: Splits) -> dict[int, str]:
    """Run the trials that are not done, and return why some failed that may fare better next time."""
    with connected(search) as client:
        check_scheduler(client)
        loop = Loop(client, study, search, seed, splits)
        loop.run()
    paths.RUNS.mkdir(exist_ok=True)
    seconds = pd.DataFrame({"seconds": loop.seconds, "training_seconds": loop.training_seconds})
    seconds.sort_index().to_csv(paths.TRIAL_SECONDS, index_label="trial")
    return loop.accidents


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    stage.run("tune", main)
