"""Summarises the passes as a predicted grade and its uncertainty, one row per hip and repeat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from hipoa.core.columns import as_integers, format_number, read_columns
from hipoa.core.errors import CohortError
from hipoa.core.files import write_csv
from hipoa.evaluation.graded import group_errors
from hipoa.evaluation.passes import MEASURES, HipUncertainty, ModelSummary, combine_models, summarise_passes
from hipoa.evaluation.predictions import (
    PROBABILITIES,
    PredictionFile,
    find_rows,
    read_prediction,
    sort_predictions,
)
from hipoa.evaluation.settings import UncertaintySettings
from hipoa.grading.tasks import GRADE, HEADS

INDICES = tuple(name for name in HEADS if name != GRADE.name)
"""The indices behind the combined class, which some experiments grade separately."""

COLUMNS = (
    *("experiment", "cohort", "repeat", "hip_id", "case_id", "patient_id", "side", "grade", "predicted"),
    *PROBABILITIES,
    "value",
    *MEASURES,
    *("n_models", "fold", "error", "group"),
    *(f"{what}{name}" for name in INDICES for what in ("", "predicted_", "variance_")),
)

_OPTIONAL = "pool"
"""The one cohort that need not be predicted in every repeat."""
_COPIED = ("hip_id", "case_id", "patient_id", "side", "grade", *INDICES)

_Table = dict[str, np.ndarray]


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
    tables = {path.stem: _read_hips(path) for path in sorted(hips)}
    for file in files:
        if file.experiment != experiment:
            raise CohortError(
                file.where, f'the predictions are not of experiment "{experiment}"', "Give one experiment's."
            )
        if file.cohort not in tables:
            raise CohortError(
                experiment, f"no table of hips of the cohort {file.cohort} is given", "Give --hips for it."
            )
    write_csv(out, COLUMNS, _rows(experiment, files, tables, settings.variance_of))


def _read_hips(path: Path) -> _Table:
    columns = read_columns(path, (*_COPIED, "status"))
    ok = columns["status"] == "ok"
    return {name: column[ok] for name, column in columns.items()}


def _rows(
    experiment: str, files: Sequence[PredictionFile], tables: dict[str, _Table], variance_of: str
) -> Iterator[dict[str, object]]:
    models = {key: list(group) for key, group in groupby(files, key=lambda file: (file.repeat, file.cohort))}
    predicted = {file.cohort for file in files}
    passes: dict[int, str] = {}
    # Without any file, the hips of repeat 0 are reported as missing.
    for repeat in sorted({file.repeat for file in files}) or [0]:
        for cohort, table in tables.items():
            given = models.get((repeat, cohort), [])
            if not given and cohort == _OPTIONAL and cohort in predicted:
                continue
            names = table["hip_id"]
            found = [_summarise(file, names, passes) for file in given]
            hips = {
                head: combine_models([model[head] for model in found], len(names), variance_of, HEADS[head])
                for head in (found[0] if found else ())
            }
            _check_hips(hips, names, cohort, f"{experiment}, repeat {repeat}, {cohort}")
            if hips:
                shared = {"experiment": experiment, "cohort": cohort, "repeat": repeat}
                yield from (shared | row for row in _tabulate(table, hips))


def _summarise(file: PredictionFile, names: np.ndarray, passes: dict[int, str]) -> dict[str, ModelSummary]:
    """The summary of each head; ``passes`` collects the numbers of passes and the first file of each."""
    prediction = read_prediction(file)
    passes.setdefault(prediction.grade.shape[1], file.where)
    if len(passes) > 1:
        (first, at), (second, there) = passes.items()
        raise CohortError(
            there, f"{second} passes, but {first} in {at}", "Predict all of an experiment with equally many."
        )
    rows = find_rows(prediction.hip_id, names, file.where)
    return {
        head: ModelSummary(file.fold, rows, summarise_passes(values, HEADS[head]))
        for head, values in prediction.passes.items()
    }


def _check_hips(hips: dict[str, HipUncertainty], names: np.ndarray, cohort: str, where: str) -> None:
    """Refuses a leak (a labelled hip predicted by two folds' models) and a silent loss of hips."""
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


def _tabulate(table: _Table, heads: dict[str, HipUncertainty]) -> Iterator[dict[str, object]]:
    """The rows of one repeat and cohort without the columns that they share."""
    hips = heads[GRADE.name]
    separate = {name: heads[name] for name in INDICES if name in heads}
    grade = as_integers(table["grade"], 0)
    error = np.abs(hips.predicted - grade)
    numbers = {
        **dict(zip(PROBABILITIES, hips.probability.T, strict=True)),
        "value": hips.value,
        **{name: getattr(hips, name) for name in MEASURES},
        **{f"variance_{name}": index.variance for name, index in separate.items()},
    }
    cells = {
        **{name: table[name] for name in _COPIED},
        "predicted": hips.predicted,
        "n_models": hips.n_models,
        "fold": np.where(hips.fold < 0, "", hips.fold.astype(str)),
        "error": np.where(grade > 0, error.astype(str), ""),
        "group": np.where(grade > 0, group_errors(error), ""),
        **{f"predicted_{name}": index.predicted for name, index in separate.items()},
    }
    columns = [
        *(values.tolist() for values in cells.values()),
        *(map(format_number, values.tolist()) for values in numbers.values()),
    ]
    for row in zip(*columns, strict=True):
        yield dict(zip((*cells, *numbers), row, strict=True))
