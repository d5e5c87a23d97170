"""Sheets of radiographs: examples of every class, and the hips to read first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hipoa.core.tables.rows import SIDES
from hipoa.evaluation.passes import name_measure
from hipoa.evaluation.predictions import N_GRADES
from hipoa.report.cohort import Hip
from hipoa.report.figures.style import GREY, new_figure, say

_SIDE_WORDS = {"L": "left", "R": "right"}
_PER_ROW = 6


def choose_examples(hips: Sequence[Hip], per_class: int) -> dict[tuple[int, str], list[Hip]]:
    """Graded hips of each class and side, those without an implant first, each patient once if it can be.

    Args:
        hips: Of all cohorts; those of the labelled cohort come first.
        per_class: Hips of each class and side, a count.

    Returns:
        (class, side) to hips.
    """
    graded = sorted(
        (hip for hip in hips if hip.status == "ok" and hip.grade),
        key=lambda hip: (hip.implant == "yes", hip.cohort != "labelled", hip.hip_id),
    )
    chosen: dict[tuple[int, str], list[Hip]] = {}
    shown: set[str] = set()
    for grade in range(1, N_GRADES + 1):
        for side in SIDES:
            fitting = [hip for hip in graded if int(hip.grade) == grade and hip.side == side]
            chosen[grade, side] = _pick(fitting, per_class, shown)
    return chosen


def _pick(hips: list[Hip], count: int, shown: set[str]) -> list[Hip]:
    """Takes hips one by one, those of a patient not shown yet first; adds the patients to ``shown``."""
    picked: list[Hip] = []
    while hips and len(picked) < count:
        hip = min(hips, key=lambda hip: (hip.implant == "yes", hip.patient_id in shown))
        hips.remove(hip)
        picked.append(hip)
        shown.add(hip.patient_id)
    return picked


def draw_radiographs(
    examples: Mapping[tuple[int, str], Sequence[Hip]],
    radiographs: Mapping[str, np.ndarray],
    classes: Mapping[int, str],
    *,
    synthetic: bool,
) -> Figure:
    """One column per class, the right hips above the left ones.

    Args:
        examples: (class, side) to hips, from `choose_examples`.
        radiographs: Hip to (150, 150) uint8.
        classes: Class to what it means.
        synthetic: Whether patients are synthetic.
    """
    count = max(1, *(len(hips) for hips in examples.values()))
    rows = [(side, number) for side in reversed(SIDES) for number in range(count)]
    figure = new_figure(
        12, 1.0 + 1.95 * len(rows), "Radiographs that the networks see, by class", synthetic=synthetic
    )
    grid = figure.subplots(len(rows), N_GRADES, squeeze=False)
    for (side, number), line in zip(rows, grid, strict=True):
        for grade, axes in enumerate(line, start=1):
            hips = examples.get((grade, side), [])
            hip = hips[number] if number < len(hips) else None
            _draw_example(axes, hip, radiographs, side)
        line[0].text(-0.1, 0.5, f"{_SIDE_WORDS[side]} hip", rotation=90, ha="right", va="center",
                     transform=line[0].transAxes, color=GREY)  # fmt: skip
    for grade, axes in enumerate(grid[0], start=1):
        axes.set_title(f"class {grade}\n{classes.get(grade, 'no graded hip')}", fontsize=9.5)
    _say_mirroring(figure, [hip for hips in examples.values() for hip in hips])
    return figure


def _draw_example(axes: Axes, hip: Hip | None, radiographs: Mapping[str, np.ndarray], side: str) -> None:
    if hip is None or hip.hip_id not in radiographs:
        say(axes, f"no {_SIDE_WORDS[side]}\nhip of\nthis class")
        return
    _show(axes, radiographs[hip.hip_id])
    axes.set_xlabel(hip.hip_id, fontsize=8, color=GREY, labelpad=2)


def _say_mirroring(figure: Figure, hips: Sequence[Hip]) -> None:
    mirrored = sorted({_SIDE_WORDS[hip.side] for hip in hips if hip.mirrored == "yes"})
    if mirrored:
        figure.supxlabel(f"{' and '.join(mirrored).capitalize()} hips are mirrored.", fontsize=9, color=GREY)


def draw_augmentation(samples: Mapping[str, np.ndarray], *, synthetic: bool) -> Figure:
    """One column per class: the image of a hip as it is, and as a training changes it.

    Args:
        samples: hip_id (k,), grade (k,), original (k, px, px) and changed (k, m, px, px), uint8.
        synthetic: Whether patients are synthetic.
    """
    order = np.argsort(samples["grade"])
    rows = 1 + samples["changed"].shape[1]
    title = "Images as they are, and as they are changed at random for training"
    figure = new_figure(12, 0.9 + 1.75 * rows, title, synthetic=synthetic)
    if not len(order):
        say(figure.subplots(), "No hip is graded.")
        return figure
    grid = figure.subplots(rows, max(len(order), N_GRADES), squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for column, hip in enumerate(order):
        images = [samples["original"][hip], *samples["changed"][hip]]
        for axes, image in zip(grid[:, column], images, strict=True):
            axes.set_axis_on()
            _show(axes, image)
        grid[0, column].set_title(f"class {samples['grade'][hip]}", fontsize=9.5)
        grid[0, column].set_xlabel(f"{samples['hip_id'][hip]}, as it is", fontsize=8, color=GREY, labelpad=2)
    return figure


def draw_triage(
    rows: Sequence[Mapping[str, str]],
    radiographs: Mapping[str, np.ndarray],
    classes: Mapping[int, str],
    *,
    synthetic: bool,
) -> Figure:
    """The hips to read first, in their order.

    Args:
        rows: Rows of triage.csv that have a rank, the first of the list.
        radiographs: Hip to (150, 150) uint8.
        classes: Class to what it means.
        synthetic: Whether patients are synthetic.
    """
    lines = max(1, -(-len(rows) // _PER_ROW))
    figure = new_figure(12, 0.7 + 2.75 * lines, "Hips to read first", synthetic=synthetic)
    if not rows:
        say(figure.subplots(), "There is no unread hip to rank.")
        return figure
    grid = figure.subplots(lines, _PER_ROW, squeeze=False).ravel()
    for axes, row in zip(grid, rows, strict=False):
        _draw_ranked(axes, row, radiographs, classes)
    for axes in grid[len(rows) :]:
        axes.set_axis_off()
    return figure


def _draw_ranked(
    axes: Axes,
    row: Mapping[str, str],
    radiographs: Mapping[str, np.ndarray],
    classes: Mapping[int, str],
) -> None:
    if row["hip_id"] in radiographs:
        _show(axes, radiographs[row["hip_id"]])
    else:
        say(axes, "no radiograph")
    meaning = classes.get(int(row["predicted"]), "no graded hip")
    axes.set_title(f"{row['rank']}. {row['hip_id']}", fontsize=9.5)
    measure = name_measure(row["measure"])
    axes.set_xlabel(
        f"predicted class {row['predicted']}\n{meaning}\n{measure} {float(row['uncertainty']):.3g}",
        fontsize=8.5,
    )


def _show(axes: Axes, radiograph: np.ndarray) -> None:
    axes.imshow(radiograph, cmap="gray", vmin=0, vmax=255)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
