"""The search in pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from optuna.distributions import distribution_to_json
from optuna.trial import TrialState

from glyphline import paths
from glyphline.figures import search, style
from glyphline.search.settings import Search
from glyphline.search.space import distributions, suggest
from glyphline.search.table import row, trials_table
from stages import plot
from tests.finished import FOUND, SEARCH

DRAW = (search.history, search.importances, search.coordinates)


@pytest.fixture
def study(small_run: Path, monkeypatch: pytest.MonkeyPatch) -> optuna.Study:
    """That of the small run, of four trials, one of which failed."""
    monkeypatch.chdir(small_run)
    return plot.read_study(FOUND)


def texts(picture: style.Picture) -> str:
    found = [text.get_text() for text in picture.figure.texts]
    for axes in picture.figure.axes:
        found += [label.get_text() for axis in (axes.xaxis, axes.yaxis) for label in axis.get_ticklabels()]
    return " ".join(found)


def test_the_figures_show_the_trials_that_ended_well(study: optuna.Study) -> None:
    assert [trial.value for trial in study.trials] == [0.5, 0.75, 0.625]
    assert study.trials[0].params == {"dense_count": 1, "dense_1": 32, "activation": "tanh"}
    history, importances, coordinates = (draw(study, FOUND, "accuracy", "Digits") for draw in DRAW)
    assert "The best of 3 trials has 75.00 %." in history.alt
    assert "dense_count" in texts(importances)
    [axes] = importances.figure.axes
    shares = [patch.get_window_extent().width for patch in axes.patches]
    names = [label.get_text() for label in axes.get_yticklabels()]
    by_share = [name for _, name in sorted(zip(shares, names, strict=True), reverse=True)]
    assert importances.alt.endswith(f": {', '.join(by_share)}.")
    assert "activation" in texts(coordinates)
    assert "drew dense_count 2, dense_1 8, dense_2 32, activation relu." in coordinates.alt


SPACES: list[dict[str, Any]] = [
    {"dense_dropout": {"choices": [0, 0.25]}},
    {"dense": {"count": {"low": 1, "high": 2}, "each": {"choices": [32, 64]}}},
    {"learning_rate": {"choices": [0.1, 1e-05, 0.0003]}, "batch_normalization": {"choices": [True, False]}},
    {"filters": {"choices": [[32, 64], []]}, "pooling": {"choices": ["each", "none", [1]]}},
    {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}},
    {"augmentation": {"shift": {"low": 0.0, "high": 2.0}, "until": {"choices": [0.5, 1]}}},
]


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("space", SPACES)
def test_what_was_drawn_comes_back_from_the_table(space: dict[str, Any]) -> None:
    searched = Search.model_validate(SEARCH | {"space": space}).space
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    for number in range(12):
        trial = study.ask()
        suggest(trial, searched)
        trial.report(number / 12, 1)
        study.tell(trial, number / 12, TrialState.COMPLETE)
    for path in (paths.trials(FOUND), paths.space(FOUND)):
        path.parent.mkdir(parents=True)
    trials_table([row(trial, searched, 1, 1) for trial in study.trials], searched).to_csv(
        paths.trials(FOUND), index=False
    )
    found = {name: distribution_to_json(each) for name, each in distributions(searched).items()}
    paths.space(FOUND).write_text(json.dumps(found), encoding="utf-8")
    read = plot.read_study(FOUND)
    written = [sorted(trial.params.items()) for trial in study.trials]
    assert repr([sorted(trial.params.items()) for trial in read.trials]) == repr(written), "1 is neither 1.0 nor True"


@pytest.mark.parametrize("draw", DRAW)
def test_the_same_trials_give_the_same_bytes(draw: Callable[..., style.Picture], study: optuna.Study) -> None:
    first, again = (style.to_png(draw(each, FOUND, "accuracy", "Digits")) for each in (study, plot.read_study(FOUND)))
    assert first == again


@pytest.mark.usefixtures("study")
def test_a_search_with_too_few_trials_for_a_picture_says_so() -> None:
    space = json.loads(paths.space(FOUND).read_text(encoding="utf-8"))
    one = pd.read_csv(paths.trials(FOUND), dtype=str, keep_default_na=False).head(1)
    picture = search.importances(search.study_of(one, space), FOUND, "accuracy", "Digits")
    assert "There is nothing to draw" in texts(picture)
    assert "There is nothing to draw" in picture.alt
    for draw in DRAW:
        style.to_png(draw(search.study_of(one.head(0), space), FOUND, "accuracy", "Digits"))
