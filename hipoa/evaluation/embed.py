"""Maps the feature vectors by UMAP, one map of the out-of-fold hips per repeat and fold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hipoa.core.columns import as_integers, format_number, read_columns
from hipoa.core.errors import CohortError
from hipoa.core.files import write_csv
from hipoa.evaluation.passes import predict_grade
from hipoa.evaluation.predictions import PredictionFile, find_rows, read_prediction, sort_predictions
from hipoa.evaluation.settings import EmbedSettings
from hipoa.evaluation.statistics.intervals import Row
from hipoa.grading.tasks import GRADE

COLUMNS = ("experiment", "repeat", "fold", "hip_id", "x", "y", "grade", "predicted", "error")

_LEAST_HIPS = 4
"""With fewer hips a neighbourhood graph is meaningless, and the principal axes are drawn."""


def run(settings: EmbedSettings, *, predictions: list[Path], hips: Path, out: Path) -> None:
    """Writes a two-dimensional map of the feature vectors of each repeat and fold.

    Args:
        settings: The repeats to map.
        predictions: The files ``{experiment}/r{repeat}f{fold}/{cohort}.npz`` of the table's cohort.
        hips: The table ``{cohort}.csv``.
        out: The table to write.

    Raises:
        CohortError: Predictions and table do not fit together.
    """
    table = read_columns(hips, ("hip_id", "grade"))
    files = sort_predictions(predictions)
    for file in files:
        if file.cohort != hips.stem:
            raise CohortError(
                file.where, f'the table of hips is of the cohort "{hips.stem}"', "Give both of one cohort."
            )
    mapped = [file for file in files if not settings.embed_repeats or file.repeat in settings.embed_repeats]
    write_csv(out, COLUMNS, (row for file in mapped for row in _rows(file, table)))


def _rows(file: PredictionFile, table: dict[str, np.ndarray]) -> Iterator[Row]:
    prediction = read_prediction(file)
    grade = table["grade"][find_rows(prediction.hip_id, table["hip_id"], file.where)]
    predicted = predict_grade(prediction.passes[GRADE.name])
    error = np.where(grade == "", "", np.abs(predicted - as_integers(grade)).astype(str))
    x, y = embed_features(prediction.features).T
    for row, name in enumerate(prediction.hip_id.tolist()):
        yield {
            "experiment": file.experiment,
            "repeat": file.repeat,
            "fold": file.fold,
            "hip_id": name,
            "x": format_number(x[row]),
            "y": format_number(y[row]),
            "grade": grade[row],
            "predicted": predicted[row],
            "error": error[row],
        }


def embed_features(features: np.ndarray) -> np.ndarray:
    """Maps hips so that those with similar features (n, D) lie close together.

    Starting from the principal axes preserves the order of distant groups and needs no random start
    (source: Kobak and Linderman, Nature Biotechnology 2021, 39, 156-157).

    Returns:
        (n, 2) map units; the two principal coordinates if there are fewer than four distinct hips, or if they
        lie on a line.
    """
    values = features.astype(np.float64)
    axes = project_to_axes(values)
    # UMAP divides its start by the extent of each axis.
    if len(np.unique(values, axis=0)) < _LEAST_HIPS or not axes.any(axis=0).all():
        return axes
    # The import compiles for seconds.
    from umap import UMAP

    # To a width of 10, as UMAP's own starts; its annotation allows only names.
    start: Any = (axes / max(float(np.abs(axes).max()), 1e-12) * 10).astype(np.float32)
    mapper = UMAP(
        # UMAP's own defaults; a small fold has fewer hips.
        n_neighbors=min(15, len(values) - 1),
        min_dist=0.1,
        init=start,
        random_state=0,
        n_jobs=1,
    )
    return np.asarray(mapper.fit_transform(values), dtype=np.float64)


def project_to_axes(values: np.ndarray) -> np.ndarray:
    """The first two principal coordinates, each axis pointing to its largest entry; (n, D) to (n, 2)."""
    coordinates = np.zeros((len(values), 2))
    if len(values) < 2:
        return coordinates
    left, scale, _ = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)
    axes = min(2, len(scale))
    coordinates[:, :axes] = left[:, :axes] * scale[:axes]
    largest = coordinates[np.abs(coordinates).argmax(axis=0), [0, 1]]
    return coordinates * np.where(largest < 0, -1, 1)
