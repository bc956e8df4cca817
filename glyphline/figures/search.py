"""The search's figures, by Optuna's own matplotlib back end, dressed in this project's style."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from glyphline.evaluation.numbers import percent, plural
from glyphline.figures.style import (
    DPI,
    FAINT,
    HEAD,
    MARGIN,
    QUIET,
    WIDTH,
    Picture,
    new_figure,
    styled,
    write,
    write_headline,
)

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

HEIGHT = 5.2  # inches
MOST_AXES = 12  # of the parallel coordinates; more cannot be read
SEED = 0  # of the forest that tells the importances


def study_of(trials: pd.DataFrame, space: Mapping[str, str]) -> optuna.Study:
    """The trials that ended well, as an Optuna study in memory.

    trials: the table of the search, its cells as text, "" for an empty one. space: by column, the parameter's
    distribution as Optuna's JSON.
    """
    import optuna
    from optuna.distributions import json_to_distribution

    distributions = {name: json_to_distribution(text) for name, text in space.items()}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    for _, row in trials[trials["state"] != "failed"].iterrows():
        drawn = {name: _value(row[name], each) for name, each in distributions.items() if row[name]}
        study.add_trial(
            optuna.trial.create_trial(
                params=drawn,
                distributions={name: distributions[name] for name in drawn},
                value=float(row["validation_score"]),
            )
        )
    return study


def _value(cell: str, distribution: BaseDistribution) -> Any:
    """What a trial drew from a distribution, of which a table has this text."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        # A column of a table has one type: beside 0.25, a choice of 0 is written as 0.0.
        wholes = {str(float(choice)): choice for choice in distribution.choices if type(choice) is int}
        return (wholes | {str(choice): choice for choice in distribution.choices})[cell]
    return int(cell) if isinstance(distribution, IntDistribution) else float(cell)


def history(study: optuna.Study, name: str, metric: str, dataset: str) -> Picture:
    """Each trial's validation score by a metric, and the best so far."""
    from optuna.visualization import matplotlib as optuna_figures

    def draw() -> tuple[Axes, str]:
        axes = optuna_figures.plot_optimization_history(study, target_name=f"validation {metric}")
        return axes, f"The best of {plural(len(study.trials), 'trial')} has {percent(study.best_value)}"

    what = f"Highest validation {metric} over the epochs of each trial"
    return _dressed(draw, name, "trial by trial", what, dataset)


def importances(study: optuna.Study, name: str, metric: str, dataset: str) -> Picture:
    """How much of the variance of the validation score each parameter explains (fANOVA)."""
    from optuna.importance import FanovaImportanceEvaluator
    from optuna.visualization import matplotlib as optuna_figures

    def draw() -> tuple[Axes, str]:
        if len({trial.value for trial in study.trials}) < 2:
            raise ValueError("it takes two trials of different accuracy")  # Optuna calls all parameters as important
        evaluator = FanovaImportanceEvaluator(seed=SEED)
        axes = optuna_figures.plot_param_importances(study, evaluator=evaluator, target_name=f"validation {metric}")
        upwards = [label.get_text() for label in axes.get_yticklabels()]
        return axes, f"From the largest share to the smallest: {', '.join(reversed(upwards))}"

    what = f"Share of the variance of the validation {metric} (fANOVA), over all trials"
    return _dressed(draw, name, "which parameters matter", what, dataset)


def coordinates(study: optuna.Study, name: str, metric: str, dataset: str) -> Picture:
    """What each trial drew, a line a trial, the darker the more accurate."""
    from optuna.visualization import matplotlib as optuna_figures

    def draw() -> tuple[Axes, str]:
        parameters = list(dict.fromkeys(name for trial in study.trials for name in trial.params))[:MOST_AXES]
        axes = optuna_figures.plot_parallel_coordinate(study, params=parameters, target_name=f"validation {metric}")
        drawn = ", ".join(f"{name} {value}" for name, value in study.best_params.items())
        return axes, f"The best of {plural(len(study.trials), 'trial')} drew {drawn}"

    what = f"A line a trial, the darker the higher its validation {metric}"
    return _dressed(draw, name, "what the trials drew", what, dataset)


@styled
def _dressed(draw: Callable[[], tuple[Axes, str]], search: str, title: str, what: str, dataset: str) -> Picture:
    """Our headline, then Optuna's picture or why there is none. draw: the picture and its finding in words."""
    from matplotlib import pyplot

    title, subtitle, caption = f"Search {search}: {title}", f"{dataset}. {what}.", title.capitalize()
    pyplot.switch_backend("Agg")
    # Optuna sets a style of its own, and draws into whatever figure pyplot makes: ours comes back after it.
    with mpl.rc_context({"figure.figsize": (WIDTH, HEIGHT), "figure.dpi": DPI}):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that these figures are experimental, and may change
                axes, finding = draw()
        except (ValueError, RuntimeError) as error:  # too few trials, or all of one accuracy
            figure = new_figure(title, subtitle, 1.5)
            reason = f"There is nothing to draw: {error}"
            write(figure, MARGIN, 1.1, reason, color=QUIET)
            return Picture(figure, caption, f"{what}. {reason}")
        finally:
            pyplot.close("all")
    drawn = axes.get_figure()
    assert isinstance(drawn, Figure)
    _restyle(drawn)
    write_headline(drawn, title, subtitle)
    return Picture(drawn, caption, f"{what}. {finding}.")


def _restyle(figure: Figure) -> None:
    figure.set_layout_engine("none")
    figure.set_facecolor("white")
    for axes in figure.axes:
        if axes.get_label() == "<colorbar>":
            axes.remove()  # the first of the parallel axes says it better
    figure.subplots_adjust(left=0.17, right=0.9, top=1 - (HEAD + 0.1) / HEIGHT, bottom=0.2)
    for axes in figure.axes:
        axes.set_title("", loc="left")
        axes.set_title("")
        axes.set_facecolor("white")
        axes.patch.set_visible(axes is figure.axes[0])  # parallel axes lie over each other
        axes.grid(False)
        for lines in axes.collections:
            if isinstance(lines, LineCollection):
                lines.set_cmap("viridis_r")  # whose palest colour can be seen
        for side in ("left", "bottom"):
            axes.spines[side].set_color(FAINT)
        for axis in (axes.xaxis, axes.yaxis):
            if axis.get_scale() == "log":
                axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axis.set_minor_locator(NullLocator())
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="best")
