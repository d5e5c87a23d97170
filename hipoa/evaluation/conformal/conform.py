"""Coverage and size of the conformal sets, overall and by class."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hipoa.core.columns import format_number
from hipoa.core.files import write_csv
from hipoa.evaluation.conformal.sets import predict_sets
from hipoa.evaluation.graded import Graded, find_cohorts, read_graded
from hipoa.evaluation.metrics.estimates import ScoreSet, interval_rows, mean_of, tally_values
from hipoa.evaluation.predictions import N_GRADES
from hipoa.evaluation.settings import ConformSettings
from hipoa.evaluation.statistics.intervals import Row

COLUMNS = (
    *("experiment", "cohort", "level", "hips", "metric", "value", "unit", "low", "high"),
    *("n_hips", "n_patients", "promised", "note"),
)
ALL = "all"

_NOTE = "neighbouring classes; cross-fitted by patient; mean over repeats"


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
    for cohort in find_cohorts([table]):
        inside = table.cohort == cohort
        for level, of_level in sets.items():
            yield from describe_sets(table.where(inside), of_level[inside], level)


def describe_sets(table: Graded, sets: np.ndarray, level: float) -> Iterator[Row]:
    """The rows of the sets (n, 7) bool of one experiment and cohort at a level, the share to be covered."""
    groups = {ALL: np.ones(len(table), dtype=bool)}
    groups |= {f"class {grade}": table.grade == grade for grade in range(1, N_GRADES + 1)}
    for hips, inside in groups.items():
        if inside.any():
            for row in _score(table.where(inside), sets[inside]):
                stated = hips == ALL and row["metric"] == "coverage"
                promised = state_guarantee(table.cohort[0], level) if stated else ""
                yield {**row, "level": format_number(level), "hips": hips, "promised": promised}


def state_guarantee(cohort: str, level: float) -> str:
    """The guarantee of the method on the coverage, in words."""
    if cohort != "labelled":
        return "nothing, unless its patients are as those of the labelled cohort"
    # Thresholds come from other models than those they are used on: Barber et al., Annals of Statistics
    # 2021, 49, 486-507, prove 1 - 2 alpha of such cross-fitting, and that of sets joined over the folds.
    least = max(0.0, 2 * level - 1)
    return f"about {level:.3g} if the folds' models are alike; cross-fitting proves no more than {least:.3g}"


def _score(table: Graded, sets: np.ndarray) -> Iterator[Row]:
    size = sets.sum(axis=1)
    values = np.column_stack([sets[np.arange(len(table)), table.grade - 1], size, size == 1])
    scores = ScoreSet(
        lambda _, cell, n_cells: tally_values(values.astype(np.float64), cell, n_cells),
        {
            "coverage": (mean_of(0), "share"),
            "mean size": (mean_of(1), "classes"),
            "sets of one class": (mean_of(2), "share"),
        },
    )
    yield from interval_rows(table, scores, _NOTE)
