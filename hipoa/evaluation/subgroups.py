"""Scores of the hips of one sex, age band, scanner, side, with or without an implant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from hipoa.evaluation.bootstrap import interval_95
from hipoa.evaluation.columns import as_numbers, format_number, read_columns
from hipoa.evaluation.graded import Graded
from hipoa.evaluation.scoring import CLASSES, Row, name_cells
from hipoa.evaluation.settings import BootstrapSettings

COLUMNS = (
    *("experiment", "cohort", "column", "subgroup", "metric", "value", "unit", "low", "high"),
    *("n_hips", "n_patients", "note"),
)
SCORED = ("ECA", "ONCA", "quadratic weighted kappa", "MAE")
GROUPED_BY = ("sex", "age", "scanner", "side", "implant")

_NOT_STATED = "not stated"
_NOTE = "the interval is of one subgroup; many are looked at, so that some differ by chance"


def read_subgroups(hips: Sequence[Path], age_bounds_years: Sequence[int]) -> dict[str, dict[str, str]]:
    """The subgroup of every hip in each grouping.

    Args:
        hips: The tables ``R/hips/{cohort}.csv``.
        age_bounds_years: At which a new band begins, rising.

    Returns:
        Column to (hip to subgroup).
    """
    found: dict[str, dict[str, str]] = {column: {} for column in GROUPED_BY}
    for path in hips:
        table = read_columns(path, ("hip_id", *GROUPED_BY))
        names = table["hip_id"].tolist()
        table["age"] = name_bands(as_numbers(table["age"]), age_bounds_years)
        table["implant"] = np.where(table["implant"] == "", "no", table["implant"])
        for column in GROUPED_BY:
            stated = np.where(table[column] == "", _NOT_STATED, table[column])
            found[column] |= zip(names, stated.tolist(), strict=True)
    return found


def name_bands(age_years: np.ndarray, bounds_years: Sequence[int]) -> np.ndarray:
    """The band of each age (n,), such as "50-64"; empty where the age is NaN."""
    edges = [0, *bounds_years]
    names = [f"{low}-{high - 1}" for low, high in pairwise(edges)]
    bands = np.array([*names, f"{edges[-1]} and over"])
    chosen = bands[np.searchsorted(bounds_years, np.nan_to_num(age_years), side="right")]
    return np.where(np.isnan(age_years), "", chosen)


def score_subgroups(
    table: Graded, cohort: str, groups: dict[str, dict[str, str]], bootstrap: BootstrapSettings
) -> Iterator[Row]:
    """One row for each score of each subgroup; no rows of a column in which all hips are alike.

    Args:
        table: One experiment's graded hips of one cohort.
        cohort: The cohort's name.
        groups: From `read_subgroups`.
        bootstrap: The resampling.
    """
    for column, of_hip in groups.items():
        subgroup = np.array([of_hip.get(name, _NOT_STATED) for name in table.hip.tolist()], dtype=str)
        names = np.unique(subgroup).tolist()
        for name in names if len(names) > 1 else []:
            for row in _score_one(table.where(subgroup == name), cohort, bootstrap):
                yield {**row, "column": column, "subgroup": name}


def _score_one(table: Graded, cohort: str, bootstrap: BootstrapSettings) -> Iterator[Row]:
    family = CLASSES.pick(SCORED)
    values, drawn = family.score(table, table.repeat), family.resample(table, bootstrap)
    for metric, (_, unit) in family.scores.items():
        low, high = interval_95(drawn.get(metric, np.zeros(0))) or (np.nan, np.nan)
        yield {
            **name_cells(table, cohort, metric, unit),
            "value": format_number(values[metric].mean()),
            "low": format_number(low),
            "high": format_number(high),
            "note": _NOTE,
        }
