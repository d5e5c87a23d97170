"""UMAP of the feature vectors: one map of the out-of-fold hips per repeat and fold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hipoa.core.columns import as_integers, format_number, read_columns
from hipoa.core.errors import CohortError
from hipoa.core.files import write_csv
from hipoa.evaluation.passes import predict_grade
from hipoa.evaluation.predictions import (
    Prediction,
    PredictionFile,
    find_rows,
    read_prediction,
    sort_predictions,
)
from hipoa.evaluation.settings import EmbedSettings

COLUMNS = ("experiment", "repeat", "fold", "hip_id", "x", "y", "grade", "predicted", "error")

_LEAST_HIPS = 4
"""Below this a neighbourhood graph says nothing, and the principal axes are drawn."""


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
    write_csv(out, COLUMNS, _rows(settings, sort_predictions(predictions), hips.stem, table))


def _rows(
    settings: EmbedSettings, files: list[PredictionFile], cohort: str, table: dict[str, np.ndarray]
) -> Iterator[dict[str, object]]:
    for file in files:
        if file.cohort != cohort:
            raise CohortError(
                file.where, f'the table of hips is of the cohort "{cohort}"', "Give both of one cohort."
            )
        if not settings.embed_repeats or file.repeat in settings.embed_repeats:
            prediction = read_prediction(file)
            rows = find_rows(prediction.hip_id, table["hip_id"], file.where)
            yield from _tabulate(file, prediction, table["grade"][rows])


def _tabulate(file: PredictionFile, prediction: Prediction, grade: np.ndarray) -> Iterator[dict[str, object]]:
    predicted = predict_grade(prediction.grade)
    error = np.where(grade == "", "", np.abs(predicted - as_integers(grade)).astype(str))
    places = embed_features(prediction.features)
    for row, name in enumerate(prediction.hip_id.tolist()):
        yield {
            "experiment": file.experiment,
            "repeat": file.repeat,
            "fold": file.fold,
            "hip_id": name,
            "x": format_number(places[row, 0]),
            "y": format_number(places[row, 1]),
            "grade": grade[row],
            "predicted": predicted[row],
            "error": error[row],
        }


def embed_features(features: np.ndarray) -> np.ndarray:
    """Places hips so that those with similar features lie close together.

    It starts from the principal axes, which keeps far groups in order and needs no random start
    (source: Kobak and Linderman, Nature Biotechnology 2021, 39, 156-157).

    Args:
        features: (n, D) feature vectors.

    Returns:
        (n, 2) map units; the two principal axes if there are fewer than four distinct hips, or if they
        lie on a line.
    """
    values = features.astype(np.float64)
    axes = project_to_axes(values)
    # UMAP divides its start by the extent of each axis.
    if len(np.unique(values, axis=0)) < _LEAST_HIPS or not axes.any(axis=0).all():
        return axes
    # Compiling takes seconds: only who makes a map waits for it.
    from umap import UMAP

    start: Any = _scale(axes)  # umap's annotation knows names only
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
    """The two first principal coordinates, each axis pointing to its largest entry; (n, D) to (n, 2)."""
    places = np.zeros((len(values), 2))
    if len(values) < 2:
        return places
    left, scale, _ = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)
    axes = min(2, len(scale))
    places[:, :axes] = left[:, :axes] * scale[:axes]
    largest = places[np.abs(places).argmax(axis=0), [0, 1]]
    return places * np.where(largest < 0, -1, 1)


def _scale(places: np.ndarray) -> np.ndarray:
    """To a width of 10, what UMAP's own starts have."""
    return (places / max(float(np.abs(places).max()), 1e-12) * 10).astype(np.float32)
