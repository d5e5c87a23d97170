"""Crowe and KL where a network grades them apart, not as the combined class implies them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hipoa.core.columns import as_integers, read_columns
from hipoa.evaluation.graded import Graded
from hipoa.evaluation.groups import group_errors
from hipoa.evaluation.metrics.estimates import CLASSES, Row, score_rows
from hipoa.evaluation.metrics.implied_indices import INDEX_SCORES, name_score
from hipoa.evaluation.passes import MEASURES
from hipoa.evaluation.predictions import N_GRADES
from hipoa.evaluation.settings import BootstrapSettings
from hipoa.grading.tasks import Head

APART = "{}, graded apart"


def read_apart(path: Path, head: Head) -> Graded:
    """Reads the hips of ``{experiment}.csv`` that were read on one index, and its own grading.

    Returns:
        Classes counted from 1 (a KL of 0 is class 1 here); without measures and probability; no hip where
        the experiment does not grade the index apart.

    Raises:
        CohortError: A column is missing.
    """
    own = (head.name, f"predicted_{head.name}")
    columns = read_columns(path, ("cohort", "hip_id", "patient_id", "repeat", "fold", *own), filled=own[0])
    apart = columns[own[1]] != ""
    columns = {name: column[apart] for name, column in columns.items()}
    grade, predicted = (as_integers(columns[name], head.first) + 1 - head.first for name in own)
    n = len(grade)
    return Graded(
        experiment=path.stem,
        cohort=columns["cohort"],
        hip=columns["hip_id"],
        patient=columns["patient_id"],
        repeat=as_integers(columns["repeat"]),
        fold=as_integers(columns["fold"]),
        grade=grade,
        predicted=predicted,
        group=group_errors(np.abs(grade - predicted)),
        measures=np.full((n, len(MEASURES)), np.nan),
        probability=np.full((n, N_GRADES), np.nan),
        value=np.full(n, np.nan),
    )


def score_apart(
    table: Graded, cohort: str, index: str, note: str, bootstrap: BootstrapSettings
) -> Iterator[Row]:
    """The rows of one index, also of hips off the class table.

    Args:
        table: From `read_apart`, of one cohort.
        cohort: The cohort's name.
        index: Crowe or KL.
        note: How the predictions came about.
        bootstrap: The resampling.
    """
    said = f"hips read on {index}, off the class table too; {note}"
    for row in score_rows(table, cohort, CLASSES.pick(INDEX_SCORES), said, bootstrap):
        yield {**row, "metric": APART.format(name_score(index, str(row["metric"])))}
