"""Figures of the predictions: confusion matrices, uncertainty by size of the error, maps of the features."""

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
from hipoa.report.cohort import order_cohorts
from hipoa.report.figures.style import CLASS_COLOURS, GREY, GROUP_COLOURS, new_grid, say
from hipoa.report.scores import Row, score_map, split_maps

_HOW = {"labelled": "out of fold", "external": "mean over the models"}
_GROUP_MARKERS = {"Exact": "o", "1-Neighbor": "^", "Others": "X"}
_GROUP_WORDS = {"Exact": "exact", "1-Neighbor": "1 class off", "Others": "2 or more off"}
_NOTHING = "No graded hip was predicted."


def draw_confusion(tables: Sequence[Graded]) -> Figure:
    """Confusion matrices of the experiments' graded hips: cohorts by experiments."""
    cohorts = sorted(find_cohorts(list(tables)), key=order_cohorts)
    figure, grid = new_grid(
        "Confusion", cohorts, range(len(tables)), width_in=(3.7, 0.8), height_in=(3.8, 1), empty=_NOTHING
    )
    for (cohort, column), axes in grid.items():
        table = tables[column]
        _draw_matrix(axes, table.of_cohort(cohort))
        axes.set_title(f"{table.experiment}, {cohort}\n{_HOW.get(cohort, '')}")
        axes.set_ylabel("" if column else "true class")
    if grid:
        figure.supxlabel(
            "predicted class\nnumbers: hips, mean over the repeats; shade: share of the true class",
            fontsize=10,
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
    labels = [str(grade) for grade in range(1, N_GRADES + 1)]
    axes.set_xticks(range(N_GRADES), labels)
    axes.set_yticks(range(N_GRADES), labels)
    for grade in range(N_GRADES):
        axes.add_patch(Rectangle((grade - 0.5, grade - 0.5), 1, 1, fill=False, edgecolor=GREY, linewidth=0.8))
    axes.tick_params(length=0)


def draw_variance(tables: Sequence[Graded], compared: Sequence[Mapping[str, str]]) -> Figure:
    """Box plots of the variance over the passes by size of the error, with the stars of compare.csv."""
    units = {table.variance_unit for table in tables}
    figure, grid = new_grid(
        "Variance over the passes by size of the error",
        sorted(find_cohorts(list(tables)), key=order_cohorts),
        range(len(tables)),
        width_in=(3.3, 0.8),
        height_in=(3.4, 1),
        empty=_NOTHING,
        # A variance of probabilities and one of classes have no scale in common.
        sharey=True if len(units) == 1 else "col",
    )
    for (cohort, column), axes in grid.items():
        table = tables[column]
        # One height for the brackets of panels that share a scale.
        same = [other for other in tables if other.variance_unit == table.variance_unit]
        top = max(float(other.variance.max(initial=0.0)) for other in same) or 1.0
        _draw_boxes(axes, table.of_cohort(cohort), _find_stars(compared, table.experiment, cohort), top)
        axes.set_title(f"{table.experiment}, {cohort}")
        axes.set_ylabel("" if column and len(units) == 1 else f"variance ({table.variance_unit})")
    if grid:
        figure.supxlabel(
            "n: hip \N{MULTIPLICATION SIGN} repeat values. Stars: Mann-Whitney U, Holm-adjusted; "
            "descriptive, the values are not independent.",
            fontsize=8.5,
            color=GREY,
        )
    return figure


def _find_stars(
    compared: Sequence[Mapping[str, str]], experiment: str, cohort: str
) -> list[tuple[int, int, str]]:
    """Numbers of the two groups and stars of each test, those of adjacent groups first."""
    prefix = f"{experiment}: "
    tests = [
        (
            GROUPS.index(row["a"].removeprefix(prefix)),
            GROUPS.index(row["b"].removeprefix(prefix)),
            row["stars"],
        )
        for row in compared
        if row["cohort"] == cohort and row["a"].startswith(prefix) and row["b"].startswith(prefix)
    ]
    return sorted(tests, key=lambda test: (test[1] - test[0], test[0]))


def _draw_boxes(axes: Axes, table: Graded, stars: Sequence[tuple[int, int, str]], top: float) -> None:
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
    for step, (a, b, text) in enumerate(stars):
        _draw_bracket(axes, a + 1, b + 1, top * (1.07 + 0.11 * step), top * 0.02, text or "not tested")


def _draw_bracket(axes: Axes, left: int, right: int, height: float, foot: float, text: str) -> None:
    ends = [left + 0.05, left + 0.05, right - 0.05, right - 0.05]
    axes.plot(ends, [height - foot, height, height, height - foot], color=GREY, linewidth=0.9)
    axes.text((left + right) / 2, height, text, ha="center", va="bottom", fontsize=8.5)


def draw_embedding(rows: Sequence[Row]) -> Figure:
    """Maps of the features from embedding.csv, first repeat: experiments by folds."""
    maps = split_maps(rows)
    figure, grid = new_grid(
        f"UMAP of the features of unseen hips, repeat {min((int(row['repeat']) for row in rows), default=0)}",
        list(dict.fromkeys(row["experiment"] for row in rows)),
        sorted({fold for _, fold in maps}),
        width_in=(2.7, 1.4),
        height_in=(2.6, 1.6),
        empty="There is no map.",
    )
    for (experiment, fold), axes in grid.items():
        own = maps.get((experiment, fold), [])
        _draw_map(axes, own)
        score = score_map(own)
        words = "no graded hip" if score is None else f"ECA {score[0]:.3f}, ONCA {score[1]:.3f}"
        axes.set_title(f"{experiment}, fold {fold}\n{words}", fontsize=9.5)
    if grid:
        figure.legend(
            handles=_make_legend(), loc="outside lower center", ncols=6, columnspacing=1, handletextpad=0.3
        )
    return figure


def _draw_map(axes: Axes, rows: Sequence[Row]) -> None:
    if not rows:
        say(axes, "no hip")
        return
    axes.set_xticks([])
    axes.set_yticks([])
    axes.scatter(*_read_points([row for row in rows if not row["grade"]]), marker=".", s=60, color=GREY,
                 linewidths=0)  # fmt: skip
    graded = [row for row in rows if row["grade"]]
    groups = group_errors(np.array([int(row["error"]) for row in graded], dtype=np.int64))
    for group in GROUPS:
        members = [row for row, own in zip(graded, groups, strict=True) if own == group]
        axes.scatter(
            *_read_points(members),
            marker=_GROUP_MARKERS[group],
            c=[CLASS_COLOURS[int(row["grade"]) - 1] for row in members],
            s=26 if group == "Exact" else 42,
            edgecolors="white" if group == "Exact" else "black",
            linewidths=0.4 if group == "Exact" else 0.8,
        )


def _read_points(rows: Sequence[Row]) -> tuple[list[float], list[float]]:
    return [float(row["x"]) for row in rows], [float(row["y"]) for row in rows]


def _make_legend() -> list[Line2D]:
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
