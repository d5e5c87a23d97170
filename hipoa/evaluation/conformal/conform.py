"""How often the conformal sets hold the true class, and how large they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hipoa.core.columns import format_number
from hipoa.core.files import write_csv
from hipoa.evaluation.conformal.sets import predict_sets
from hipoa.evaluation.graded import Graded, find_cohorts, read_graded
from hipoa.evaluation.metrics.estimates import NOT_COVERED, Family, Row, interval_rows, mean_of, tally_values
from hipoa.evaluation.predictions import N_GRADES
from hipoa.evaluation.settings import BootstrapSettings, ConformSettings

COLUMNS = (
    *("experiment", "cohort", "level", "hips", "metric", "value", "unit", "low", "high"),
    *("n_hips", "n_patients", "promised", "note"),
)
ALL = "all"

_NOTE = f"neighbouring classes; cross-fitted by patient; mean over repeats; {NOT_COVERED}"


def run(
    settings: ConformSettings, bootstrap: BootstrapSettings, *, uncertainty: list[Path], out: Path
) -> None:
    """Writes coverage and size of ordinal conformal sets, overall, per class and per cohort.

    Args:
        settings: The levels.
        bootstrap: The resampling of patients.
        uncertainty: The tables ``{experiment}.csv``.
        out: The table to write.
    """
    tables = [read_graded(path) for path in uncertainty]
    write_csv(out, COLUMNS, _rows(tables, settings, bootstrap))


def _rows(tables: list[Graded], settings: ConformSettings, bootstrap: BootstrapSettings) -> Iterator[Row]:
    for table in tables:
        sets = {level: predict_sets(table, level) for level in settings.conformal_levels}
        for cohort in find_cohorts([table]):
            inside = table.cohort == cohort
            for level, of_level in sets.items():
                yield from describe_sets(table.where(inside), of_level[inside], cohort, level, bootstrap)


def describe_sets(
    table: Graded, sets: np.ndarray, cohort: str, level: float, bootstrap: BootstrapSettings
) -> Iterator[Row]:
    """The rows of one experiment, cohort and level.

    Args:
        table: The graded hips of one cohort, n rows.
        sets: (n, 7) bool.
        cohort: The cohort's name.
        level: The share of hips whose set is to hold the true class.
        bootstrap: The resampling.
    """
    groups = {ALL: np.ones(len(table), dtype=bool)}
    groups |= {f"class {grade}": table.grade == grade for grade in range(1, N_GRADES + 1)}
    for hips, inside in groups.items():
        if inside.any():
            for row in _score(table.where(inside), sets[inside], cohort, bootstrap):
                promised = state_promise(cohort, level) if hips == ALL and row["metric"] == "coverage" else ""
                yield {**row, "level": format_number(level), "hips": hips, "promised": promised}


def state_promise(cohort: str, level: float) -> str:
    """What the method guarantees of the coverage, in words."""
    if cohort != "labelled":
        return "nothing, unless its patients are as those of the labelled cohort"
    # Thresholds come from other models than those they are used on: Barber et al., Annals of Statistics
    # 2021, 49, 486-507, prove 1 - 2 alpha of such cross-fitting, and that of sets joined over the folds.
    least = max(0.0, 2 * level - 1)
    return f"about {level:.3g} if the folds' models are alike; cross-fitting proves no more than {least:.3g}"


def _score(table: Graded, sets: np.ndarray, cohort: str, bootstrap: BootstrapSettings) -> Iterator[Row]:
    size = sets.sum(axis=1)
    stated = np.column_stack([sets[np.arange(len(table)), table.grade - 1], size, size == 1])
    family = Family(
        lambda _, cell, n_cells: tally_values(stated.astype(np.float64), cell, n_cells),
        {
            "coverage": (mean_of(0), "share"),
            "mean size": (mean_of(1), "classes"),
            "sets of one class": (mean_of(2), "share"),
        },
    )
    yield from interval_rows(table, cohort, family, _NOTE, bootstrap)
