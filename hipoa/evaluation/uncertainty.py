"""From fifty passes to one row per hip and repeat: the predicted grade and how sure it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from hipoa.errors import CohortError
from hipoa.evaluation.columns import as_integers, format_number, read_columns
from hipoa.evaluation.groups import group_errors
from hipoa.evaluation.passes import (
    MEASURES,
    HipUncertainty,
    ModelSummary,
    combine_models,
    count_models,
    summarise_passes,
)
from hipoa.evaluation.predictions import (
    N_GRADES,
    PredictionFile,
    find_rows,
    read_prediction,
    sort_predictions,
)
from hipoa.evaluation.settings import UncertaintySettings
from hipoa.files import write_csv

PROBABILITIES = tuple(f"p{grade}" for grade in range(1, N_GRADES + 1))
COLUMNS = (
    *("experiment", "cohort", "repeat", "hip_id", "case_id", "patient_id", "side", "grade", "predicted"),
    *PROBABILITIES,
    *MEASURES,
    *("n_models", "fold", "error", "group"),
)

_HIP_COLUMNS = ("hip_id", "case_id", "patient_id", "side", "status", "grade")


def run(
    settings: UncertaintySettings, *, experiment: str, predictions: list[Path], hips: list[Path], out: Path
) -> None:
    """Writes the predicted grade and its uncertainty, one row per hip and repeat.

    Args:
        settings: Which probability the variance is taken of.
        experiment: The experiment's name, as in the paths of the predictions.
        predictions: The files ``{experiment}/r{repeat}f{fold}/{cohort}.npz``.
        hips: The tables ``{cohort}.csv`` of the same cohorts.
        out: The table to write.

    Raises:
        CohortError: Predictions and tables do not fit together.
    """
    files = sort_predictions(predictions)
    _check_files(files, experiment)
    tables = {path.stem: _read_hips(path) for path in sorted(hips)}
    write_csv(out, COLUMNS, _rows(experiment, files, tables, settings.variance_of))


def _check_files(files: Sequence[PredictionFile], experiment: str) -> None:
    for file in files:
        if file.experiment != experiment:
            raise CohortError(
                file.where, f'the predictions are not of experiment "{experiment}"', "Give one experiment's."
            )


def _read_hips(path: Path) -> dict[str, np.ndarray]:
    columns = read_columns(path, _HIP_COLUMNS)
    ok = columns.pop("status") == "ok"
    return {name: column[ok] for name, column in columns.items()}


def _rows(
    experiment: str,
    files: Sequence[PredictionFile],
    tables: dict[str, dict[str, np.ndarray]],
    variance_of: str,
) -> Iterator[dict[str, object]]:
    models: dict[tuple[int, str], list[PredictionFile]] = {
        key: list(group) for key, group in groupby(files, key=lambda file: (file.repeat, file.cohort))
    }
    unknown = sorted({file.cohort for file in files} - tables.keys())
    if unknown:
        raise CohortError(
            experiment, f"no table of hips of the cohort {unknown[0]} is given", "Give --hips for it."
        )
    passes: dict[int, str] = {}
    # Without any file one repeat is looked for all the same, so that its hips are missed.
    for repeat in sorted({file.repeat for file in files}) or [0]:
        for cohort, table in tables.items():
            summaries = [
                _summarise(file, table["hip_id"], passes) for file in models.get((repeat, cohort), [])
            ]
            _check_hips(summaries, table["hip_id"], cohort, f"{experiment}, repeat {repeat}, {cohort}")
            if summaries:
                hips = combine_models(summaries, len(table["hip_id"]), variance_of)
                yield from tabulate(experiment, cohort, repeat, table, hips)


def _summarise(file: PredictionFile, table: np.ndarray, passes: dict[int, str]) -> ModelSummary:
    prediction = read_prediction(file)
    passes.setdefault(prediction.probability.shape[1], file.where)
    if len(passes) > 1:
        (first, at), (second, there) = passes.items()
        raise CohortError(
            there, f"{second} passes, but {first} in {at}", "Predict all of an experiment with equally many."
        )
    rows = find_rows(prediction.hip_id, table, file.where)
    return ModelSummary(file.fold, rows, summarise_passes(prediction.probability))


def _check_hips(models: Sequence[ModelSummary], names: np.ndarray, cohort: str, where: str) -> None:
    """Refuses a leak (a labelled hip seen by two folds' models) and a silent loss of hips."""
    n_models, _ = count_models(models, len(names))
    leaked, lost = n_models > 1, n_models == 0
    if cohort == "labelled" and leaked.any():
        raise CohortError(
            where,
            f"{leaked.sum()} hips are predicted by more than one model (first {names[leaked][0]})",
            "Only the model of a patient's own fold has not seen the patient: predict again.",
        )
    if lost.any():
        raise CohortError(
            where,
            f"{lost.sum()} of {len(names)} hips have no prediction (first {names[lost][0]})",
            "Give the predictions of every fold; if they are older than the table, predict again.",
        )


def tabulate(
    experiment: str, cohort: str, repeat: int, table: dict[str, np.ndarray], hips: HipUncertainty
) -> Iterator[dict[str, object]]:
    """One row per hip, as in `COLUMNS`.

    Args:
        experiment: Its name.
        cohort: Its name.
        repeat: Counted from 0.
        table: The columns of the cohort's table, of the same n hips.
        hips: The measures.
    """
    grade = as_integers(table["grade"], 0)
    error = np.abs(hips.predicted - grade)
    graded = grade > 0
    numbers = np.column_stack([hips.probability, *(getattr(hips, name) for name in MEASURES)])
    cells = {
        **{name: table[name].tolist() for name in ("hip_id", "case_id", "patient_id", "side", "grade")},
        "predicted": hips.predicted.tolist(),
        "n_models": hips.n_models.tolist(),
        "fold": np.where(hips.fold < 0, "", hips.fold.astype(str)).tolist(),
        "error": np.where(graded, error.astype(str), "").tolist(),
        "group": np.where(graded, group_errors(error), "").tolist(),
    }
    shared = {"experiment": experiment, "cohort": cohort, "repeat": repeat}
    for values, *cell in zip(numbers.tolist(), *cells.values(), strict=True):
        yield {
            **shared,
            **dict(zip(cells, cell, strict=True)),
            **dict(zip((*PROBABILITIES, *MEASURES), map(format_number, values), strict=True)),
        }
