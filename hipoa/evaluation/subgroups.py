"""Scores of the hips of one sex, age band, scanner, side, with or without an implant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from hipoa.evaluation.columns import as_numbers, read_columns
from hipoa.evaluation.graded import Graded
from hipoa.evaluation.scoring import CLASSES, Row, interval_rows
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
            inside = table.where(subgroup == name)
            for row in interval_rows(inside, cohort, CLASSES.pick(SCORED), _NOTE, bootstrap):
                yield {**row, "column": column, "subgroup": name}
