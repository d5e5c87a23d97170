"""Which labels the out-of-fold models doubt: hips to be read a second time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hipoa.core.columns import format_number, read_columns
from hipoa.core.files import write_csv
from hipoa.evaluation.graded import Graded, average_repeats, read_graded
from hipoa.evaluation.metrics.scores import divide
from hipoa.evaluation.predictions import N_GRADES, find_rows
from hipoa.triage.settings import LabelErrorsSettings

COLUMNS = (
    *("rank", "hip_id", "patient_id", "side", "grade", "suggested", "doubted", "expected_distance"),
    *("self_confidence", "p_suggested", "against", "n_predictions", "note"),
)
_EXCHANGED = "fits better if the grades of both sides were exchanged"
_EXCHANGE_FACTOR = 10.0
"""How many times more probable both grades must be on the other sides, before it is said."""
_CLASSES = np.arange(1, N_GRADES + 1)


def run(settings: LabelErrorsSettings, *, uncertainty: list[Path], hips: Path, out: Path) -> None:
    """Lists the labelled hips, those whose label the models doubt most first.

    Only models that were not trained on the patient are asked. The external cohort is left out: a
    label that is corrected because a model doubts it flatters the model that is then measured on it.

    Args:
        settings: What hips are ranked by.
        uncertainty: The tables ``{experiment}.csv``.
        hips: The table ``labelled.csv``.
        out: The table to write.
    """
    columns = read_columns(hips, ("hip_id", "patient_id", "side", "status", "grade"), "grade")
    ok = columns["status"] == "ok"
    tables = [read_graded(path).of_cohort("labelled") for path in uncertainty]
    opinions = gather_opinions([table for table in tables if len(table)], columns["hip_id"][ok])
    write_csv(out, COLUMNS, _rows({name: cells[ok] for name, cells in columns.items()}, opinions, settings))


@dataclass(frozen=True)
class Opinions:
    """What all models say of n labelled hips.

    Attributes:
        probability: (n, 7) mean over experiments, of each the mean over its repeats; NaN where none spoke.
        against: (n,) share of the single predictions that are another class than the label, likewise.
        n_predictions: (n,) of experiments and repeats.
    """

    probability: np.ndarray
    against: np.ndarray
    n_predictions: np.ndarray


def gather_opinions(tables: Sequence[Graded], hip_id: np.ndarray) -> Opinions:
    """Averages the experiments, hip by hip.

    Args:
        tables: The labelled hips of each experiment.
        hip_id: (n,) names.
    """
    probability = np.zeros((len(hip_id), N_GRADES))
    experiments, against, single = np.zeros((3, len(hip_id)))
    for table in tables:
        averaged = average_repeats(table)
        rows = find_rows(averaged.hip, hip_id, table.experiment)
        probability[rows] += averaged.probability
        experiments[rows] += 1
        rows = find_rows(table.hip, hip_id, table.experiment)
        against += np.bincount(rows, table.predicted != table.grade, minlength=len(hip_id))
        single += np.bincount(rows, minlength=len(hip_id))
    return Opinions(
        divide(probability, experiments[:, None]), divide(against, single), single.astype(np.int64)
    )


def measure_doubt(
    probability: np.ndarray, grade: np.ndarray, least_distance: float = 0.0
) -> dict[str, np.ndarray]:
    """How far the models are from the labels.

    A label is doubted where the models are as sure of another class as they are, on average, of that
    class's own hips (source: Northcutt, Jiang, Chuang, Journal of Artificial Intelligence Research 2021,
    70, 1373-1411). The distance is what makes it ordinal: readers differ by a class every day.

    Args:
        probability: (n, 7).
        grade: (n,) the label, 1-7.
        least_distance: Expected distance from which on a label is doubted, classes.

    Returns:
        (n,) each: self_confidence, the probability of the label; expected_distance of label and class;
        suggested, the class they are surest of, measured by its own hips; p_suggested; doubted, bool.
    """
    rows = np.arange(len(grade))
    confidence = probability[rows, grade - 1]
    usual = np.full(N_GRADES, np.inf)
    for number in np.unique(grade):
        usual[number - 1] = confidence[grade == number].mean()
    sure = probability >= usual
    best = np.where(sure, probability, 0).argmax(axis=1) + 1
    suggested = np.where(sure.any(axis=1), best, probability.argmax(axis=1) + 1)
    distance = (probability * np.abs(_CLASSES - grade[:, None])).sum(axis=1)
    return {
        "self_confidence": confidence,
        "expected_distance": distance,
        "suggested": suggested,
        "p_suggested": probability[rows, suggested - 1],
        "doubted": sure.any(axis=1) & (suggested != grade) & (distance >= least_distance),
    }


def rank_doubts(doubt: dict[str, np.ndarray], rank_by: str, hip_id: np.ndarray) -> np.ndarray:
    """The rows (n,), most doubted first, equal ones by name."""
    value = doubt[rank_by]
    return np.lexsort((hip_id, value if rank_by == "self_confidence" else -value))


def find_exchanged(
    probability: np.ndarray, grade: np.ndarray, patient: np.ndarray, side: np.ndarray, case: np.ndarray
) -> np.ndarray:
    """Hips whose patient's two grades would be much more probable on the other sides.

    Args:
        probability: (n, 7).
        grade: (n,) 1-7.
        patient: (n,) pseudonyms.
        side: (n,) L or R.
        case: (n,) the CT: the two sides of one CT are compared.

    Returns:
        (n,) bool.
    """
    logs = np.log(np.maximum(probability, 1e-6))
    found = np.zeros(len(grade), dtype=bool)
    right = {case[row]: row for row in np.flatnonzero(side == "R")}
    for row in np.flatnonzero(side == "L"):
        other = right.get(case[row])
        if other is not None and patient[other] == patient[row]:
            own, theirs = grade[row] - 1, grade[other] - 1
            gain = logs[row, theirs] + logs[other, own] - logs[row, own] - logs[other, theirs]
            found[[row, other]] = gain > np.log(_EXCHANGE_FACTOR)
    return found


def _rows(
    columns: dict[str, np.ndarray], opinions: Opinions, settings: LabelErrorsSettings
) -> Iterator[dict[str, object]]:
    told = opinions.n_predictions > 0
    columns = {name: cells[told] for name, cells in columns.items()}
    probability, grade = opinions.probability[told], columns["grade"].astype(np.int64)
    doubt = measure_doubt(probability, grade, settings.least_distance)
    case = np.array([name.rpartition("_")[0] for name in columns["hip_id"].tolist()], dtype=str)
    exchanged = find_exchanged(probability, grade, columns["patient_id"], columns["side"], case)
    order = rank_doubts(doubt, settings.rank_by, columns["hip_id"])
    for rank, row in enumerate(order.tolist(), start=1):
        yield {
            "rank": rank,
            **{name: columns[name][row] for name in ("hip_id", "patient_id", "side", "grade")},
            "suggested": doubt["suggested"][row],
            "doubted": "yes" if doubt["doubted"][row] else "",
            **{
                name: format_number(float(doubt[name][row]))
                for name in ("expected_distance", "self_confidence", "p_suggested")
            },
            "against": format_number(float(opinions.against[told][row])),
            "n_predictions": opinions.n_predictions[told][row],
            "note": _EXCHANGED if exchanged[row] else "",
        }
