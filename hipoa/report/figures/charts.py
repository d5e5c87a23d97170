"""Charts of the cohort, the training and the accuracies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hipoa.evaluation.predictions import N_GRADES
from hipoa.report.cohort import Hip, split_cohorts
from hipoa.report.figures.style import CLASS_COLOURS, EXPERIMENT_COLOURS, GREY, PALE, new_figure, say
from hipoa.report.published_results import PUBLISHED
from hipoa.report.scores import Score

_OTHERS = ("off the class table", "graded in part", "not graded")


def draw_classes(hips: Sequence[Hip], classes: Mapping[int, str], *, synthetic: bool) -> Figure:
    """How many hips of each class every cohort has.

    Args:
        hips: Of all cohorts.
        classes: Class to what it means.
        synthetic: Whether patients are synthetic.
    """
    cohorts = split_cohorts(hip for hip in hips if hip.status == "ok")
    figure = new_figure(3.6 * max(1, len(cohorts)) + 1.2, 4.2, "Hips of each class", synthetic=synthetic)
    if not cohorts:
        say(figure.subplots(), "No hip has a radiograph.")
        return figure
    panels = figure.subplots(1, len(cohorts), squeeze=False, sharey=True)[0]
    grades = range(1, N_GRADES + 1)
    labels = [f"{grade}: {classes.get(grade, 'no graded hip')}" for grade in grades]
    for axes, (cohort, members) in zip(panels, cohorts.items(), strict=True):
        _draw_counts(axes, members)
        axes.set_title(
            f"{cohort}: {len(members)} hips of {len({hip.patient_id for hip in members})} patients"
        )
    panels[0].set_yticks(range(N_GRADES + len(_OTHERS)), [*labels, *_OTHERS])
    panels[0].invert_yaxis()
    figure.supxlabel("hips with a radiograph", fontsize=10)
    return figure


def name_grading(hip: Hip) -> str:
    """The class of a hip, or why it has none: one of "1" to "7" and three words."""
    if hip.grade:
        return hip.grade
    if hip.off_table == "yes":
        return _OTHERS[0]
    return _OTHERS[1] if hip.crowe or hip.kl else _OTHERS[2]


def _draw_counts(axes: Axes, hips: Sequence[Hip]) -> None:
    names = [str(grade) for grade in range(1, N_GRADES + 1)] + list(_OTHERS)
    found = [name_grading(hip) for hip in hips]
    counts = [found.count(name) for name in names]
    bars = axes.barh(range(len(names)), counts, color=[*CLASS_COLOURS, PALE, PALE, PALE])
    axes.bar_label(bars, padding=2, fontsize=9)
    axes.margins(x=0.15)
    axes.tick_params(left=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))


def draw_learning(records: Sequence[Mapping[str, Any]], *, synthetic: bool) -> Figure:
    """The training loss per epoch, and that on the inner split where there is one, a panel per experiment.

    Args:
        records: The models' records: experiment, network, history (list of epoch, learning rate, losses).
        synthetic: Whether patients are synthetic.
    """
    experiments = list(dict.fromkeys(str(record["experiment"]) for record in records))
    figure = new_figure(3.4 * max(1, len(experiments)) + 0.6, 3.6, "Training loss", synthetic=synthetic)
    if not experiments:
        say(figure.subplots(), "No model was trained.")
        return figure
    panels = figure.subplots(1, len(experiments), squeeze=False, sharey=True)[0]
    for number, (axes, experiment) in enumerate(zip(panels, experiments, strict=True)):
        own = [record for record in records if record["experiment"] == experiment]
        _draw_losses(axes, own, EXPERIMENT_COLOURS[number % len(EXPERIMENT_COLOURS)])
        models = "1 model" if len(own) == 1 else f"{len(own)} models"
        axes.set_title(f"{experiment}\n{own[0]['network']}, {models}")
    panels[0].set_ylabel("loss on the training hips")
    panels[0].legend(loc="best")
    figure.supxlabel("epoch", fontsize=10)
    return figure


def _gather_losses(records: Sequence[Mapping[str, Any]], name: str) -> dict[int, list[float]]:
    """Epoch to the losses of the models that have it."""
    losses: dict[int, list[float]] = {}
    for entry in chain.from_iterable(record["history"] for record in records):
        if name in entry:
            losses.setdefault(int(entry["epoch"]), []).append(float(entry[name]))
    return losses


def _draw_losses(axes: Axes, records: Sequence[Mapping[str, Any]], colour: str) -> None:
    losses = _gather_losses(records, "loss")
    if not losses:
        say(axes, "no epoch recorded")
        return
    epochs = sorted(losses)
    axes.fill_between(
        epochs,
        [min(losses[epoch]) for epoch in epochs],
        [max(losses[epoch]) for epoch in epochs],
        color=colour,
        alpha=0.2,
        linewidth=0,
        label="least to largest of the models",
    )
    means = [float(np.mean(losses[epoch])) for epoch in epochs]
    axes.plot(epochs, means, color=colour, label="mean of the models", marker="." if len(epochs) < 30 else "")
    inner = _gather_losses(records, "inner_loss")
    if inner:
        means = [float(np.mean(inner[epoch])) for epoch in sorted(inner)]
        axes.plot(sorted(inner), means, color=colour, linestyle="--", label="mean on the inner split")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


class _Line(NamedTuple):
    """One line of the accuracy figure."""

    label: str
    value: float | None
    low: float
    high: float
    text: str
    colour: str
    marker: str


def draw_accuracy(scores: Sequence[Score], experiments: Sequence[str], *, synthetic: bool) -> Figure:
    """ECA and ONCA of every experiment, beside the best constant and what the source published.

    Args:
        scores: From metrics.csv.
        experiments: In their order.
        synthetic: Whether patients are synthetic; the published values are of patients.
    """
    cohorts = list(dict.fromkeys(score.cohort for score in scores if score.metric == "ECA"))
    cohorts.sort(key=lambda cohort: cohort != "labelled")
    blocks = {metric: _accuracy_lines(scores, cohorts, experiments, metric) for metric in ("ECA", "ONCA")}
    height = 1.6 + 0.36 * len(blocks["ECA"])
    figure = new_figure(
        12, height, "Accuracy beside the best constant and the published values", synthetic=synthetic
    )
    panels = figure.subplots(1, 2, sharey=True)
    names = {"ECA": "exact class (ECA)", "ONCA": "at most one class off (ONCA)"}
    for axes, (metric, lines) in zip(panels, blocks.items(), strict=True):
        for place, line in enumerate(lines):
            _draw_line(axes, place, line)
        axes.set(xlim=(0, 1), title=names[metric], xlabel="share of hips")
        axes.tick_params(left=False)
        axes.grid(axis="x", color=PALE, linewidth=0.6)
        axes.set_axisbelow(True)
    panels[0].set_yticks(range(len(blocks["ECA"])), [line.label for line in blocks["ECA"]])
    panels[0].invert_yaxis()
    figure.supxlabel(
        "Lines: ours, 95 % interval with patients resampled; published, the source's unstated "
        f"\N{PLUS-MINUS SIGN}. The published hips are {'of patients, ours not' if synthetic else 'others'}.",
        fontsize=9,
        color=GREY,
    )
    return figure


def _accuracy_lines(
    scores: Sequence[Score], cohorts: Sequence[str], experiments: Sequence[str], metric: str
) -> list[_Line]:
    lines = []
    for cohort in cohorts:
        own = {
            score.experiment: score for score in scores if (score.cohort, score.metric) == (cohort, metric)
        }
        for number, experiment in enumerate(experiments):
            if experiment in own:
                colour = EXPERIMENT_COLOURS[number % len(EXPERIMENT_COLOURS)]
                lines.append(_own_line(own[experiment], f"{experiment}, {cohort}", colour, "o"))
        lines += [
            _own_line(score, f"best constant, {cohort}", GREY, "s")
            for score in own.values()
            if score.is_constant
        ]
    for network in PUBLISHED:
        value, spread = network.eca if metric == "ECA" else network.onca
        text = f"{value:.3f} \N{PLUS-MINUS SIGN} {spread:.3f}"
        label = f"published, {network.network}"
        lines.append(_Line(label, value, value - spread, min(1.0, value + spread), text, GREY, "D"))
    return lines


def _own_line(score: Score, label: str, colour: str, marker: str) -> _Line:
    if score.value is None:
        return _Line(label, None, 0, 0, "not defined", colour, marker)
    if score.interval is None:
        return _Line(label, score.value, score.value, score.value, f"{score.value:.3f}", colour, marker)
    low, high = score.interval
    text = f"{score.value:.3f} ({low:.3f}\N{EN DASH}{high:.3f})"
    return _Line(label, score.value, low, high, text, colour, marker)


def _draw_line(axes: Axes, place: int, line: _Line) -> None:
    published = line.marker == "D"
    if line.value is not None:
        axes.plot([line.low, line.high], [place, place], color=line.colour, linewidth=1.2 if published else 2,
                  linestyle=":" if published else "-")  # fmt: skip
        axes.plot(line.value, place, line.marker, color=line.colour, markersize=6,
                  markerfacecolor="white" if published else line.colour)  # fmt: skip
    # Outside the frame, so that no text hides a point.
    axes.text(1.02, place, line.text, va="center", fontsize=8.5, transform=axes.get_yaxis_transform())
