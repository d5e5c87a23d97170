"""Agreement of the two hips of a patient, which says how far they are from independent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hipoa.core.columns import as_integers, read_columns
from hipoa.evaluation.graded import Graded, grades_only
from hipoa.evaluation.metrics.estimates import CLASSES, score_rows
from hipoa.evaluation.statistics.intervals import Row

SIDES = "left against right hip"
"""Stands in the column ``experiment``; its spaces distinguish it from any experiment."""


def pair_sides(hips: Sequence[Path]) -> Graded:
    """Both hips of every CT that has a class of both, in the tables ``R/hips/{cohort}.csv``.

    ``hip`` is the name of the CT, ``grade`` the class of the left hip, ``predicted`` that of the right one.
    """
    names = ("case_id", "side", "status", "cohort", "patient_id", "grade")
    tables = [read_columns(path, names, filled="grade") for path in hips]
    columns = {
        name: np.concatenate([np.zeros(0, "U1"), *(table[name] for table in tables)]) for name in names
    }
    sides = [np.flatnonzero((columns["status"] == "ok") & (columns["side"] == side)) for side in "LR"]
    cases, *places = np.intersect1d(
        *(columns["case_id"][rows] for rows in sides), assume_unique=True, return_indices=True
    )
    left, right = (rows[place] for rows, place in zip(sides, places, strict=True))
    return grades_only(
        SIDES,
        cohort=columns["cohort"][left],
        hip=cases,
        patient=columns["patient_id"][left],
        grade=as_integers(columns["grade"][left]),
        predicted=as_integers(columns["grade"][right]),
    )


def score_sides(table: Graded) -> Iterator[Row]:
    """The rows of the agreement of both sides, of the pairs of one cohort; none without pairs."""
    if len(table):
        note = "the classes of both hips of a CT, left and right; n_hips counts pairs"
        yield from score_rows(table, CLASSES.pick(["ECA", "quadratic weighted kappa"]), note, networks=False)
