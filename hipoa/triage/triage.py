"""Ranks the unread hips for reading: uncertain ones first, and a first batch of unlike ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hipoa.core.columns import format_number
from hipoa.core.errors import CohortError, ConfigError
from hipoa.core.files import read_csv, write_csv
from hipoa.evaluation.comparison.verdicts import describe_weakness
from hipoa.evaluation.passes import MEASURES
from hipoa.evaluation.predictions import PredictionFile, sort_predictions
from hipoa.triage.acquisition_functions import Measured, measure_hips
from hipoa.triage.batch import choose_batch, group_units
from hipoa.triage.neighbours import Labelled, UnreadDistances, find_neighbours, read_features
from hipoa.triage.reasons import explain_moves, give_reasons, warn_of_order
from hipoa.triage.settings import TriageSettings
from hipoa.triage.unread import Columns, explain_set_aside, read_labelled, read_unread

COLUMNS = (
    *("rank", "hip_id", "case_id", "side", "cohort", "set_aside", "predicted"),
    *("uncertainty", "measure", "max_probability", "n_models", "experiment"),
    *("patient_id", "in_budget", "why", "caveat", *(name for name in MEASURES if name != "max_probability")),
    *("distance", "set_size", "neighbours", "neighbour_grades"),
)
_COPIED = ("hip_id", "case_id", "patient_id", "side", "cohort")
_NUMBERS = (*MEASURES, "distance", "set_size")


@dataclass(frozen=True)
class Candidates:
    """The unread hips and what is known of each; arrays of n rows, NaN or 0 where nothing is known."""

    experiment: str  # whose predictions are used
    hips: Columns  # their cells in the tables of hips
    predicted: np.ndarray  # (n,) bool, has a prediction
    measured: Measured  # of `measure_hips`, hip by hip, and ``distance`` from the labelled hips
    neighbours: np.ndarray  # (n, 3) rows of their nearest labelled hips, -1 for none
    distances: UnreadDistances  # between them


def run(
    settings: TriageSettings,
    *,
    uncertainty: list[Path],
    predictions: list[Path],
    hips: list[Path],
    differences: Path,
    out: Path,
) -> None:
    """Ranks the unread hips for reading, and lists those set aside with the reason.

    A hip of the external cohort is never listed: reading it would spend the cohort that validates. Of a
    network that is not shown to grade better than a constant the order stays, since hips must be read in some
    order and a random one has nothing more to say for it; the list then says that it may be no better.

    Args:
        settings: The measure, the experiment, the batch, and what is set aside.
        uncertainty: The tables ``{experiment}.csv``.
        predictions: Files ``{experiment}/r{repeat}f{fold}/{cohort}.npz`` of the labelled cohort and of those
            with unread hips, whose features are compared; of the first repeat alone. Without them there are
            no distances and no neighbours.
        hips: The tables ``{cohort}.csv``.
        differences: The table of differences, which tells whether the network beats a constant.
        out: The table to write.

    Raises:
        ConfigError: There is no such experiment.
        CohortError: A hip that could be read has no prediction.
    """
    table = choose_experiment(uncertainty, settings.experiment)
    tables = {path.stem: path for path in sorted(hips) if path.stem != "external"}
    labelled = read_labelled(tables.get("labelled"))
    files = [file for file in sort_predictions(predictions) if file.experiment == table.stem]
    candidates = gather(read_unread(list(tables.values())), measure_hips(table), files, labelled, table.stem)
    caveat = warn_of_order(describe_weakness(read_csv(differences), table.stem))
    write_csv(out, COLUMNS, list_hips(candidates, labelled, settings, caveat))


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


def gather(
    hips: Columns, measured: Measured, files: Sequence[PredictionFile], labelled: Labelled, experiment: str
) -> Candidates:
    """Gathers what is known of the unread hips, from the measures of all hips and the files of one repeat.

    Raises:
        CohortError: A hip that could be read has no prediction.
    """
    row_of = _find(hips, measured["hip_id"], experiment)
    spaces = read_features(files, hips["hip_id"], labelled)
    distance, neighbours = find_neighbours(spaces, hips["patient_id"], labelled)
    # An added last row, which -1 finds, stands for "no prediction".
    of_hips = {
        name: np.concatenate([values, np.zeros((1, *values.shape[1:]), values.dtype)])[row_of]
        for name, values in measured.items()
        if name != "hip_id"
    }
    measured = of_hips | {"distance": distance}
    between = UnreadDistances(spaces, len(row_of))
    return Candidates(experiment, hips, row_of >= 0, measured, neighbours, between)


def _find(hips: Columns, predicted: np.ndarray, experiment: str) -> np.ndarray:
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


def rank_hips(candidates: Candidates, measure: str) -> np.ndarray:
    """Row numbers (n,) by a measure alone, the most uncertain first.

    Equal ones are in order of their largest probability, then of their names.
    """
    value, largest = candidates.measured[measure], candidates.measured["max_probability"]
    return np.lexsort((candidates.hips["hip_id"], largest, value if measure == "max_probability" else -value))


def order_hips(
    candidates: Candidates, ranked: np.ndarray, unit: np.ndarray, settings: TriageSettings
) -> tuple[np.ndarray, int]:
    """The order in which hips are read: a batch of the budget's size, then the others by the measure.

    From (k,) row numbers of the hips to be read, by the measure alone, to (k,) and how many of them are the
    batch: its last unit is not cut. ``unit`` (n,) names patients or hips.
    """
    every = np.arange(len(ranked))
    batch = choose_batch(
        every,
        unit[ranked],
        settings.budget,
        diversity=settings.diversity,
        nearest=candidates.distances.to_labelled()[ranked],
        distances=lambda rows: candidates.distances(ranked[rows])[ranked],
    )
    rest = group_units(np.setdiff1d(every, batch), unit[ranked])
    return ranked[np.concatenate([batch, rest])], len(batch)


def list_hips(
    candidates: Candidates, labelled: Labelled, settings: TriageSettings, caveat: str
) -> Iterator[dict[str, object]]:
    """The rows of the ranked hips, each with the caveat on the order, then those of the hips set aside."""
    hips, measured = candidates.hips, candidates.measured
    value = np.where(candidates.predicted, measured[settings.measure], np.nan)
    why = explain_set_aside(hips, value, settings)
    ranked = rank_hips(candidates, settings.measure)
    ranked = ranked[why[ranked] == ""]
    unit = hips["patient_id"] if settings.unit == "patient" else hips["hip_id"]
    order, batch = order_hips(candidates, ranked, unit, settings)
    moves = explain_moves(ranked, order, unit, batch)
    probability, distance = measured["probability"][order], measured["distance"][order]
    reasons = give_reasons(probability, distance, moves)
    for rank, (row, reason) in enumerate(zip(order.tolist(), reasons, strict=True), start=1):
        cells = {"rank": rank, "in_budget": "yes" if rank <= batch else "", "why": reason, "caveat": caveat}
        yield _describe(candidates, row, labelled, settings.measure) | cells
    for row in np.lexsort((hips["hip_id"], ~candidates.predicted)).tolist():
        if why[row]:
            yield _describe(candidates, row, labelled, settings.measure) | {"set_aside": why[row]}


def _describe(candidates: Candidates, row: int, labelled: Labelled, measure: str) -> dict[str, object]:
    cells: dict[str, object] = {name: candidates.hips[name][row] for name in _COPIED}
    cells["measure"] = measure
    if not candidates.predicted[row]:
        return cells
    measured = {name: values[row] for name, values in candidates.measured.items()}
    near = candidates.neighbours[row]
    near = near[near >= 0]
    return {
        **cells,
        **{name: format_number(measured[name]) for name in _NUMBERS},
        "predicted": measured["predicted"],
        "uncertainty": format_number(measured[measure]),
        "n_models": measured["n_models"],
        "experiment": candidates.experiment,
        "neighbours": "; ".join(labelled.hip_id[near]),
        "neighbour_grades": "; ".join(labelled.grade[near]),
    }
