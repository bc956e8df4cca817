"""The search in pictures and in the report."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from optuna.distributions import distribution_to_json

from glyphline import figures, paths
from glyphline.report.page import render
from glyphline.report.pictures import description
from glyphline.report.results import read_results
from glyphline.search.settings import Search
from glyphline.search.space import distributions
from tests.finished import SEARCH, finish

DRAW = (figures.search_history, figures.search_importances, figures.search_coordinates)
SPACE = {name: distribution_to_json(each) for name, each in distributions(Search.model_validate(SEARCH).space).items()}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with one variant and the winner of a search of four trials, one of which failed."""
    root = tmp_path_factory.mktemp("searched") / "run"
    finish(root, errors={"small": 60, "tuned": 20})
    return root


def texts(figure: Figure) -> str:
    found = [text.get_text() for text in figure.texts]
    for axes in figure.axes:
        found += [label.get_text() for axis in (axes.xaxis, axes.yaxis) for label in axis.get_ticklabels()]
    return " ".join(found)


def test_plot_draws_the_search_and_each_picture_says_what_it_shows(searched: Path) -> None:
    pictures = sorted((searched / "plots/search").iterdir())
    assert [path.name for path in pictures] == ["coordinates.png", "history.png", "importances.png"]
    assert all(": the table above has the numbers." in (description(path) or "") for path in pictures)


def test_the_report_has_every_trial_and_the_winner_s_parameters(searched: Path) -> None:
    with contextlib.chdir(searched):
        page = render(read_results())
    table = page[page.index('id="trials-caption"') : page.index("</table>", page.index('id="trials-caption"'))]
    assert "4 trials, chosen by their accuracy on the validation split" in table
    assert table.count('<th scope="row"') == 4
    assert "diverged in epoch 2" in table
    tuned = page[page.index('id="variant-tuned"') :]
    assert "dense_dropout" in tuned
    assert "0.375" in tuned


def test_the_figures_show_the_trials_that_ended_well(searched: Path) -> None:
    study = figures.search_study(pd.read_csv(searched / paths.TRIALS), SPACE)
    assert [trial.value for trial in study.trials] == [0.5, 0.75, 0.625]
    assert study.trials[0].params == {"dense_count": 1, "dense_1": 32, "activation": "tanh"}
    drawn = [draw(study, "Digits") for draw in DRAW]
    assert "dense_count" in texts(drawn[1])
    assert "activation" in texts(drawn[2])


@pytest.mark.parametrize("draw", DRAW)
def test_the_same_trials_give_the_same_bytes(draw: object, searched: Path, tmp_path: Path) -> None:
    assert callable(draw)
    for name in ("a", "b"):
        study = figures.search_study(pd.read_csv(searched / paths.TRIALS), SPACE)
        figures.save(draw(study, "Digits"), tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_search_with_too_few_trials_for_a_picture_says_so(searched: Path) -> None:
    one = pd.read_csv(searched / paths.TRIALS).head(1)
    assert "There is nothing to draw" in texts(figures.search_importances(figures.search_study(one, SPACE), "Digits"))
    for draw in DRAW:
        assert isinstance(draw(figures.search_study(one.head(0), SPACE), "Digits"), Figure)
