"""Charts of the hips of each class and the training loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hipoa.evaluation.predictions import N_GRADES
from hipoa.report.cohort import Hip, count_units, split_cohorts
from hipoa.report.figures.style import CLASS_COLOURS, EXPERIMENT_COLOURS, PALE, new_grid, say
from hipoa.report.flow import find_grading
from hipoa.report.scores import count_words

_UNGRADED = {"off_table": "not in the class table", "partly": "graded in part", "ungraded": "not graded"}


def draw_classes(hips: Sequence[Hip], classes: Mapping[int, str]) -> Figure:
    """The number of hips of each class in each cohort; ``classes`` says what a class means."""
    cohorts = split_cohorts(hip for hip in hips if hip.status == "ok")
    figure, grid = new_grid(
        "Hips of each class",
        [""],
        list(cohorts),
        width_in=(3.6, 1.2),
        height_in=(0, 4.2),
        empty="No hip has a radiograph.",
        sharey=True,
    )
    for (_, cohort), axes in grid.items():
        members = cohorts[cohort]
        _draw_counts(axes, members)
        axes.set_title(f"{cohort}: {count_units(members)}")
    if grid:
        labels = [f"{grade}: {classes.get(grade, 'no graded hip')}" for grade in range(1, N_GRADES + 1)]
        first = next(iter(grid.values()))
        first.set_yticks(range(N_GRADES + len(_UNGRADED)), [*labels, *_UNGRADED.values()])
        first.invert_yaxis()
        figure.supxlabel("hips with a radiograph", fontsize=10)
    return figure


def _draw_counts(axes: Axes, hips: Sequence[Hip]) -> None:
    found = [hip.grade or find_grading(hip) for hip in hips]
    counts = [found.count(name) for name in (*map(str, range(1, N_GRADES + 1)), *_UNGRADED)]
    bars = axes.barh(range(len(counts)), counts, color=[*CLASS_COLOURS, PALE, PALE, PALE])
    axes.bar_label(bars, padding=2, fontsize=9)
    axes.margins(x=0.15)
    axes.tick_params(left=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))


def draw_learning(records: Sequence[Mapping[str, Any]]) -> Figure:
    """The training loss per epoch, and the loss on the validation split where there is one, per experiment.

    Args:
        records: The models' records: experiment, network, history (list of epoch, learning rate, losses).
    """
    experiments = list(dict.fromkeys(str(record["experiment"]) for record in records))
    figure, grid = new_grid(
        "Training loss",
        [""],
        experiments,
        width_in=(3.4, 0.6),
        height_in=(0, 3.6),
        empty="No model was trained.",
        sharey=True,
    )
    for number, ((_, experiment), axes) in enumerate(grid.items()):
        own = [record for record in records if record["experiment"] == experiment]
        _draw_losses(axes, own, EXPERIMENT_COLOURS[number % len(EXPERIMENT_COLOURS)])
        axes.set_title(f"{experiment}\n{own[0]['network']}, {count_words(len(own), 'model')}")
    if grid:
        first = next(iter(grid.values()))
        first.set_ylabel("loss on the training hips")
        first.legend(loc="best")
        figure.supxlabel("epoch", fontsize=10)
    return figure


def _gather_losses(records: Sequence[Mapping[str, Any]], name: str) -> dict[int, list[float]]:
    """Epoch to the losses of the models that have it, epochs in order."""
    losses: dict[int, list[float]] = {}
    for entry in chain.from_iterable(record["history"] for record in records):
        if name in entry:
            losses.setdefault(int(entry["epoch"]), []).append(float(entry[name]))
    return dict(sorted(losses.items()))


def _draw_losses(axes: Axes, records: Sequence[Mapping[str, Any]], colour: str) -> None:
    losses = _gather_losses(records, "loss")
    if not losses:
        say(axes, "no epoch recorded")
        return
    epochs = list(losses)
    low, high = list(map(min, losses.values())), list(map(max, losses.values()))
    axes.fill_between(epochs, low, high, color=colour, alpha=0.2, linewidth=0, label="range of the models")
    means = [float(np.mean(values)) for values in losses.values()]
    axes.plot(epochs, means, color=colour, label="mean of the models", marker="." if len(epochs) < 30 else "")
    validation = _gather_losses(records, "inner_loss")
    if validation:
        means = [float(np.mean(values)) for values in validation.values()]
        label = "mean on the validation split"
        axes.plot(list(validation), means, color=colour, linestyle="--", label=label)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
