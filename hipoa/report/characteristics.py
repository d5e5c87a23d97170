"""Characteristics of patients, CTs and hips by cohort: the first table of a paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import NamedTuple, TypeVar

import numpy as np

from hipoa.core.constants import ROMAN, SIDE_NAMES
from hipoa.core.tables.words import read_sex
from hipoa.evaluation.metrics.subgroups import parse_years
from hipoa.evaluation.predictions import N_GRADES
from hipoa.report.cohort import Hip

_OLDEST_YEARS = 90
_MOST_LEVELS = 8
NOT_STATED = "not stated"
_NOT_GRADED = "not graded"
_CROWE = {f"{grade}": numeral for grade, numeral in ROMAN.items()}
_KL = {f"{grade}": f"{grade}" for grade in range(5)}
IMPLANTS = {"": "none", "fixation": "nails, screws or plates", "replacement": "replacement of the joint"}
_PLAIN = "{:.3g}".format
SEXES = {"F": "female", "M": "male"}

Unit = TypeVar("Unit")
"""A patient, CT or hip."""


class Person(NamedTuple):
    """What the tables say of one patient."""

    sex: str  # F, M, or empty: not stated
    years: float | None  # age at the first of the CTs; None: not stated


class Characteristic(NamedTuple):
    """One characteristic, with a cell for each cohort in each of its rows."""

    name: str  # with what is counted, such as "sex, patients"
    rows: list[tuple[str, list[str]]]  # label and cells


def list_people(hips: Iterable[Hip]) -> dict[str, Person]:
    """The patients by name; of several hips and CTs the first sex that is stated, and the youngest age."""
    people: dict[str, Person] = {}
    for hip in hips:
        sex, years = people.get(hip.patient_id, Person("", None))
        ages = [age for age in (years, parse_years(hip.age)) if age is not None]
        people[hip.patient_id] = Person(sex or read_sex(hip.sex) or "", min(ages, default=None))
    return people


def write_years(age: float) -> str:
    """An age in years, or "90+": the oldest are so few that an age may identify a person."""
    return f"{age:g}" if age < _OLDEST_YEARS else f"{_OLDEST_YEARS}+"


def tabulate_characteristics(
    cohorts: Mapping[str, Sequence[Hip]], classes: Mapping[int, str]
) -> list[Characteristic]:
    """Counts with percentages, and medians with quartiles and range, of the hips with a radiograph.

    Args:
        cohorts: The hips of each cohort.
        classes: Class to what it means.
    """
    hips = [[hip for hip in own if hip.status == "ok"] for own in cohorts.values()]
    people = [[*list_people(own).values()] for own in hips]
    cts = [[*{hip.case_id: hip for hip in own}.values()] for own in hips]
    units = {"patients": people, "CTs": cts, "hips": hips}
    numbers = [(name, [f"{len(own)}" for own in of_cohorts]) for name, of_cohorts in units.items()]
    found = [
        Characteristic("number of", numbers),
        _count("sex, patients", people, lambda person: person.sex, SEXES),
        _summarise("age, years", people, lambda person: person.years, write_years),
        _count("side, hips", hips, lambda hip: hip.side, SIDE_NAMES),
        _count("class, hips", hips, lambda hip: hip.grade, _name_classes(classes), _NOT_GRADED),
        _count("Crowe, hips", hips, lambda hip: _round_index(hip.crowe), _CROWE, _NOT_GRADED),
        _count("KL, hips", hips, lambda hip: _round_index(hip.kl), _KL, _NOT_GRADED),
        _count("implant, hips", hips, lambda hip: hip.implant, IMPLANTS),
        *(
            _count(f"{column}, CTs", cts, attrgetter(column), _name_levels(cts, column))
            for column in ("scanner", "manufacturer")
        ),
        _summarise("slice spacing, mm", cts, lambda ct: float(ct.step_mm) if ct.step_mm else None, _PLAIN),
    ]
    return [characteristic for characteristic in found if characteristic.rows]


def _round_index(cell: str) -> str:
    """A grade of Crowe or KL as a whole number, empty where it was not read."""
    return f"{round(float(cell))}" if cell else ""


def _name_classes(classes: Mapping[int, str]) -> dict[str, str]:
    known = {f"{grade}": f"{grade}" for grade in range(1, N_GRADES + 1)}
    return known | {f"{grade}": f"{grade} ({meaning})" for grade, meaning in classes.items()}


def count_texts(hips: Iterable[Hip], column: str) -> dict[str, int]:
    """The texts of a column and how many hips have each, the most frequent first."""
    counts = Counter(text for hip in hips if (text := getattr(hip, column)))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _name_levels(cts: Iterable[Iterable[Hip]], column: str) -> dict[str, str]:
    """The texts of a column, all beyond the eighth as one."""
    ordered = count_texts(chain.from_iterable(cts), column)
    return {text: text if place < _MOST_LEVELS else "others" for place, text in enumerate(ordered)}


def _count(
    name: str,
    cohorts: Sequence[Sequence[Unit]],
    read: Callable[[Unit], str],
    levels: Mapping[str, str],
    missing: str = NOT_STATED,
) -> Characteristic:
    """A row for each level that any cohort has, with its number and percentage; none where none is stated."""
    counts = [Counter(levels.get(read(unit), missing) for unit in units) for units in cohorts]
    found = {label for of_cohort in counts for label in of_cohort}
    labels = [label for label in (*dict.fromkeys(levels.values()), missing) if label in found]
    if found <= {missing}:
        labels = []
    return Characteristic(name, [(label, [_write_count(own, label) for own in counts]) for label in labels])


def _write_count(counts: Counter[str], label: str) -> str:
    total = counts.total()
    return f"{counts[label]} ({100 * counts[label] / total:.0f} %)" if total else "0"


def _summarise(
    name: str,
    cohorts: Sequence[Sequence[Unit]],
    read: Callable[[Unit], float | None],
    write: Callable[[float], str],
) -> Characteristic:
    """Median, quartiles and range of each cohort; no row where no unit states a value."""
    values = [[value for unit in units if (value := read(unit)) is not None] for units in cohorts]
    missing = [len(units) - len(own) for units, own in zip(cohorts, values, strict=True)]
    rows = [
        (
            "median (quartiles)",
            [_write_quantiles(own, "{} ({} to {})", (50, 25, 75), write) for own in values],
        ),
        ("range", [_write_quantiles(own, "{} to {}", (0, 100), write) for own in values]),
        (NOT_STATED, [f"{count}" for count in missing]),
    ]
    return Characteristic(name, rows[: 3 if any(missing) else 2] if any(values) else [])


def _write_quantiles(
    values: Sequence[float], form: str, percent: Sequence[float], write: Callable[[float], str]
) -> str:
    if not values:
        return "\N{EN DASH}"
    return form.format(*(write(round(float(value), 1)) for value in np.percentile(values, percent)))
