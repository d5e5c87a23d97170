"""Agreement between raters, on hips that several of them graded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from hipoa.core.columns import read_columns
from hipoa.evaluation.graded import Graded, grades_only
from hipoa.evaluation.metrics.estimates import CLASSES, score_rows
from hipoa.evaluation.metrics.scores import SCORES
from hipoa.evaluation.statistics.intervals import Row

RATERS = "reader against reader"
"""Stands in the column ``experiment``; its spaces distinguish it from any experiment."""

NETWORK, DIFFERENCE, INTER, INTRA, CEILING = (
    "network",
    "difference",
    "inter-reader",
    "intra-reader",
    "ceiling",
)
"""What a row of agreement.csv is about."""

# Neither rater is the reference standard that these two scores need.
AGREEMENT = CLASSES.pick([name for name in SCORES if name not in ("balanced accuracy", "macro MAE")])
"""The scores of two raters against each other."""

Pair = tuple[str, str, str, int, int]
"""Cohort, hip and patient, and the grades of two raters, counted from 1."""


def pair_raters(hips: Sequence[Path]) -> Graded:
    """Every pair of raters of every hip with a radiograph in the tables ``R/hips/{cohort}.csv``.

    ``grade`` is that of the rater whose name comes first, ``predicted`` the other's.
    """
    names = ("cohort", "hip_id", "patient_id", "status", "reader_grades")
    rows: list[Pair] = []
    for path in hips:
        columns = read_columns(path, names, filled="reader_grades")
        for cohort, hip, patient, status, grades in zip(*(columns[name] for name in names), strict=True):
            pairs = combinations(map(int, grades.split()), 2) if status == "ok" else ()
            rows += [(cohort, hip, patient, one, other) for one, other in pairs]
    return tabulate_pairs(rows)


def tabulate_pairs(pairs: Iterable[Pair]) -> Graded:
    """A table with the first grade of each pair as ``grade`` and the second as ``predicted``."""
    rows = list(pairs)
    cohort, hip, patient, grade, predicted = zip(*rows, strict=True) if rows else [()] * 5
    return grades_only(
        RATERS,
        cohort=np.array(cohort, dtype=str),
        hip=np.array(hip, dtype=str),
        patient=np.array(patient, dtype=str),
        grade=np.array(grade, dtype=np.int64),
        predicted=np.array(predicted, dtype=np.int64),
    )


def score_raters(table: Graded) -> Iterator[Row]:
    """The rows of the agreement of two raters, of the pairs of one cohort; none without pairs."""
    if len(table):
        note = "agreement of two readers; every pair of readers of a hip counts"
        yield from score_rows(table, AGREEMENT, note, networks=False)
