"""The graded hips of an experiment, on which metrics and comparisons are computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from scipy.special import entr

from hipoa.core.columns import as_integers, as_numbers, read_columns
from hipoa.evaluation.passes import MEASURES, round_value
from hipoa.evaluation.predictions import N_GRADES, PROBABILITIES
from hipoa.evaluation.statistics.intervals import Row
from hipoa.grading.tasks import GRADE, Head

GROUPS = ("Exact", "1-Neighbor", "Others")
"""Error of 0 classes, of 1 class, of 2 classes or more (source: slides of Masuda et al.)."""


def group_errors(error: np.ndarray) -> np.ndarray:
    """The group of `GROUPS`, (n,) text, of each absolute difference of predicted and true class (n,)."""
    return np.array(GROUPS)[np.clip(error, 0, 2)]


@dataclass(frozen=True)
class Graded:
    """Graded hips of one experiment, one row per hip and repeat; every array has n rows."""

    experiment: str  # its name
    cohort: np.ndarray  # (n,) names
    hip: np.ndarray  # (n,) names
    patient: np.ndarray  # (n,) pseudonyms
    repeat: np.ndarray  # (n,) counted from 0
    fold: np.ndarray  # (n,) of the model that predicted, -1 where several did
    grade: np.ndarray  # (n,) true class 1-7
    predicted: np.ndarray  # (n,) predicted class 1-7
    measures: np.ndarray  # (n, 5) in the order of `hipoa.evaluation.passes.MEASURES`
    probability: np.ndarray  # (n, 7) mean over passes and models
    value: np.ndarray  # (n,) of a regression, in classes; else NaN

    def __len__(self) -> int:
        return len(self.hip)

    @property
    def error(self) -> np.ndarray:
        """Absolute difference of predicted and true class (n,), classes."""
        return np.abs(self.predicted - self.grade)

    @property
    def group(self) -> np.ndarray:
        """One of `GROUPS` for each row (n,)."""
        return group_errors(self.error)

    @property
    def variance(self) -> np.ndarray:
        """The variance over the passes (n,), in `variance_unit`."""
        return self.measures[:, MEASURES.index("variance")]

    @property
    def variance_unit(self) -> str:
        """Squared probability, of a regression squared classes."""
        return "squared classes" if np.isfinite(self.value).any() else "squared probability"

    @property
    def n_repeats(self) -> int:
        """The number of repeats."""
        return len(np.unique(self.repeat))

    def counts(self) -> Row:
        """The cells ``n_hips`` and ``n_patients``."""
        return {"n_hips": len(np.unique(self.hip)), "n_patients": len(np.unique(self.patient))}

    def where(self, keep: np.ndarray) -> Graded:
        """The rows that ``keep`` selects: (n,) bool or row numbers."""
        arrays = {field.name: getattr(self, field.name)[keep] for field in fields(self)[1:]}
        return Graded(self.experiment, **arrays)

    def of_cohort(self, cohort: str) -> Graded:
        """The rows of one cohort."""
        return self.where(self.cohort == cohort)


def read_graded(path: Path, head: Head = GRADE) -> Graded:
    """Reads the hips of ``{experiment}.csv`` that were graded on an index and predicted by a head for it.

    Classes are counted from 1, also those of KL; measures, probability and value are of the combined class.

    Raises:
        CohortError: A column is missing.
    """
    grade, predicted = head.name, "predicted" if head is GRADE else f"predicted_{head.name}"
    names = ("cohort", "hip_id", "patient_id", "repeat", "fold", grade, predicted)
    columns = read_columns(path, (*names, *MEASURES, *PROBABILITIES, "value"), filled=grade)
    columns = {name: cells[columns[predicted] != ""] for name, cells in columns.items()}
    return Graded(
        experiment=path.stem,
        cohort=columns["cohort"],
        hip=columns["hip_id"],
        patient=columns["patient_id"],
        repeat=as_integers(columns["repeat"]),
        fold=as_integers(columns["fold"]),
        grade=as_integers(columns[grade]) - head.first + 1,
        predicted=as_integers(columns[predicted]) - head.first + 1,
        measures=np.column_stack([as_numbers(columns[name]) for name in MEASURES]),
        probability=np.column_stack([as_numbers(columns[name]) for name in PROBABILITIES]),
        value=as_numbers(columns["value"]),
    )


def grades_only(
    experiment: str,
    *,
    hip: np.ndarray,
    patient: np.ndarray,
    grade: np.ndarray,
    predicted: np.ndarray,
    **known: np.ndarray,
) -> Graded:
    """A table of two grades per hip, without measures of uncertainty; the other columns as far as known."""
    n = len(hip)
    unknown = {
        "cohort": np.full(n, ""),
        "repeat": np.zeros(n, dtype=np.int64),
        "fold": np.full(n, -1),
        "measures": np.full((n, len(MEASURES)), np.nan),
        "probability": np.full((n, N_GRADES), np.nan),
        "value": np.full(n, np.nan),
    }
    return Graded(experiment, hip=hip, patient=patient, grade=grade, predicted=predicted, **unknown | known)


def find_cohorts(tables: Sequence[Graded]) -> list[str]:
    """The cohorts that have graded hips, in order of name."""
    return sorted({str(name) for table in tables for name in np.unique(table.cohort)})


def split_cohorts(tables: Sequence[Graded]) -> Iterator[tuple[str, list[Graded]]]:
    """Each cohort in order of name, with the rows of the experiments that have graded hips in it."""
    for cohort in find_cohorts(tables):
        yield cohort, [part for table in tables if len(part := table.of_cohort(cohort))]


def average_repeats(table: Graded) -> Graded:
    """One row per hip, sorted by name: the ensemble of the models of all repeats.

    Probabilities and the variance within models are averaged over the repeats; predicted class and entropies
    follow from the averages. The variance between models is that over repeats (and folds) of the probability
    of the predicted class, of a regression that of its value; NaN with one repeat.
    """
    _, first, hip = np.unique(table.hip, return_index=True, return_inverse=True)
    count = np.bincount(hip)

    def average(values: np.ndarray) -> np.ndarray:
        return np.bincount(hip, values) / count

    measure = dict(zip(MEASURES, table.measures.T, strict=True))
    probability = np.column_stack([average(column) for column in table.probability.T])
    value = average(table.value)
    regression = np.isfinite(value)
    predicted = np.where(regression, round_value(np.nan_to_num(value)) - 1, probability.argmax(axis=1))
    of_predicted = table.probability[np.arange(len(hip)), predicted[hip]]
    between = average((of_predicted - probability[np.arange(len(first)), predicted][hip]) ** 2)
    between = np.where(regression, average((table.value - value[hip]) ** 2), between)
    between += average(np.nan_to_num(measure["between_model_variance"]))
    entropy = entr(probability).sum(axis=1)
    of_passes = average(measure["entropy"] - measure["mutual_information"])
    measures = {
        "variance": average(measure["variance"]),
        "entropy": entropy,
        "mutual_information": np.maximum(entropy - of_passes, 0),
        "max_probability": probability.max(axis=1),
        "between_model_variance": np.where(count > 1, between, np.nan),
    }
    return replace(
        table.where(first),
        repeat=np.zeros(len(first), dtype=np.int64),
        fold=np.full(len(first), -1),
        predicted=predicted + 1,
        measures=np.column_stack([measures[name] for name in MEASURES]),
        probability=probability,
        value=value,
    )


def choose_hips(table: Graded, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of up to ``count`` hips graded correctly and of as many errors, with one row per hip.

    The correct ones of each class by probability, the classes in turn; the errors by size and probability.
    """
    largest = table.probability.max(axis=1)
    right, wrong = np.lexsort((table.hip, -largest)), np.lexsort((table.hip, -largest, -table.error))
    right = right[table.error[right] == 0]
    turn = np.zeros(len(right), dtype=np.int64)
    for grade in np.unique(table.grade[right]):
        own = table.grade[right] == grade
        turn[own] = np.arange(own.sum())
    return right[np.lexsort((table.grade[right], turn))][:count], wrong[table.error[wrong] > 0][:count]


def number_cells(*keys: np.ndarray) -> tuple[np.ndarray, int]:
    """Numbers the combinations that occur of keys (n,), such as repeat and fold, in sorted order.

    Returns:
        (n,) the number of each row's combination, and how many there are.
    """
    if not len(keys[0]):
        return np.zeros(0, dtype=np.int64), 0
    codes = np.column_stack([np.unique(key, return_inverse=True)[1] for key in keys])
    combinations, cell = np.unique(codes, axis=0, return_inverse=True)
    return cell.reshape(-1), len(combinations)
