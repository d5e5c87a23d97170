"""Coverage and size of the conformal sets, overall and by class."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hipoa.core.columns import format_number
from hipoa.core.files import write_csv
from hipoa.evaluation.conformal.sets import count_needed, predict_sets
from hipoa.evaluation.graded import Graded, find_cohorts, read_graded
from hipoa.evaluation.metrics.estimates import ScoreSet, interval_rows, mean_of, tally_values
from hipoa.evaluation.predictions import N_GRADES
from hipoa.evaluation.settings import ConformSettings
from hipoa.evaluation.statistics.intervals import Row

COLUMNS = (
    *("experiment", "cohort", "level", "hips", "metric", "value", "unit", "low", "high"),
    *("n_hips", "n_patients", "promised", "verdict", "note"),
)
ALL = "all"
HALF = N_GRADES / 2
"""Classes; sets of so many leave open as much as they settle."""

_ROUNDING = 1e-9
_NOTE = "adjacent classes; fitted on the other labelled patients; mean over repeats"
_BY_CONSTRUCTION = "near its level or above by construction, whatever the networks are worth"


def run(settings: ConformSettings, *, uncertainty: list[Path], out: Path) -> None:
    """Writes coverage and size of ordinal conformal sets, overall, per class and per cohort.

    Args:
        settings: The levels.
        uncertainty: The tables ``{experiment}.csv``.
        out: The table to write.
    """
    rows = (row for path in uncertainty for row in _rows(read_graded(path), settings.conformal_levels))
    write_csv(out, COLUMNS, rows)


def _rows(table: Graded, levels: tuple[float, ...]) -> Iterator[Row]:
    sets = {level: predict_sets(table, level) for level in levels}
    known = table.grade[table.cohort == "labelled"]
    for cohort in find_cohorts([table]):
        inside = table.cohort == cohort
        n_fit = len(np.unique(table.patient[table.cohort == "labelled"])) - (cohort == "labelled")
        for level, of_level in sets.items():
            without = count_classes(known, level)
            yield from describe_sets(table.where(inside), of_level[inside], level, n_fit, without)


def describe_sets(table: Graded, sets: np.ndarray, level: float, n_fit: int, without: int) -> Iterator[Row]:
    """The rows of the sets (n, 7) bool of one experiment and cohort.

    ``level`` is the share to be covered; each set was fitted on ``n_fit`` patients; ``without`` is the number
    of classes that cover it without a network.
    """
    promised = state_guarantee(table.cohort[0], level, n_fit)
    groups = {ALL: np.ones(len(table), dtype=bool)}
    groups |= {f"class {grade}": table.grade == grade for grade in range(1, N_GRADES + 1)}
    for hips, inside in groups.items():
        if inside.any():
            for row in _score(table.where(inside), sets[inside]):
                stated = hips == ALL and row["metric"] == "coverage"
                cells = {"level": format_number(level), "hips": hips, "promised": promised if stated else ""}
                if stated and table.cohort[0] == "labelled" and n_fit >= count_needed(level):
                    cells["note"] = f"{row['note']}; {_BY_CONSTRUCTION}"
                if hips == ALL and row["metric"] == "mean size":
                    cells["verdict"] = judge_size(row, without)
                yield row | cells


def count_classes(grade: np.ndarray, level: float) -> int:
    """The fewest adjacent classes that hold a share ``level`` of hips (n,): the same set for every hip.

    All seven if there is no hip.
    """
    hips = np.append(0, np.bincount(grade - 1, minlength=N_GRADES).cumsum())
    sizes = range(1, N_GRADES + 1)
    return next(
        (n for n in sizes if (hips[n:] - hips[:-n]).max() >= max(1, level * len(grade) - _ROUNDING)), N_GRADES
    )


def judge_size(size: Row, without: int) -> str:
    """What a mean size with its 95 % interval lets one say of the sets, "" where they are shown to be small.

    Sets are uninformative if they are of half of the seven classes or more, or of as many as the one set that
    serves all hips without a network (`count_classes`). Our rule.
    """
    value, high = (float(str(size[name] or "nan")) for name in ("value", "high"))
    if value == N_GRADES:
        return "uninformative: every set is of all classes"
    half = without >= HALF
    limit = HALF if half else without
    of = "half of the classes" if half else f"the {without} that suffice without a network"
    if value >= limit:
        return f"uninformative: not fewer than {of}"
    if np.isnan(high):
        return f"perhaps uninformative: without an interval they are not shown to be fewer than {of}"
    return f"perhaps uninformative: the interval reaches {of}" if high >= limit else ""


def state_guarantee(cohort: str, level: float, n_fit: int) -> str:
    """What is proven of the coverage of sets that are fitted on ``n_fit`` patients, in words.

    Of labelled hips see `hipoa.evaluation.conformal.sets.find_thresholds`. Of hips graded by the mean of the
    folds' models nothing is proven: CV+ (Barber et al., Annals of Statistics 2021, 49, 486-507) proves
    2 level - 1, and that of sets from the models one by one, which can be empty or have gaps.
    """
    needed = count_needed(level)
    if n_fit < needed:
        return f"every set is of all classes: {level:.3g} needs {needed} patients to fit on, here {n_fit}"
    if cohort == "labelled":
        return (
            f"at least {level:.3g} for its patients, each graded by the model that has not seen the patient, "
            "if no patient was chosen for reading because of a model"
        )
    return "nothing: the models' predictions are averaged, and the patients may differ from the labelled ones"


def _score(table: Graded, sets: np.ndarray) -> Iterator[Row]:
    size = sets.sum(axis=1)
    held = sets[np.arange(len(table)), table.grade - 1]
    values = np.column_stack([held, size, size == 1, size == 0, size == N_GRADES])
    scores = ScoreSet(
        lambda _, cell, n_cells: tally_values(values.astype(np.float64), cell, n_cells),
        {
            "coverage": (mean_of(0), "share"),
            "mean size": (mean_of(1), "classes"),
            "sets of one class": (mean_of(2), "share"),
            "empty sets": (mean_of(3), "share"),
            "whole sets": (mean_of(4), "share"),
        },
    )
    yield from interval_rows(table, scores, _NOTE)
