"""How the CTs were acquired and of whom, as far as their headers or the table of cases tell."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hipoa.core.tables.words import read_sex
from hipoa.evaluation.metrics.subgroups import parse_years
from hipoa.report.cohort import Hip, split_cohorts

_OLDEST_YEARS = 90


class Acquisition(NamedTuple):
    """The CTs of one cohort that have a radiograph; every entry is words for a cell of a table.

    Attributes:
        cohort: Its name.
        cts: Their number.
        makers: CTs by maker of the scanner.
        models: CTs by model.
        kv: CTs by tube voltage.
        kernels: CTs by kind of kernel.
        step_mm: From slice to slice, least, median and largest.
        unknown: CTs whose files tell neither maker nor voltage nor kernel.
    """

    cohort: str
    cts: str
    makers: str
    models: str
    kv: str
    kernels: str
    step_mm: str
    unknown: str


HEADINGS = Acquisition(
    *("cohort", "CTs", "maker of the scanner", "model", "tube voltage", "kernel"),
    *("slice step, least, median and largest, mm", "not known"),
)


def tabulate_acquisition(hips: Sequence[Hip]) -> list[Acquisition]:
    """One row per cohort."""
    return [_summarise(cohort, _pick_cts(own)) for cohort, own in split_cohorts(hips).items()]


def count_unknown(hips: Sequence[Hip]) -> tuple[int, int]:
    """CTs of which it is not known how they were acquired, and all that have a radiograph."""
    cts = _pick_cts(hips)
    return sum(not _is_known(ct) for ct in cts), len(cts)


def describe_acquisition(hips: Sequence[Hip]) -> str:
    """How the CTs were acquired, in sentences; empty where no header tells."""
    unknown, total = count_unknown(hips)
    if unknown == total:
        return ""
    one = _summarise("all", _pick_cts(hips))
    parts = {
        "Scanners": one.makers,
        "models": one.models,
        "tube voltage": one.kv,
        "kernels": one.kernels,
        "mm from slice to slice (least / median / largest)": one.step_mm,
    }
    known = "; ".join(f"{name}: {cell}" for name, cell in parts.items() if cell)
    rest = f" This is not known for {unknown} of {total} CTs." if unknown else ""
    return f"{known} (CTs in brackets).{rest}"


def describe_people(hips: Iterable[Hip]) -> str:
    """Sex and age of the patients, in a sentence; empty where neither is known."""
    people: dict[str, Hip] = {}
    for hip in hips:
        if hip.sex or hip.age:
            people.setdefault(hip.patient_id, hip)
    sexes = Counter(read_sex(hip.sex) for hip in people.values())
    ages = sorted(age for hip in people.values() if (age := parse_years(hip.age)) is not None)
    said = [f"{sexes[sex]} {words}" for sex, words in (("F", "female"), ("M", "male")) if sexes[sex]]
    if ages:
        median = _name_years(statistics.median(ages))
        ends = " to ".join(dict.fromkeys(map(_name_years, (ages[0], ages[-1]))))
        said.append(f"age {ends} years (median {median}, n = {len(ages)})")
    return ", ".join(said)


def _name_years(age: float) -> str:
    return f"{age:g}" if age < _OLDEST_YEARS else f"{_OLDEST_YEARS}+"


def _pick_cts(hips: Iterable[Hip]) -> list[Hip]:
    """One hip of each CT that has a radiograph."""
    cts: dict[str, Hip] = {}
    for hip in hips:
        if hip.status == "ok":
            cts.setdefault(hip.case_id, hip)
    return [*cts.values()]


def _is_known(ct: Hip) -> bool:
    return bool(ct.manufacturer or ct.kernel_kind or ct.kv)


def _summarise(cohort: str, cts: Sequence[Hip]) -> Acquisition:
    steps = sorted(float(ct.step_mm) for ct in cts if ct.step_mm)
    ends = (steps[0], statistics.median(steps), steps[-1]) if steps else ()
    return Acquisition(
        cohort,
        f"{len(cts)}",
        _count(ct.manufacturer for ct in cts),
        _count(ct.model for ct in cts),
        _count(f"{ct.kv} kV" if ct.kv else "" for ct in cts),
        _count(ct.kernel_kind for ct in cts),
        " / ".join(f"{step:.3g}" for step in ends),
        f"{sum(not _is_known(ct) for ct in cts)}",
    )


def _count(names: Iterable[str]) -> str:
    """Such as "Siemens (12), GE (3)"; the most frequent first."""
    counts = Counter(filter(None, names))
    return ", ".join(
        f"{name} ({count})" for name, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    )
