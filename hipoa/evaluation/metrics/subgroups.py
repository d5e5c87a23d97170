"""Scores by subgroup: sex, age band, side, implant, scanner and protocol."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from hipoa.core.columns import as_numbers, read_columns
from hipoa.core.tables.words import read_sex
from hipoa.evaluation.graded import Graded, number_cells
from hipoa.evaluation.metrics.estimates import CLASSES, interval_rows
from hipoa.evaluation.statistics.intervals import Row

COLUMNS = (
    *("experiment", "cohort", "column", "subgroup", "metric", "value", "unit", "low", "high"),
    *("n_hips", "n_patients", "note"),
)
SCORED = ("ECA", "ONCA", "quadratic weighted kappa", "MAE")
GROUPED_BY = ("sex", "age", "scanner", "side", "implant", "manufacturer", "kernel_kind", "kv", "step_mm")
# Scanners and protocols can be many: those of few patients are merged.
_MERGED = ("scanner", "manufacturer", "kernel_kind", "kv", "step_mm")
LEAST_PATIENTS = 5
# Thin slices as for surgical planning, usual and thick ones; mm from slice to slice.
_STEP_MM = (1.0, 2.5)

_NOT_STATED = "not stated"
_FEW = f"others, each of fewer than {LEAST_PATIENTS} patients"
_NOTE = "many subgroups are looked at, so that some differ by chance"


def read_subgroups(hips: Sequence[Path], age_bounds_years: Sequence[int]) -> dict[str, dict[str, str]]:
    """The subgroup of every hip, as column of ``R/hips/{cohort}.csv`` to (hip to subgroup).

    A new age band begins at each of ``age_bounds_years``, rising.
    """
    found: dict[str, dict[str, str]] = {column: {} for column in GROUPED_BY}
    for path in hips:
        table = read_columns(path, ("hip_id", *GROUPED_BY))
        names = table["hip_id"].tolist()
        table["sex"] = np.array([read_sex(text) or text for text in table["sex"].tolist()], dtype=str)
        years = [parse_years(text) for text in table["age"].tolist()]
        table["age"] = _name_ages(np.array(years, dtype=float), age_bounds_years)
        table["implant"] = np.where(table["implant"] == "", "no", table["implant"])
        table["kv"] = np.array([f"{kv} kV" if kv else "" for kv in table["kv"].tolist()], dtype=str)
        table["step_mm"] = _name_steps(as_numbers(table["step_mm"]))
        for column in GROUPED_BY:
            stated = np.where(table[column] == "", _NOT_STATED, table[column])
            found[column] |= zip(names, stated.tolist(), strict=True)
    return found


def parse_years(text: str) -> float | None:
    """An age in years, None where a text such as that of a table of cases states none."""
    found = re.match(r"\s*([0-9]{1,3}(?:\.[0-9]+)?)\s*(\+|[Yy].*)?$", text)
    return float(found[1]) if found else None


def _name_steps(step_mm: np.ndarray) -> np.ndarray:
    thin, usual = _STEP_MM
    names = [f"up to {thin:g} mm", f"over {thin:g} to {usual:g} mm", f"over {usual:g} mm"]
    return _bin(step_mm, _STEP_MM, names, "left")


def _name_ages(years: np.ndarray, bounds_years: Sequence[int]) -> np.ndarray:
    edges = [0, *bounds_years]
    names = [f"{low}-{high - 1}" for low, high in pairwise(edges)]
    return _bin(years, bounds_years, [*names, f"{edges[-1]} and over"], "right")


def _bin(
    values: np.ndarray, bounds: Sequence[float], names: Sequence[str], side: Literal["left", "right"]
) -> np.ndarray:
    """The name of the bin of each value (n,), empty where it is NaN."""
    chosen = np.array(names)[np.searchsorted(bounds, np.nan_to_num(values), side=side)]
    return np.where(np.isnan(values), "", chosen)


def score_subgroups(table: Graded, groups: Mapping[str, Mapping[str, str]]) -> Iterator[Row]:
    """A row for each score of each subgroup of one experiment and cohort.

    ``groups`` is column to (hip to subgroup); a column in which all hips are alike has no rows.
    """
    for column, of_hip in groups.items():
        subgroup = np.array([of_hip.get(name, _NOT_STATED) for name in table.hip.tolist()], dtype=str)
        if column in _MERGED:
            subgroup = merge_few(subgroup, table.patient)
        names = np.unique(subgroup).tolist()
        for name in names if len(names) > 1 else []:
            inside = table.where(subgroup == name)
            for row in interval_rows(inside, CLASSES.pick(SCORED), _NOTE):
                yield {**row, "column": column, "subgroup": name}


def merge_few(subgroup: np.ndarray, patient: np.ndarray) -> np.ndarray:
    """The subgroup of each row (n,), those of few patients (n,) merged; "not stated" stays separate."""
    names, of_row = np.unique(subgroup, return_inverse=True)
    pairs = np.unique(np.column_stack([of_row, number_cells(patient)[0]]), axis=0)
    few = names[(np.bincount(pairs[:, 0], minlength=len(names)) < LEAST_PATIENTS) & (names != _NOT_STATED)]
    return np.where(np.isin(subgroup, few), _FEW, subgroup)
