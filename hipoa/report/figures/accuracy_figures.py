"""Figures of what the networks got right: confusion, uncertainty by error, embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from hipoa.evaluation.graded import GROUPS, Graded, find_cohorts, group_errors
from hipoa.evaluation.metrics.scores import count_confusions
from hipoa.evaluation.predictions import N_GRADES
from hipoa.report.figures.style import CLASS_COLOURS, GREY, GROUP_COLOURS, new_figure, say

_HOW = {"labelled": "out of fold", "external": "mean over the models"}
_GROUP_MARKERS = {"Exact": "o", "1-Neighbor": "^", "Others": "X"}
_GROUP_WORDS = {"Exact": "exact", "1-Neighbor": "1 class off", "Others": "2 or more off"}


def _list_cohorts(tables: Sequence[Graded]) -> list[str]:
    return sorted(find_cohorts(list(tables)), key=lambda cohort: cohort != "labelled")


def draw_confusion(tables: Sequence[Graded], *, synthetic: bool) -> Figure:
    """True by predicted class: one row of matrices per cohort, one column per experiment.

    Args:
        tables: The experiments' graded hips.
        synthetic: Whether patients are synthetic.
    """
    cohorts = _list_cohorts(tables)
    size = 3.7 * len(tables) + 0.8, 1 + 3.8 * max(1, len(cohorts))
    figure = new_figure(*size, "Confusion", synthetic=synthetic)
    if not cohorts:
        say(figure.subplots(), "No graded hip was predicted.")
        return figure
    grid = figure.subplots(len(cohorts), len(tables), squeeze=False)
    for line, cohort in zip(grid, cohorts, strict=True):
        for axes, table in zip(line, tables, strict=True):
            _draw_matrix(axes, table.of_cohort(cohort))
            axes.set_title(f"{table.experiment}, {cohort}\n{_HOW.get(cohort, '')}")
        line[0].set_ylabel("true class")
    figure.supxlabel(
        "predicted class\nnumbers: hips, mean over the repeats; shade: share of the true class", fontsize=10
    )
    return figure


def _draw_matrix(axes: Axes, table: Graded) -> None:
    if not len(table):
        say(axes, "no graded hip")
        return
    repeats = len(np.unique(table.repeat))
    cell = np.zeros(len(table), dtype=np.int64)
    counts = count_confusions(cell, 1, table.grade, table.predicted)[0] / repeats
    total = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (true, predicted), count in np.ndenumerate(counts):
        if count:
            colour = "white" if share[true, predicted] > 0.55 else "black"
            text = f"{count:.0f}" if count == round(count) else f"{count:.1f}"
            axes.text(predicted, true, text, ha="center", va="center", fontsize=8.5, color=colour)
    axes.set_xticks(range(N_GRADES), [str(grade) for grade in range(1, N_GRADES + 1)])
    axes.set_yticks(range(N_GRADES), [f"{grade}" for grade in range(1, N_GRADES + 1)])
    for grade in range(N_GRADES):
        axes.add_patch(Rectangle((grade - 0.5, grade - 0.5), 1, 1, fill=False, edgecolor=GREY, linewidth=0.8))
    axes.tick_params(length=0)


def draw_variance(
    tables: Sequence[Graded], compared: Sequence[Mapping[str, str]], *, synthetic: bool
) -> Figure:
    """The variance over the passes by size of the error, with the stars of the tests.

    Args:
        tables: The experiments' graded hips.
        compared: The rows of compare.csv.
        synthetic: Whether patients are synthetic.
    """
    cohorts = _list_cohorts(tables)
    size = 3.3 * len(tables) + 0.8, 1 + 3.4 * max(1, len(cohorts))
    figure = new_figure(*size, "Variance over the passes by size of the error", synthetic=synthetic)
    if not cohorts:
        say(figure.subplots(), "No graded hip was predicted.")
        return figure
    units = {table.variance_unit for table in tables}
    # A variance of probabilities and one of classes have no scale in common.
    grid = figure.subplots(
        len(cohorts), len(tables), squeeze=False, sharey=True if len(units) == 1 else "col"
    )
    for line, cohort in zip(grid, cohorts, strict=True):
        for axes, table in zip(line, tables, strict=True):
            stars = _find_stars(compared, table.experiment, cohort)
            _draw_boxes(axes, table.of_cohort(cohort), stars, _find_top(tables, table.variance_unit))
            axes.set_title(f"{table.experiment}, {cohort}")
            axes.set_ylabel(f"variance ({table.variance_unit})" if axes is line[0] or len(units) > 1 else "")
    figure.supxlabel(
        "n: hip \N{MULTIPLICATION SIGN} repeat values. Stars: Mann-Whitney U, Holm-adjusted; descriptive, "
        "the values are not independent.",
        fontsize=8.5,
        color=GREY,
    )
    return figure


def _find_top(tables: Sequence[Graded], unit: str) -> float:
    """The largest variance of a unit: one height for the brackets of panels that share a scale."""
    same = (table for table in tables if table.variance_unit == unit)
    return max(float(table.variance.max(initial=0.0)) for table in same) or 1.0


def _find_stars(
    compared: Sequence[Mapping[str, str]], experiment: str, cohort: str
) -> dict[tuple[str, str], str]:
    prefix = f"{experiment}: "
    return {
        (row["a"].removeprefix(prefix), row["b"].removeprefix(prefix)): row["stars"] or "not tested"
        for row in compared
        if row["cohort"] == cohort and row["a"].startswith(prefix) and row["b"].startswith(prefix)
    }


def _draw_boxes(axes: Axes, table: Graded, stars: Mapping[tuple[str, str], str], top: float) -> None:
    if not len(table):
        say(axes, "no graded hip")
        return
    values = [table.variance[table.group == group] for group in GROUPS]
    boxes = axes.boxplot(
        values,
        widths=0.55,
        patch_artist=True,
        medianprops={"color": "black"},
        flierprops={"marker": ".", "markersize": 3, "markeredgecolor": GREY},
    )
    for patch, group in zip(boxes["boxes"], GROUPS, strict=True):
        patch.set_facecolor(GROUP_COLOURS[group])
        patch.set_alpha(0.75)
    counts = [f"{group}\nn = {len(value)}" for group, value in zip(GROUPS, values, strict=True)]
    axes.set_xticks([1, 2, 3], counts)
    for step, ((a, b), text) in enumerate(sorted(stars.items(), key=_reach)):
        _draw_bracket(
            axes, GROUPS.index(a) + 1, GROUPS.index(b) + 1, top * (1.07 + 0.11 * step), top * 0.02, text
        )


def _reach(item: tuple[tuple[str, str], str]) -> tuple[int, int]:
    (a, b), _ = item
    return GROUPS.index(b) - GROUPS.index(a), GROUPS.index(a)


def _draw_bracket(axes: Axes, left: int, right: int, height: float, foot: float, text: str) -> None:
    ends = [left + 0.05, left + 0.05, right - 0.05, right - 0.05]
    axes.plot(ends, [height - foot, height, height, height - foot], color=GREY, linewidth=0.9)
    axes.text((left + right) / 2, height, text, ha="center", va="bottom", fontsize=8.5)


def draw_embedding(rows: Sequence[Mapping[str, str]], *, synthetic: bool) -> Figure:
    """The maps of the features of the first repeat in the table: experiments by folds.

    Args:
        rows: The rows of embedding.csv.
        synthetic: Whether patients are synthetic.
    """
    repeat = min((int(row["repeat"]) for row in rows), default=0)
    shown = [row for row in rows if int(row["repeat"]) == repeat]
    experiments = list(dict.fromkeys(row["experiment"] for row in shown))
    folds = sorted({int(row["fold"]) for row in shown})
    title = f"UMAP of the features of unseen hips, repeat {repeat}"
    size = 2.7 * len(folds) + 1.4, 1.6 + 2.6 * max(1, len(experiments))
    figure = new_figure(*size, title, synthetic=synthetic)
    if not shown:
        say(figure.subplots(), "There is no map.")
        return figure
    grid = figure.subplots(len(experiments), len(folds), squeeze=False)
    for line, experiment in zip(grid, experiments, strict=True):
        for axes, fold in zip(line, folds, strict=True):
            own = [r for r in shown if (r["experiment"], int(r["fold"])) == (experiment, fold)]
            _draw_map(axes, own)
            axes.set_title(f"{experiment}, fold {fold}\n{_say_score(score_map(own))}", fontsize=9.5)
    figure.legend(handles=_legend(), loc="outside lower center", ncols=6, columnspacing=1, handletextpad=0.3)
    return figure


def score_map(rows: Sequence[Mapping[str, str]]) -> tuple[float, float] | None:
    """ECA and ONCA of the graded hips of a map, None if there is none."""
    errors = [int(row["error"]) for row in rows if row["error"]]
    if not errors:
        return None
    return sum(error == 0 for error in errors) / len(errors), sum(error <= 1 for error in errors) / len(
        errors
    )


def _say_score(score: tuple[float, float] | None) -> str:
    return "no graded hip" if score is None else f"ECA {score[0]:.3f}, ONCA {score[1]:.3f}"


def _draw_map(axes: Axes, rows: Sequence[Mapping[str, str]]) -> None:
    if not rows:
        say(axes, "no hip")
        return
    axes.set_xticks([])
    axes.set_yticks([])
    ungraded = [row for row in rows if not row["grade"]]
    axes.scatter(*_places(ungraded), marker=".", s=60, color=GREY, linewidths=0)
    graded = [row for row in rows if row["grade"]]
    groups = group_errors(np.array([int(row["error"]) for row in graded], dtype=np.int64))
    for group in GROUPS:
        members = [row for row, of in zip(graded, groups, strict=True) if of == group]
        axes.scatter(
            *_places(members),
            marker=_GROUP_MARKERS[group],
            c=[CLASS_COLOURS[int(row["grade"]) - 1] for row in members],
            s=26 if group == "Exact" else 42,
            edgecolors="white" if group == "Exact" else "black",
            linewidths=0.4 if group == "Exact" else 0.8,
        )


def _places(rows: Sequence[Mapping[str, str]]) -> tuple[list[float], list[float]]:
    return [float(row["x"]) for row in rows], [float(row["y"]) for row in rows]


def _legend() -> list[Line2D]:
    colours = [
        Line2D([], [], marker="o", linestyle="", color=colour, label=f"class {grade}")
        for grade, colour in enumerate(CLASS_COLOURS, start=1)
    ]
    marks = [
        Line2D([], [], marker=_GROUP_MARKERS[group], linestyle="", color="white", label=_GROUP_WORDS[group],
               markeredgecolor="black")
        for group in GROUPS
    ]  # fmt: skip
    return [*colours, *marks, Line2D([], [], marker=".", linestyle="", color=GREY, label="not graded")]
