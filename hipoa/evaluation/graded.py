"""The graded hips of an experiment: what metrics and comparisons are computed on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from scipy.special import entr

from hipoa.core.columns import as_integers, as_numbers, read_columns
from hipoa.evaluation.groups import group_errors
from hipoa.evaluation.passes import MEASURES, round_value
from hipoa.evaluation.predictions import N_GRADES


@dataclass(frozen=True)
class Graded:
    """Graded hips of one experiment, one row per hip and repeat; every array has n rows.

    Attributes:
        experiment: Its name.
        cohort: (n,) names.
        hip: (n,) names.
        patient: (n,) pseudonyms.
        repeat: (n,) counted from 0.
        fold: (n,) of the model that predicted, -1 where several did.
        grade: (n,) true class 1-7.
        predicted: (n,) predicted class 1-7.
        group: (n,) Exact, 1-Neighbor or Others.
        measures: (n, 5) in the order of `hipoa.evaluation.passes.MEASURES`.
        probability: (n, 7) mean over passes and models.
        value: (n,) of a regression, in classes; else NaN.
    """

    experiment: str
    cohort: np.ndarray
    hip: np.ndarray
    patient: np.ndarray
    repeat: np.ndarray
    fold: np.ndarray
    grade: np.ndarray
    predicted: np.ndarray
    group: np.ndarray
    measures: np.ndarray
    probability: np.ndarray
    value: np.ndarray

    def __len__(self) -> int:
        return len(self.hip)

    @property
    def variance(self) -> np.ndarray:
        """The source's variance over the passes, (n,) in `variance_unit`."""
        return self.measures[:, MEASURES.index("variance")]

    @property
    def variance_unit(self) -> str:
        """Squared probability, of a regression squared classes."""
        return "squared classes" if np.isfinite(self.value).any() else "squared probability"

    def where(self, keep: np.ndarray) -> Graded:
        """The rows that ``keep`` (n,) bool marks."""
        arrays = {field.name: getattr(self, field.name)[keep] for field in fields(self)[1:]}
        return Graded(self.experiment, **arrays)

    def of_cohort(self, cohort: str) -> Graded:
        """The rows of one cohort."""
        return self.where(self.cohort == cohort)


def read_graded(path: Path) -> Graded:
    """Reads the graded hips of ``{experiment}.csv``.

    Raises:
        CohortError: A column is missing.
    """
    probabilities = [f"p{grade}" for grade in range(1, N_GRADES + 1)]
    names = ["cohort", "hip_id", "patient_id", "repeat", "fold", "grade", "predicted", "group"]
    columns = read_columns(path, [*names, *MEASURES, *probabilities, "value"], filled="grade")
    return Graded(
        experiment=path.stem,
        cohort=columns["cohort"],
        hip=columns["hip_id"],
        patient=columns["patient_id"],
        repeat=as_integers(columns["repeat"]),
        fold=as_integers(columns["fold"]),
        grade=as_integers(columns["grade"]),
        predicted=as_integers(columns["predicted"]),
        group=columns["group"],
        measures=np.column_stack([as_numbers(columns[name]) for name in MEASURES]),
        probability=np.column_stack([as_numbers(columns[name]) for name in probabilities]),
        value=as_numbers(columns["value"]),
    )


def find_cohorts(tables: Sequence[Graded]) -> list[str]:
    """The cohorts that have graded hips, in order of name."""
    return sorted({str(name) for table in tables for name in np.unique(table.cohort)})


def average_repeats(table: Graded) -> Graded:
    """One row per hip: the seed ensemble, whose models are those of all repeats.

    Probabilities and the variance within models are averaged over the repeats, and what follows from the
    probabilities is taken of the averages. Between models is the variance over repeats (and folds) of the
    probability of the class that the averages favour, of a regression of its value; NaN with one repeat. No
    single fold's model predicted.
    """
    _, first, hip = np.unique(table.hip, return_index=True, return_inverse=True)
    count = np.bincount(hip)

    def average(values: np.ndarray) -> np.ndarray:
        return np.bincount(hip, values) / count

    measure = dict(zip(MEASURES, table.measures.T, strict=True))
    probability = np.column_stack([average(column) for column in table.probability.T])
    value = average(table.value)
    regressed = np.isfinite(value)
    # Counted from 0.
    predicted = np.where(regressed, round_value(np.nan_to_num(value)) - 1, probability.argmax(axis=1))
    favoured = table.probability[np.arange(len(hip)), predicted[hip]]
    between = average((favoured - probability[np.arange(len(first)), predicted][hip]) ** 2)
    between = np.where(regressed, average((table.value - value[hip]) ** 2), between)
    within = average(np.nan_to_num(measure["between_model_variance"]))
    entropy = entr(probability).sum(axis=1)
    of_passes = average(measure["entropy"] - measure["mutual_information"])
    return replace(
        table.where(first),
        repeat=np.zeros(len(first), dtype=np.int64),
        fold=np.full(len(first), -1),
        predicted=predicted + 1,
        group=group_errors(np.abs(predicted + 1 - table.grade[first])),
        measures=np.column_stack(
            [
                average(measure["variance"]),
                entropy,
                np.maximum(entropy - of_passes, 0),
                probability.max(axis=1),
                np.where(count > 1, between + within, np.nan),
            ]
        ),
        probability=probability,
        value=value,
    )


def number_cells(*keys: np.ndarray) -> tuple[np.ndarray, int]:
    """Numbers the combinations of keys that occur, in sorted order.

    Args:
        keys: Arrays (n,) such as repeat and fold.

    Returns:
        (n,) the number of each row's combination, and how many there are.
    """
    if not len(keys[0]):
        return np.zeros(0, dtype=np.int64), 0
    codes = np.column_stack([np.unique(key, return_inverse=True)[1] for key in keys])
    combinations, cell = np.unique(codes, axis=0, return_inverse=True)
    return cell.reshape(-1), len(combinations)
