"""Reads the files of predictions and the model and cohort that their paths name."""

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
PROBABILITIES = tuple(f"p{grade}" for grade in range(1, N_GRADES + 1))
"""Columns of ``{experiment}.csv``: the probability of each class."""

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
        """The file's name in messages."""
        return f"{self.experiment}/r{self.repeat}f{self.fold}/{self.cohort}.npz"


@dataclass(frozen=True)
class Prediction:
    """The predictions of one model for n hips."""

    hip_id: np.ndarray  # (n,) names
    # Head (grade, crowe, kl) to (n, passes, classes) float32, one softmax per pass with dropout, or, of a
    # regression, to (n, passes) float32 values in classes.
    passes: dict[str, np.ndarray]
    features: np.ndarray  # (n, D) float32, without dropout


def sort_predictions(paths: Sequence[Path]) -> list[PredictionFile]:
    """Parses and sorts paths ``.../{experiment}/r{repeat}f{fold}/{cohort}.npz``.

    Raises:
        CohortError: A path has another form, or two files are of one model and cohort.
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
        CohortError: A hip is listed twice, the combined class is missing, a head has another number of
            classes, or a number is not finite.
    """
    arrays = read_npz(file.path)
    passes = {
        head: arrays[name]
        for head in HEADS
        for name in (f"value_{head}", f"probability_{head}")
        if name in arrays
    }
    if GRADE.name not in passes:
        raise CohortError(file.where, "it holds no combined class", "Predict again.")
    for head, values in passes.items():
        classes = HEADS[head].classes
        if values.ndim != 2 and (values.ndim != 3 or values.shape[2] != classes):
            raise CohortError(
                file.where,
                f"probability_{head} has the shape {values.shape}",
                f"It must be hips x passes x {classes}; predict again.",
            )
    if not all(np.isfinite(values).all() for values in (*passes.values(), arrays["features"])):
        raise CohortError(
            file.where,
            "probabilities or features are not finite",
            "Its training failed: lower the learning rate.",
        )
    if len(np.unique(arrays["hip_id"])) < len(arrays["hip_id"]):
        raise CohortError(file.where, "a hip is listed twice", "Predict again.")
    return Prediction(arrays["hip_id"], passes, arrays["features"])


def find_rows(hip_id: np.ndarray, table: np.ndarray, where: str) -> np.ndarray:
    """The row (n,) of each hip (n,) in a table of unique names (m,); ``where`` begins the message.

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
