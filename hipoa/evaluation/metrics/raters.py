"""Hips that several readers graded: one reader's class against another's."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from hipoa.core.columns import read_columns
from hipoa.evaluation.graded import Graded
from hipoa.evaluation.passes import MEASURES
from hipoa.evaluation.predictions import N_GRADES

READERS = "reader against reader"
"""Stands where an experiment's name stands; its spaces keep it apart from any."""


def pair_readers(hips: Sequence[Path]) -> Graded:
    """Every pair of readers of every hip with a radiograph, the earlier by name as grade.

    Args:
        hips: The tables ``R/hips/{cohort}.csv``.

    Returns:
        One row per hip and pair: grade and predicted are the two readers' classes; without measures,
        group and probability.
    """
    names = ("cohort", "hip_id", "patient_id", "status", "reader_grades")
    rows = [
        (cohort, hip, patient, int(one), int(other))
        for path in hips
        for cohort, hip, patient, status, grades in _read_rows(path, names)
        if status == "ok"
        for one, other in combinations(grades.split(), 2)
    ]
    cohort, hip, patient, one, other = zip(*rows, strict=True) if rows else ([], [], [], [], [])
    n = len(rows)
    return Graded(
        experiment=READERS,
        cohort=np.array(cohort, dtype=str),
        hip=np.array(hip, dtype=str),
        patient=np.array(patient, dtype=str),
        repeat=np.zeros(n, dtype=np.int64),
        fold=np.full(n, -1),
        grade=np.array(one, dtype=np.int64),
        predicted=np.array(other, dtype=np.int64),
        group=np.full(n, ""),
        measures=np.full((n, len(MEASURES)), np.nan),
        probability=np.full((n, N_GRADES), np.nan),
        value=np.full(n, np.nan),
    )


def _read_rows(path: Path, names: Sequence[str]) -> list[tuple[str, ...]]:
    columns = read_columns(path, names, filled="reader_grades")
    return list(zip(*(columns[name].tolist() for name in names), strict=True))
