"""Galleries: hips that were graded rightly with the most certainty, and the worst failures."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hipoa.evaluation.graded import Graded, average_repeats, read_graded
from hipoa.evaluation.passes import MEASURES, name_measure
from hipoa.report.results import Results
from hipoa.report.score_table import find_best
from hipoa.report.sections.triage import embed_hips

_HIPS = 12
"""Shown in each of the two galleries."""


class Shown(NamedTuple):
    """One hip of a gallery.

    Attributes:
        hip_id: Its name.
        side: left or right, of the patient.
        url: Its radiograph, as it lies in the patient; empty if it is missing.
        grade: True class.
        predicted: Predicted class, of all repeats together.
        probability: The largest.
        uncertainty: By the measure that ranks hips for reading.
    """

    hip_id: str
    side: str
    url: str
    grade: int
    predicted: int
    probability: float
    uncertainty: float


def gather(results: Results) -> dict[str, Any]:
    """The two galleries of the best network."""
    best = find_best(results.scores)
    if best is None:
        return {"galleries": [], "of": "", "measure": ""}
    path = next(path for path in results.uncertainty if path.stem == best.experiment)
    table = average_repeats(read_graded(path).of_cohort("labelled"))
    rows = choose_rows(table, _HIPS)
    chosen = table.where(np.concatenate(list(rows.values())))
    images = embed_hips(chosen.hip.tolist(), results.hips, results.stacks)
    shown = [_show(results, table, row, images) for row in np.concatenate(list(rows.values())).tolist()]
    first = len(rows["right"])
    return {
        "galleries": [
            ("Graded rightly, the surest of each class", shown[:first]),
            ("Graded wrongly, the worst first", shown[first:]),
        ],
        "of": best.experiment,
        # The largest probability is told of every hip.
        "measure": "" if results.measure == "max_probability" else name_measure(results.measure),
    }


def choose_rows(table: Graded, count: int) -> dict[str, np.ndarray]:
    """Rows of the surest right hips, the classes in turn, and of the worst wrong ones, the worst first."""
    error = np.abs(table.predicted - table.grade)
    largest = table.probability.max(axis=1)
    surest = np.lexsort((table.hip, -largest))
    right = surest[error[surest] == 0]
    turn = np.zeros(len(right), dtype=np.int64)
    for grade in np.unique(table.grade[right]):
        own = table.grade[right] == grade
        turn[own] = np.arange(own.sum())
    wrong = np.lexsort((table.hip, -largest, -error))
    return {
        "right": right[np.lexsort((table.grade[right], turn))][:count],
        "wrong": wrong[error[wrong] > 0][:count],
    }


def _show(results: Results, table: Graded, row: int, images: dict[str, str]) -> Shown:
    name = str(table.hip[row])
    return Shown(
        hip_id=name,
        side="left" if name.endswith("L") else "right",
        url=images.get(name, ""),
        grade=int(table.grade[row]),
        predicted=int(table.predicted[row]),
        probability=float(table.probability[row].max()),
        uncertainty=float(table.measures[row, MEASURES.index(results.measure)]),
    )
