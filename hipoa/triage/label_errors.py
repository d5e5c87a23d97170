"""Finds probable label errors among the labelled hips, by the models' out-of-fold predictions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hipoa.core.columns import format_number, read_columns
from hipoa.core.files import read_csv, write_csv
from hipoa.evaluation.comparison.verdicts import beats_constant
from hipoa.evaluation.graded import Graded, average_repeats, read_graded
from hipoa.evaluation.metrics.scores import LEAST_PROBABILITY, divide
from hipoa.evaluation.predictions import N_GRADES, find_rows
from hipoa.triage.settings import LabelErrorsSettings

COLUMNS = (
    *("rank", "hip_id", "patient_id", "side", "grade", "suggested", "doubted", "expected_distance"),
    *("self_confidence", "p_suggested", "against", "n_predictions", "note"),
)
_EXCHANGED = "fits better if the grades of both sides were exchanged"
NOT_JUDGED = "not judged: no network is shown to grade better than the same answer for every hip"
_FACTOR = 10.0
"""How many times more probable the images must be with other grades, before a label is doubted or the grades
of both sides are called exchanged: strong evidence (source: Jeffreys, Theory of
Probability, 1961, appendix B).
"""

Columns = dict[str, np.ndarray]


def run(
    settings: LabelErrorsSettings, *, uncertainty: list[Path], hips: Path, differences: Path, out: Path
) -> None:
    """Lists the labelled hips, the most probable label errors first.

    Only predictions of models that were not trained on the patient count, and only of networks that are shown
    to grade better than a constant: another one has nothing to say against a label. Without any such network
    the table is that of all networks, and no label is doubted. The external cohort is left out: correcting
    its labels by the models would bias the models' scores on it.

    Args:
        settings: What hips are ranked by.
        uncertainty: The tables ``{experiment}.csv``.
        hips: The table ``labelled.csv``.
        differences: The table of differences, which tells the networks that beat a constant.
        out: The table to write.
    """
    verdicts = read_csv(differences)
    trusted = [path for path in uncertainty if beats_constant(verdicts, path.stem)]
    columns = read_columns(hips, ("hip_id", "patient_id", "side", "status", "grade"), filled="grade")
    ok = columns["status"] == "ok"
    tables = [read_graded(path).of_cohort("labelled") for path in trusted or uncertainty]
    hips_table = average_experiments({name: cells[ok] for name, cells in columns.items()}, tables)
    write_csv(out, COLUMNS, _rows(hips_table, settings, judged=bool(trusted)))


def average_experiments(columns: Columns, tables: Sequence[Graded]) -> Columns:
    """Adds the mean over the experiments to the columns of n labelled hips; drops hips without prediction.

    Added are probability (n, 7), of each experiment the mean over its repeats; against (n,), the share of the
    single predictions that are another class than the label; n_predictions (n,), of experiments and repeats.
    """
    hip_id = columns["hip_id"]
    probability = np.zeros((len(hip_id), N_GRADES))
    experiments, against, single = np.zeros((3, len(hip_id)))
    for table in filter(len, tables):
        averaged = average_repeats(table)
        rows = find_rows(averaged.hip, hip_id, table.experiment)
        probability[rows] += averaged.probability
        experiments[rows] += 1
        rows = find_rows(table.hip, hip_id, table.experiment)
        against += np.bincount(rows, table.error > 0, minlength=len(hip_id))
        single += np.bincount(rows, minlength=len(hip_id))
    columns = columns | {
        "probability": divide(probability, experiments[:, None]),
        "against": divide(against, single),
        "n_predictions": single.astype(np.int64),
    }
    return {name: cells[single > 0] for name, cells in columns.items()}


def score_labels(probability: np.ndarray, grade: np.ndarray, least_distance: float = 0.0) -> Columns:
    """Scores how far the models' predictions are from the labels.

    A label is a probable error where the most probable class is another, of which the models are as confident
    as they are, on average, of that class's own hips (source: Northcutt, Jiang, Chuang, Journal of Artificial
    Intelligence Research 2021, 70, 1373-1411, whose software cleanlab too doubts no label that is the most
    probable class), and where the image is 10 times more probable with that class than with the label. The
    latter sets the two classes' probabilities against those of the mean hip, by Bayes' theorem: models that
    answer nearly the same of every hip say nothing of a single one. The expected distance makes
    this ordinal: raters often differ by one class.

    Args:
        probability: (n, 7).
        grade: (n,) the label, 1-7.
        least_distance: Expected distance from which a label is a probable error, classes.

    Returns:
        (n,) each: self_confidence, the probability of the label; expected_distance of label and class;
        suggested, the most probable class; p_suggested; doubted, bool.
    """
    rows = np.arange(len(grade))
    confidence = probability[rows, grade - 1]
    usual = np.full(N_GRADES, np.inf)
    for number in np.unique(grade):
        usual[number - 1] = confidence[grade == number].mean()
    suggested = probability.argmax(axis=1) + 1
    # The sum in place of the mean: the number of hips cancels.
    logs, shares = (
        np.log(np.maximum(of, LEAST_PROBABILITY)) for of in (probability, probability.sum(axis=0))
    )
    likelihood = logs - shares
    evidence = likelihood[rows, suggested - 1] - likelihood[rows, grade - 1]
    distance = (probability * np.abs(np.arange(1, N_GRADES + 1) - grade[:, None])).sum(axis=1)
    p_suggested = probability[rows, suggested - 1]
    against = (suggested != grade) & (p_suggested >= usual[suggested - 1]) & (evidence >= np.log(_FACTOR))
    return {
        "self_confidence": confidence,
        "expected_distance": distance,
        "suggested": suggested,
        "p_suggested": p_suggested,
        "doubted": against & (distance >= least_distance),
    }


def find_exchanged(
    probability: np.ndarray, grade: np.ndarray, side: np.ndarray, case: np.ndarray
) -> np.ndarray:
    """Hips (n,) bool whose CT's two grades would be much more probable on the other sides."""
    logs = np.log(np.maximum(probability, LEAST_PROBABILITY))
    found = np.zeros(len(grade), dtype=bool)
    right = {case[row]: row for row in np.flatnonzero(side == "R")}
    for row in np.flatnonzero(side == "L"):
        other = right.get(case[row])
        if other is not None:
            own, others = grade[row] - 1, grade[other] - 1
            gain = logs[row, others] + logs[other, own] - logs[row, own] - logs[other, others]
            found[[row, other]] = gain > np.log(_FACTOR)
    return found


def _rows(hips: Columns, settings: LabelErrorsSettings, *, judged: bool) -> Iterator[dict[str, object]]:
    probability, grade = hips["probability"], hips["grade"].astype(np.int64)
    scores = score_labels(probability, grade, settings.least_distance)
    case = np.array([name.rpartition("_")[0] for name in hips["hip_id"].tolist()], dtype=str)
    exchanged = find_exchanged(probability, grade, hips["side"], case)
    value = scores[settings.rank_by]
    key = value if settings.rank_by == "self_confidence" else -value
    for rank, row in enumerate(np.lexsort((hips["hip_id"], key)).tolist(), start=1):
        yield {
            "rank": rank,
            **{name: hips[name][row] for name in ("hip_id", "patient_id", "side", "grade", "n_predictions")},
            "suggested": scores["suggested"][row],
            "doubted": "yes" if judged and scores["doubted"][row] else "",
            **{
                name: format_number(float(scores[name][row]))
                for name in ("expected_distance", "self_confidence", "p_suggested")
            },
            "against": format_number(float(hips["against"][row])),
            "note": NOT_JUDGED if not judged else _EXCHANGED if exchanged[row] else "",
        }
