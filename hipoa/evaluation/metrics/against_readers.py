"""Scores of networks against single readers, beside those against the label and those of other readers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from hipoa.evaluation.graded import Graded
from hipoa.evaluation.metrics.estimates import CLASSES, estimate_cells, interval_rows, name_cells
from hipoa.evaluation.statistics.intervals import Row

SCORED = ("ECA", "ONCA", "quadratic weighted kappa", "MAE")

Calls = Mapping[str, int]
"""Hip to the class 1-7 that one reader gave."""


def score_against_reader(table: Graded, reader: Calls) -> Iterator[Row]:
    """The scores of an experiment in one cohort against a reader; none where she graded none of the hips."""
    same = keep_hips(table, reader)
    if len(same):
        calls = np.array([reader[hip] for hip in same.hip.tolist()])
        yield from interval_rows(replace(same, grade=calls), CLASSES.pick(SCORED), "")


def score_against_label(table: Graded, reader: Calls) -> Iterator[Row]:
    """The scores against the label, on the hips that a reader graded."""
    same = keep_hips(table, reader)
    if len(same):
        yield from interval_rows(same, CLASSES.pick(SCORED), "")


def keep_hips(table: Graded, reader: Calls) -> Graded:
    """The rows of the hips that a reader graded."""
    return table.where(np.isin(table.hip, list(reader)))


def compare_with_readers(table: Graded, reader: Calls, others: Sequence[Calls]) -> Iterator[Row]:
    """How much better than other readers an experiment agrees with a reader, on the hips they share.

    A row per score: that of the experiment against the reader, less that of the others against this reader. A
    hip counts once for each of the others who graded it, in both scores alike.

    Args:
        table: The predictions of one experiment in one cohort.
        reader: The reader whose classes are the reference of both.
        others: The other readers.
    """
    rows = [
        (row, reader[hip], other[hip])
        for row, hip in enumerate(table.hip.tolist())
        for other in others
        if hip in reader and hip in other
    ]
    if not rows:
        return
    row, calls, of_others = np.array(rows).T
    same = replace(table.where(row), grade=calls)
    scores = CLASSES.pick(SCORED)
    readers = scores.estimate(replace(same, predicted=of_others))
    for metric, score in scores.estimate(same).items():
        difference = score.minus(readers[metric])
        yield name_cells(same, metric, score.unit) | estimate_cells(difference, "")
