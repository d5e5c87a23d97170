"""Scores by subgroup (sex, age band, side, implant, scanner and protocol), and how subgroups differ."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from hipoa.core.columns import as_numbers, format_number, read_columns
from hipoa.core.tables.words import read_sex
from hipoa.evaluation.graded import Graded, number_cells
from hipoa.evaluation.metrics.estimates import (
    CLASSES,
    ScoreSet,
    interval_rows,
    name_cells,
    tally_classes,
)
from hipoa.evaluation.metrics.scores import SCORES, Score
from hipoa.evaluation.statistics.holm import adjust_rows
from hipoa.evaluation.statistics.intervals import Estimate, Row

COLUMNS = (
    *("experiment", "cohort", "column", "subgroup", "metric", "value", "unit", "low", "high"),
    *("n_hips", "n_patients", "reference", "difference", "difference_low", "difference_high", "p", "p_holm"),
    "note",
)
SCORED = ("ECA", "ONCA", "quadratic weighted kappa", "MAE")
COMPARED = ("ECA", "ONCA", "MAE")
"""Scores of which a subgroup is compared with the reference, the primary one first."""
GROUPED_BY = ("sex", "age", "scanner", "side", "implant", "manufacturer", "kernel_kind", "kv", "step_mm")
# Scanners and protocols can be many: those of few patients are merged.
_MERGED = ("scanner", "manufacturer", "kernel_kind", "kv", "step_mm")
LEAST_PATIENTS = 10
"""A subgroup of fewer patients is neither scored nor compared: its interval would tell next to nothing."""
LEAST_SHOWN = 5
"""A subgroup of fewer patients is neither named nor counted: it could identify them."""
HIDDEN = "hidden"
"""Stands in the column ``subgroup`` in place of its name."""
# Thin slices as for surgical planning, usual and thick ones; mm from slice to slice.
_STEP_MM = (1.0, 2.5)

_NOT_STATED = "not stated"
_FEW = f"others, each of fewer than {LEAST_PATIENTS} patients"
_TOO_FEW = f"too few patients: fewer than {LEAST_PATIENTS}"
_UNNAMED = f"too few patients to be named: fewer than {LEAST_SHOWN}"
_NOTE = "the interval is of one subgroup"
_ALIKE = "no interval of the difference: patients score alike"
_NOT_ADJUSTED = "subgroups may differ in their classes too"


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


def score_subgroups(table: Graded, groups: Mapping[str, Mapping[str, str]]) -> list[Row]:
    """The rows of the subgroups of one experiment and cohort: their scores and differences.

    Each subgroup is compared with the largest one of its column, by patients: with the rest of the column the
    two halves of a column would be compared twice, and each scanner with a mixture. The p values of a score
    are adjusted by Holm over all subgroups of all columns. ``groups`` is column to (hip to subgroup); a
    column in which all hips are alike has no rows, a subgroup of too few patients has one with its counts, or
    one that does not even name it.
    """
    rows = [row for column, of_hip in groups.items() for row in _score_column(table, column, of_hip)]
    for metric in COMPARED:
        tested = adjust_rows([row for row in rows if row["metric"] == metric])
        for row, _ in tested:
            row["note"] = f"{row['note']}; p adjusted by Holm, tests: {len(tested)}; {_NOT_ADJUSTED}"
    return rows


def _score_column(table: Graded, column: str, of_hip: Mapping[str, str]) -> Iterator[Row]:
    subgroup = np.array([of_hip.get(name, _NOT_STATED) for name in table.hip.tolist()], dtype=str)
    if column in _MERGED:
        subgroup = merge_few(subgroup, table.patient)
    names = np.unique(subgroup).tolist()
    n_patients = {name: len(np.unique(table.patient[subgroup == name])) for name in names}
    enough = [name for name in names if n_patients[name] >= LEAST_PATIENTS]
    stated = [name for name in enough if name not in (_NOT_STATED, _FEW)]
    reference = max(stated, key=n_patients.__getitem__, default="")
    for name in names if len(names) > 1 else ():
        inside = table.where(subgroup == name)
        keys = {"column": column, "subgroup": name}
        if name not in enough:
            yield _count_few(inside, column, name, n_patients[name])
            continue
        compared = reference and name not in (reference, _NOT_STATED)
        other = subgroup == reference
        differences = compare_subgroups(table, subgroup == name, other) if compared else {}
        for row in interval_rows(inside, CLASSES.pick(SCORED), _NOTE):
            difference = differences.get(str(row["metric"]), {})
            known = {"reference": reference, **difference} if difference else {}
            yield {**row, **keys, **known}


def _count_few(inside: Graded, column: str, name: str, n_patients: int) -> Row:
    """The row of a subgroup of too few patients: its counts, or not even its name."""
    counted: Row = {**name_cells(inside, "", ""), "column": column, "subgroup": name, "note": _TOO_FEW}
    hidden: Row = {"subgroup": HIDDEN, "n_hips": "", "n_patients": "", "note": _UNNAMED}
    return counted if n_patients >= LEAST_SHOWN else counted | hidden


def compare_subgroups(table: Graded, inside: np.ndarray, other: np.ndarray) -> dict[str, Row]:
    """The scores of some hips minus those of others, (n,) bool rows of one experiment and cohort.

    The two sides of a patient, or two CTs at different ages, may be in both: a patient is deleted from both
    at once, so that independent and paired patients are treated alike.

    Returns:
        Score to the cells of its difference: 95 % interval and p, NaN where all patients of a side score
        alike. The degrees of freedom are those of the smaller side alone, as of Welch's test at the least:
        with those of all patients, intervals of ten patients against many would be too narrow.
    """
    both = inside | other
    table, inside = table.where(both), inside[both]
    freedom = min(len(np.unique(table.patient[side])) for side in (inside, ~inside)) - 1

    def tally(part: Graded, cell: np.ndarray, n_cells: int) -> np.ndarray:
        sums = tally_classes(part, cell * 2 + ~inside, n_cells * 2)
        return sums.reshape(n_cells, 2, *sums.shape[1:])

    inner, outer = (
        ScoreSet(
            tally, {name: (_pick(side, SCORES[name][0]), SCORES[name][1]) for name in COMPARED}
        ).estimate(table)
        for side in (0, 1)
    )
    return {metric: _subtract(inner[metric], outer[metric], freedom) for metric in COMPARED}


def _pick(side: int, score: Score) -> Score:
    """The score of one of the two matrices in (..., 2, 7, 7) counts."""
    return lambda sums: score(sums[..., side, :, :])


def _subtract(one: Estimate, other: Estimate, freedom: int) -> Row:
    difference = replace(one.minus(other), freedom=freedom)
    row: Row = {"difference": format_number(difference.value)}
    # Where one side does not vary the error is that of the other alone, and far too small.
    if one.all_alike or other.all_alike:
        return {**row, "p": float("nan"), "note": f"{_NOTE}; {_ALIKE}"}
    low, high, _ = difference.interval()
    ends = {"difference_low": format_number(low), "difference_high": format_number(high)}
    return row | ends | {"p": difference.p_value()}


def merge_few(subgroup: np.ndarray, patient: np.ndarray) -> np.ndarray:
    """The subgroup of each row (n,), those of few patients (n,) merged; "not stated" stays separate."""
    names, of_row = np.unique(subgroup, return_inverse=True)
    pairs = np.unique(np.column_stack([of_row, number_cells(patient)[0]]), axis=0)
    few = names[(np.bincount(pairs[:, 0], minlength=len(names)) < LEAST_PATIENTS) & (names != _NOT_STATED)]
    return np.where(np.isin(subgroup, few), _FEW, subgroup)
