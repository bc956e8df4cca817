"""Real git repositories with made-up results, the real DVC where it matters."""

import json
from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from glyphline import paths
from glyphline.evaluation import scoring
from tests.conftest import REPOSITORY
from tests.pipeline.conftest import Clone

Flags = NDArray[np.bool_]

LABELS = np.arange(1000, dtype=np.int64) % 10
DIGITS = [*"0123456789"]
PARAMS: dict[str, Any] = {"seed": 1, "dataset": "mnist-5k", "limit": None, "preprocess": {"validation_fraction": 0.1}}
PIPELINE = """\
stages:
  evaluate:
    cmd: python -m stages.evaluate
    params: [variants]
    deps: [stages/evaluate.py]
    outs: [data/evaluation, data/raw/test.npz]
    metrics:
    - metrics/test.json: {cache: false}
    plots:
    - metrics/predictions: {cache: false}
"""


def wrong(*positions: int | range) -> Flags:
    """(1000,) right about every image but those at these positions."""
    flags = np.ones(len(LABELS), np.bool_)
    for position in positions:
        flags[list(position) if isinstance(position, range) else position] = False
    return flags


def predictions(right: Flags) -> NDArray[np.int64]:
    """The class after the true one where a flag says wrong."""
    return np.where(right, LABELS, (LABELS + 1) % 10)


class Scratch(Clone):
    """A git repository with made-up results, and nothing else of Glyphline's."""

    def write(self, path: Path | str, content: str) -> None:
        """Write a text file."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(content, encoding="utf-8")

    def write_params(self, **changes: Any) -> None:
        """Write params.yaml, or replace keys in the one that is there."""
        there = (self.root / paths.PARAMS).is_file()
        params = json.loads(self.read(str(paths.PARAMS))) if there else PARAMS
        self.write(paths.PARAMS, json.dumps(params | changes))

    def write_results(self, right: Mapping[str, Flags], seeds: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Write params.yaml and metrics/ as the pipeline would if each variant were right where its flags say."""
        self.write_params(variants={variant: {"dense": [8], "epochs": 1} for variant in right})
        metrics, recalls, labels = {}, [], LABELS.astype(np.uint8)
        for variant, flags in right.items():
            predicted = predictions(flags)
            probabilities = np.eye(10, dtype=np.float32)[predicted]
            metrics[variant] = scoring.score(labels, probabilities)
            if seeds and variant in seeds:
                metrics[variant]["seeds"] = dict(seeds[variant])
            table = pd.DataFrame({"image": np.arange(len(labels)), "label": labels, "predicted": predicted})
            self.write(paths.predictions(variant), table.to_csv(index=False))
            recalls.append(scoring.per_class(labels, probabilities, DIGITS).assign(variant=variant))
            self.write(paths.train_metrics(variant), json.dumps({"parameters": 1000, "multiply_adds": 10_000}))
        self.write(paths.TEST_METRICS, json.dumps(metrics))
        self.write(paths.PER_CLASS, pd.concat(recalls).to_csv(index=False))

    def start_dvc(self) -> None:
        """Make it a DVC repository with a pipeline of one stage and the record of the data set."""
        from dvc.repo import Repo

        Repo.init(str(self.root), force=True).close()
        self.write("dvc.yaml", PIPELINE)
        record = paths.dataset("mnist-5k")
        self.write(record, (REPOSITORY / record).read_text(encoding="utf-8"))
        self.write("stages/evaluate.py", "# the stage\n")
        self.write(".gitignore", "/data\n")

    def lock(self, images: NDArray[np.uint8] | None = None) -> None:
        """Write dvc.lock and fill DVC's cache as if the stage had written what lies here now."""
        from dvc.repo import Repo

        metrics = json.loads((self.root / paths.TEST_METRICS).read_text(encoding="utf-8"))
        for variant in metrics:
            table = pd.read_csv(self.root / paths.predictions(variant))
            folder = self.root / paths.EVALUATION / variant
            folder.mkdir(parents=True, exist_ok=True)
            sure = np.eye(10, dtype=bool)[table["predicted"]]
            np.save(folder / "probabilities.npy", np.where(sure, 0.8, 0.2 / 9).astype(np.float32))
        (self.root / paths.RAW).mkdir(parents=True, exist_ok=True)
        shown = np.zeros((len(table), 28, 28), np.uint8) if images is None else images
        np.savez(self.root / paths.RAW_TEST, images=shown, labels=table["label"].to_numpy(np.uint8))
        with chdir(self.root), Repo() as repo:
            repo.commit(force=True)


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    """An empty git repository on a branch main, with a DVC folder and no commit."""
    return start(tmp_path / "scratch")


def start(root: Path) -> Scratch:
    """Make a folder and an empty git repository in it."""
    root.mkdir()
    repository = Scratch(root)
    repository.git("init", "--quiet", "--initial-branch=main")
    repository.git("config", "user.name", "Test")
    repository.git("config", "user.email", "test@example.org")
    repository.write(".dvc/config", "")
    return repository
