"""From fifty passes to one row per hip and repeat: the predicted grade and how sure it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from hipoa.core.columns import as_integers, format_number, read_columns
from hipoa.core.errors import CohortError
from hipoa.core.files import write_csv
from hipoa.evaluation.groups import group_errors
from hipoa.evaluation.passes import (
    MEASURES,
    HipUncertainty,
    ModelSummary,
    combine_models,
    summarise_passes,
    summarise_values,
)
from hipoa.evaluation.predictions import (
    N_GRADES,
    PredictionFile,
    find_rows,
    read_prediction,
    sort_predictions,
)
from hipoa.evaluation.settings import UncertaintySettings
from hipoa.grading.tasks import GRADE, HEADS

PROBABILITIES = tuple(f"p{grade}" for grade in range(1, N_GRADES + 1))
INDICES = tuple(name for name in HEADS if name != GRADE.name)
"""What the combined class is made of, which some experiments grade apart."""

COLUMNS = (
    *("experiment", "cohort", "repeat", "hip_id", "case_id", "patient_id", "side", "grade", "predicted"),
    *PROBABILITIES,
    "value",
    *MEASURES,
    *("n_models", "fold", "error", "group"),
    *(f"{what}{name}" for name in INDICES for what in ("", "predicted_", "variance_")),
)

_BOUNDED = "pool"
"""The one cohort that need not be predicted in every repeat."""

_HIP_COLUMNS = ("hip_id", "case_id", "patient_id", "side", "status", "grade", *INDICES)
_SAID = ("hip_id", "case_id", "patient_id", "side", "grade", *INDICES)


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
            given = models.get((repeat, cohort), [])
            if cohort == _BOUNDED and not given and any(file.cohort == cohort for file in files):
                continue
            found = [_summarise(file, table["hip_id"], passes) for file in given]
            hips = {
                head: combine_models(
                    [model[head] for model in found], len(table["hip_id"]), variance_of, HEADS[head]
                )
                for head in (found[0] if found else ())
            }
            _check_hips(hips, table["hip_id"], cohort, f"{experiment}, repeat {repeat}, {cohort}")
            if found:
                yield from tabulate(experiment, cohort, repeat, table, hips)


def _summarise(file: PredictionFile, table: np.ndarray, passes: dict[int, str]) -> dict[str, ModelSummary]:
    """Of each head that the model grades."""
    prediction = read_prediction(file)
    passes.setdefault(prediction.grade.shape[1], file.where)
    if len(passes) > 1:
        (first, at), (second, there) = passes.items()
        raise CohortError(
            there, f"{second} passes, but {first} in {at}", "Predict all of an experiment with equally many."
        )
    rows = find_rows(prediction.hip_id, table, file.where)
    return {
        head: ModelSummary(
            file.fold,
            rows,
            summarise_values(values, HEADS[head]) if values.ndim == 2 else summarise_passes(values),
        )
        for head, values in prediction.passes.items()
    }


def _check_hips(hips: dict[str, HipUncertainty], names: np.ndarray, cohort: str, where: str) -> None:
    """Refuses a leak (a labelled hip seen by two folds' models) and a silent loss of hips."""
    n_models = hips[GRADE.name].n_models if hips else np.zeros(len(names), dtype=np.int64)
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
    experiment: str,
    cohort: str,
    repeat: int,
    table: dict[str, np.ndarray],
    heads: dict[str, HipUncertainty],
) -> Iterator[dict[str, object]]:
    """One row per hip, as in `COLUMNS`.

    Args:
        experiment: Its name.
        cohort: Its name.
        repeat: Counted from 0.
        table: The columns of the cohort's table, of the same n hips.
        heads: The measures of the combined class and, where they are graded apart, of Crowe and KL.
    """
    hips = heads[GRADE.name]
    grade = as_integers(table["grade"], 0)
    error = np.abs(hips.predicted - grade)
    graded = grade > 0
    numbers = {
        **dict(zip(PROBABILITIES, hips.probability.T, strict=True)),
        "value": hips.value,
        **{name: getattr(hips, name) for name in MEASURES},
        **{f"variance_{name}": heads[name].variance for name in INDICES if name in heads},
    }
    cells = {
        **{name: table[name].tolist() for name in _SAID},
        "predicted": hips.predicted.tolist(),
        "n_models": hips.n_models.tolist(),
        "fold": np.where(hips.fold < 0, "", hips.fold.astype(str)).tolist(),
        "error": np.where(graded, error.astype(str), "").tolist(),
        "group": np.where(graded, group_errors(error), "").tolist(),
        **{f"predicted_{name}": heads[name].predicted.tolist() for name in INDICES if name in heads},
    }
    shared = {"experiment": experiment, "cohort": cohort, "repeat": repeat}
    for values, *cell in zip(np.column_stack(list(numbers.values())).tolist(), *cells.values(), strict=True):
        yield {
            **shared,
            **dict(zip(cells, cell, strict=True)),
            **dict(zip(numbers, map(format_number, values), strict=True)),
        }
