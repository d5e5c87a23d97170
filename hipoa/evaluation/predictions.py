"""The files of predictions: which model and cohort a path names, and what lies in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from hipoa.errors import CohortError
from hipoa.files import read_npz

N_GRADES = 7

_MODEL = re.compile(r"r(\d+)f(\d+)")


@dataclass(frozen=True, order=True)
class PredictionFile:
    """The predictions of one model for one cohort; sorted by experiment, repeat, cohort and fold."""

    experiment: str
    repeat: int
    cohort: str
    fold: int
    path: Path

    @property
    def where(self) -> str:
        """How messages name it."""
        return f"{self.experiment}/r{self.repeat}f{self.fold}/{self.cohort}.npz"


@dataclass(frozen=True)
class Prediction:
    """What one model says of n hips.

    Attributes:
        hip_id: (n,) names.
        probability: (n, passes, 7) float32, one softmax per pass with dropout on.
        features: (n, D) float32, dropout off.
    """

    hip_id: np.ndarray
    probability: np.ndarray
    features: np.ndarray


def sort_predictions(paths: Sequence[Path]) -> list[PredictionFile]:
    """Reads experiment, repeat, fold and cohort from ``.../{experiment}/r{repeat}f{fold}/{cohort}.npz``.

    Raises:
        CohortError: A path of another form, or two files of one model and cohort.
    """
    files = sorted(map(_parse, paths))
    for one, other in pairwise(files):
        if one.where == other.where:
            raise CohortError(one.where, "the file is given twice", "Name each model's predictions once.")
    return files


def _parse(path: Path) -> PredictionFile:
    model = _MODEL.fullmatch(path.parent.name)
    if model is None or path.suffix != ".npz" or len(path.parts) < 3:
        raise CohortError(
            str(path), "the path names no model", "Give .../{experiment}/r{repeat}f{fold}/{cohort}.npz."
        )
    return PredictionFile(path.parent.parent.name, int(model[1]), path.stem, int(model[2]), path)


def read_prediction(file: PredictionFile) -> Prediction:
    """Reads and checks the predictions of one model.

    Raises:
        CohortError: A hip is there twice, the probabilities are no seven classes, a number is not finite.
    """
    arrays = read_npz(file.path)
    probability = arrays["probability_grade"]
    if probability.ndim != 3 or probability.shape[2] != N_GRADES:
        raise CohortError(
            file.where,
            f"probability_grade has the shape {probability.shape}",
            f"It must be hips x passes x {N_GRADES}; predict again.",
        )
    if not (np.isfinite(probability).all() and np.isfinite(arrays["features"]).all()):
        raise CohortError(
            file.where,
            "probabilities or features are not finite",
            "Its training went wrong: lower the learning rate.",
        )
    if len(np.unique(arrays["hip_id"])) < len(arrays["hip_id"]):
        raise CohortError(file.where, "a hip is there twice", "Predict again.")
    return Prediction(arrays["hip_id"], probability, arrays["features"])


def find_rows(hip_id: np.ndarray, table: np.ndarray, where: str) -> np.ndarray:
    """The row of each hip in a table.

    Args:
        hip_id: (n,) names to look up.
        table: (m,) unique names of the table's hips.
        where: Names the predictions in a message.

    Returns:
        (n,) int64.

    Raises:
        CohortError: A hip is not in the table.
    """
    row_of = {name: row for row, name in enumerate(table.tolist())}
    rows = np.array([row_of.get(name, -1) for name in hip_id.tolist()], dtype=np.int64)
    if (rows < 0).any():
        raise CohortError(
            where,
            f'hip "{hip_id[rows < 0][0]}" is not in the table of hips ({(rows < 0).sum()} such hips)',
            "The predictions are older than the table: predict again.",
        )
    return rows
