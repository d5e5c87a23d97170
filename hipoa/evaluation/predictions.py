"""The files of predictions: which model and cohort a path names, and what lies in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from hipoa.core.errors import CohortError
from hipoa.core.files import read_npz
from hipoa.grading.tasks import GRADE, HEADS

N_GRADES = GRADE.classes

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
    """What one model says of n hips, with dropout on.

    Attributes:
        hip_id: (n,) names.
        passes: Head (grade, crowe, kl) to (n, passes, classes) float32, one softmax per pass, or, of a
            regression, to (n, passes) float32 values in classes.
        features: (n, D) float32, dropout off.
    """

    hip_id: np.ndarray
    passes: dict[str, np.ndarray]
    features: np.ndarray

    @property
    def grade(self) -> np.ndarray:
        """The passes of the combined class."""
        return self.passes[GRADE.name]


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
        CohortError: A hip is there twice, the combined class is missing, the probabilities are not of a
            head's classes, a number is not finite.
    """
    arrays = read_npz(file.path)
    passes = {head: _find_passes(arrays, head) for head in HEADS}
    found = {head: values for head, values in passes.items() if values is not None}
    if GRADE.name not in found:
        raise CohortError(file.where, "it holds no combined class", "Predict again.")
    for head, values in found.items():
        _check_shape(file, head, values)
    if not all(np.isfinite(values).all() for values in (*found.values(), arrays["features"])):
        raise CohortError(
            file.where,
            "probabilities or features are not finite",
            "Its training went wrong: lower the learning rate.",
        )
    if len(np.unique(arrays["hip_id"])) < len(arrays["hip_id"]):
        raise CohortError(file.where, "a hip is there twice", "Predict again.")
    return Prediction(arrays["hip_id"], found, arrays["features"])


def _find_passes(arrays: dict[str, np.ndarray], head: str) -> np.ndarray | None:
    probability = arrays.get(f"probability_{head}")
    return arrays.get(f"value_{head}") if probability is None else probability


def _check_shape(file: PredictionFile, head: str, values: np.ndarray) -> None:
    classes = HEADS[head].classes
    if values.ndim == 2 or (values.ndim == 3 and values.shape[2] == classes):
        return
    raise CohortError(
        file.where,
        f"probability_{head} has the shape {values.shape}",
        f"It must be hips x passes x {classes}; predict again.",
    )


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
