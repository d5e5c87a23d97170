"""Which unread hips the surgeon should read next: the most uncertain first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hipoa.errors import CohortError, ConfigError
from hipoa.evaluation.columns import as_integers, as_numbers, format_number, read_columns
from hipoa.evaluation.passes import round_value
from hipoa.files import write_csv
from hipoa.triage.settings import TriageSettings

COLUMNS = (
    *("rank", "hip_id", "case_id", "side", "cohort", "set_aside", "predicted"),
    *("uncertainty", "measure", "max_probability", "n_models", "experiment"),
)

_READ = ("crowe", "kl", "grade", "off_table")
_HIP_COLUMNS = ("hip_id", "case_id", "side", "status", "reason", "implant", *_READ)
_PROBABILITIES = tuple(f"p{grade}" for grade in range(1, 8))
_MEASURED = ("hip_id", "n_models", "max_probability", "value")
_IMPLANT = "implant"
_ONE_MODEL = "one model only: no variance between models"


def run(settings: TriageSettings, *, uncertainty: list[Path], hips: list[Path], out: Path) -> None:
    """Ranks the unread hips by uncertainty, and lists those set aside with the reason.

    A hip of the external cohort is never listed: reading it would spend the cohort that validates.

    Args:
        settings: The measure, the experiment and whether implants are set aside.
        uncertainty: The tables ``{experiment}.csv``.
        hips: The tables ``{cohort}.csv``.
        out: The table to write.

    Raises:
        ConfigError: There is no such experiment.
        CohortError: A hip that could be read has no prediction.
    """
    table = choose_experiment(uncertainty, settings.experiment)
    unread = _read_unread([path for path in sorted(hips) if path.stem != "external"])
    means = average_repeats(
        read_columns(table, (*_MEASURED, settings.measure, *_PROBABILITIES)),
        settings.measure,
    )
    write_csv(out, COLUMNS, _rows(unread, means, table.stem, settings))


def choose_experiment(tables: Sequence[Path], name: str) -> Path:
    """The table of the named experiment, the first if no name is given.

    Raises:
        ConfigError: There is no such table.
    """
    names = [path.stem for path in tables]
    if not names:
        raise ConfigError("triage.experiment", "no table of uncertainty is given", "Declare an experiment.")
    if name and name not in names:
        raise ConfigError(
            "triage.experiment", f'there is no experiment "{name}"', f"Choose one of: {', '.join(names)}."
        )
    return tables[names.index(name) if name else 0]


def average_repeats(columns: dict[str, np.ndarray], measure: str) -> dict[str, np.ndarray]:
    """The mean over the repeats, hip by hip.

    Args:
        columns: hip_id, n_models, p1-p7, value, max_probability and the measure, as text, one row per hip and
            repeat.
        measure: The measure's name.

    Returns:
        hip_id (n,), sorted; predicted (n,) class 1-7 of the largest mean probability, of a
        regression the one nearest to its mean value; uncertainty (n,),
        NaN if a repeat has none; max_probability (n,); n_models (n,) summed over the repeats.
    """
    hip_id, hip = np.unique(columns["hip_id"], return_inverse=True)
    repeats = np.bincount(hip, minlength=len(hip_id))

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(hip, weights=values, minlength=len(hip_id))

    probability = np.column_stack([total(as_numbers(columns[name])) for name in _PROBABILITIES])
    value = total(as_numbers(columns["value"])) / repeats
    nearest = round_value(np.nan_to_num(value))
    return {
        "hip_id": hip_id,
        "predicted": np.where(np.isnan(value), probability.argmax(axis=1) + 1, nearest),
        "uncertainty": total(as_numbers(columns[measure])) / repeats,
        "max_probability": total(as_numbers(columns["max_probability"])) / repeats,
        "n_models": total(as_integers(columns["n_models"])).astype(np.int64),
    }


def rank_hips(uncertainty: np.ndarray, hip_id: np.ndarray, measure: str) -> np.ndarray:
    """The order in which hips are read: most uncertain first, equal ones by name.

    Args:
        uncertainty: (n,) of the measure.
        hip_id: (n,) names.
        measure: Of "max_probability" the smallest is the most uncertain, of all others the largest.

    Returns:
        (n,) row numbers.
    """
    return np.lexsort((hip_id, uncertainty if measure == "max_probability" else -uncertainty))


def explain_set_aside(hips: dict[str, np.ndarray], uncertainty: np.ndarray, *, implants: bool) -> np.ndarray:
    """Why each hip is not ranked, "" if it is.

    Args:
        hips: status, reason and implant, (n,) text each.
        uncertainty: (n,), NaN where the measure does not apply.
        implants: Set aside hips with an implant.
    """
    refused = np.char.add(np.char.add(hips["status"], ": "), hips["reason"])
    why = np.where(hips["reason"] == "", hips["status"], refused)
    why = np.where(hips["status"] == "ok", np.where(np.isnan(uncertainty), _ONE_MODEL, ""), why)
    with_implant = (hips["implant"] == "yes") & (hips["status"] == "ok")
    return np.where(with_implant & implants, _IMPLANT, why)


def _read_unread(paths: Sequence[Path]) -> dict[str, np.ndarray]:
    """The hips that no surgeon has graded, with their cohort."""
    tables = []
    for path in paths:
        columns = read_columns(path, _HIP_COLUMNS)
        unread = np.all([columns[name] == "" for name in _READ], axis=0)
        columns["cohort"] = np.full(len(unread), path.stem)
        tables.append({name: column[unread] for name, column in columns.items()})
    empty = np.zeros(0, dtype="U1")
    return {
        name: np.concatenate([empty, *(table[name] for table in tables)])
        for name in (*_HIP_COLUMNS, "cohort")
    }


def _rows(
    hips: dict[str, np.ndarray], means: dict[str, np.ndarray], experiment: str, settings: TriageSettings
) -> Iterator[dict[str, object]]:
    row_of = _find(hips, means["hip_id"], experiment)
    known = row_of >= 0
    # The last row stands for "no prediction", which -1 finds.
    uncertainty = np.append(means["uncertainty"], np.nan)[row_of]
    largest = np.append(means["max_probability"], np.nan)[row_of]
    predicted = np.append(means["predicted"], 0)[row_of]
    n_models = np.append(means["n_models"], 0)[row_of]
    why = explain_set_aside(hips, uncertainty, implants=settings.set_aside_implants)
    order = rank_hips(uncertainty, hips["hip_id"], settings.measure)
    ranked = [int(row) for row in order if not why[row]]
    aside = sorted(np.flatnonzero(why != "").tolist(), key=lambda row: (not known[row], hips["hip_id"][row]))
    for place, row in enumerate([*ranked, *aside], start=1):
        yield {
            **{name: hips[name][row] for name in ("hip_id", "case_id", "side", "cohort")},
            "rank": place if place <= len(ranked) else "",
            "set_aside": why[row],
            "predicted": predicted[row] if known[row] else "",
            "uncertainty": format_number(uncertainty[row]),
            "measure": settings.measure,
            "max_probability": format_number(largest[row]),
            "n_models": n_models[row] if known[row] else "",
            "experiment": experiment if known[row] else "",
        }


def _find(hips: dict[str, np.ndarray], predicted: np.ndarray, experiment: str) -> np.ndarray:
    """The row of each hip among the predicted ones (sorted), -1 for a hip that is not ok."""
    ok = hips["status"] == "ok"
    lost = hips["hip_id"][ok & ~np.isin(hips["hip_id"], predicted)]
    if len(lost):
        raise CohortError(
            f"uncertainty of {experiment}",
            f"{len(lost)} unread hips have no prediction (first {lost[0]})",
            "The table is older than the table of hips: make it again.",
        )
    return np.where(ok, np.searchsorted(predicted, hips["hip_id"]), -1)
