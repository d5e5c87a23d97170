"""Figures of radiographs: examples of each class, and samples of the augmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hipoa.core.constants import SIDE_NAMES
from hipoa.core.tables.rows import SIDES
from hipoa.evaluation.predictions import N_GRADES
from hipoa.report.cohort import Hip
from hipoa.report.figures.style import GREY, new_grid, say


def choose_examples(hips: Sequence[Hip], per_class: int) -> dict[tuple[int, str], list[Hip]]:
    """Graded hips of each class and side, those without an implant first, each patient once if possible.

    Args:
        hips: Of all cohorts; those of the labelled cohort come first.
        per_class: Hips of each class and side, a count.

    Returns:
        (class, side) to hips.
    """
    graded = sorted(
        (hip for hip in hips if hip.status == "ok" and hip.grade),
        key=lambda hip: (hip.implant != "", hip.cohort != "labelled", hip.hip_id),
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
        hip = min(hips, key=lambda hip: (hip.implant != "", hip.patient_id in shown))
        hips.remove(hip)
        picked.append(hip)
        shown.add(hip.patient_id)
    return picked


def draw_radiographs(
    examples: Mapping[tuple[int, str], Sequence[Hip]],
    radiographs: Mapping[str, np.ndarray],
    classes: Mapping[int, str],
) -> Figure:
    """One column per class, the right hips above the left ones.

    Args:
        examples: (class, side) to hips, from `choose_examples`.
        radiographs: Hip to (150, 150) uint8.
        classes: Class to what it means.
    """
    count = max(1, *(len(hips) for hips in examples.values()))
    rows = [(side, number) for side in reversed(SIDES) for number in range(count)]
    figure, grid = new_grid("Radiographs as the networks see them, by class", rows, range(1, N_GRADES + 1),
                            width_in=(0, 12), height_in=(1.95, 1.0), empty="")  # fmt: skip
    for ((side, number), grade), axes in grid.items():
        hips = examples.get((grade, side), [])
        word = SIDE_NAMES[side]
        if number < len(hips) and hips[number].hip_id in radiographs:
            _show(axes, radiographs[hips[number].hip_id])
            axes.set_xlabel(hips[number].hip_id, fontsize=8, color=GREY, labelpad=2)
        else:
            say(axes, f"no {word}\nhip of\nthis class")
        if grade == 1:
            axes.text(-0.1, 0.5, f"{word} hip", rotation=90, ha="right", va="center",
                      transform=axes.transAxes, color=GREY)  # fmt: skip
        if (side, number) == rows[0]:
            axes.set_title(f"class {grade}\n{classes.get(grade, 'no graded hip')}", fontsize=9.5)
    mirrored = {hip.side for hips in examples.values() for hip in hips if hip.mirrored == "yes"}
    if mirrored:
        words = " and ".join(sorted(SIDE_NAMES[side] for side in mirrored)).capitalize()
        figure.supxlabel(f"{words} hips are mirrored.", fontsize=9, color=GREY)
    return figure


def draw_augmentation(samples: Mapping[str, np.ndarray]) -> Figure:
    """One column per class: the image of a hip, and samples of its augmentation.

    Args:
        samples: hip_id (k,), grade (k,), original (k, px, px) and changed (k, m, px, px), uint8.
    """
    order = np.argsort(samples["grade"]).tolist()
    rows = range(1 + samples["changed"].shape[1])
    columns = range(max(len(order), N_GRADES) if order else 0)
    figure, grid = new_grid("Images before and after random augmentation", rows, columns,
                            width_in=(0, 12), height_in=(1.75, 0.9), empty="No hip is graded.")  # fmt: skip
    for (row, column), axes in grid.items():
        if column >= len(order):
            axes.set_axis_off()
            continue
        hip = order[column]
        _show(axes, samples["changed"][hip, row - 1] if row else samples["original"][hip])
        if not row:
            axes.set_title(f"class {samples['grade'][hip]}", fontsize=9.5)
            axes.set_xlabel(f"{samples['hip_id'][hip]}, original", fontsize=8, color=GREY, labelpad=2)
    return figure


def _show(axes: Axes, radiograph: np.ndarray) -> None:
    axes.imshow(radiograph, cmap="gray", vmin=0, vmax=255)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
