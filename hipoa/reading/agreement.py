"""How well readers agree, with each other and each with herself: kappa with its interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np

from hipoa.evaluation.graded import number_cells
from hipoa.evaluation.metrics.scores import (
    count_confusions,
    exact_accuracy,
    quadratic_weighted_kappa,
    unweighted_kappa,
)
from hipoa.evaluation.statistics.bootstrap import interval_95, resample_patients
from hipoa.grading.settings import ClassTable
from hipoa.reading.reading_index import Ledger
from hipoa.reading.record import Record

SCORES = {
    "kappa": unweighted_kappa,
    "quadratic weighted kappa": quadratic_weighted_kappa,
    "agreement": exact_accuracy,
}
"""What is said of two lists of grades."""

COLUMNS = ("question", "a", "b", "index", "score", "value", "low", "high", "n_hips", "n_patients")

_RESAMPLES = 1000
_SEED = 0
_LEAST_HIPS = 2
# Of fewer patients, resampling says nothing that a reader should believe.
_LEAST_PATIENTS = 10
# Grades are counted from 1 in a table of seven; rows without a hip change no kappa.
_FIRST = {"Crowe": 0, "KL": 1, "class": 0}

Pairs = Mapping[str, tuple[Record, Record]]


def measure_agreement(
    ledger: Ledger, patients: Mapping[str, str], classes: ClassTable, with_reader: str = ""
) -> list[dict[str, Any]]:
    """Every pair of readers, and every reader with herself where hips came again.

    Args:
        ledger: The readings.
        patients: Hip to patient; a patient's hips are drawn together.
        classes: What the combined classes are; pairs off the table count for Crowe and KL alone.
        with_reader: Only what concerns this reader; everyone if empty.

    Returns:
        Rows of COLUMNS; question is inter-reader or intra-reader, value is None where it is not defined,
        low and high where there are fewer than 10 patients.
    """
    rows: list[dict[str, Any]] = []
    for question, a, b, pairs in _pair(ledger):
        if with_reader in ("", a, b):
            for index, values in _grade(pairs, classes).items():
                told = {"question": question, "a": a, "b": b, "index": index}
                rows += [{**told, **score} for score in _score(values, patients, _FIRST[index])]
    return rows


def _pair(ledger: Ledger) -> Iterator[tuple[str, str, str, Pairs]]:
    for a, b in combinations(ledger.readers, 2):
        one, other = ledger.standing(a), ledger.standing(b)
        yield "inter-reader", a, b, {hip: (one[hip], other[hip]) for hip in one.keys() & other.keys()}
    for reader in ledger.readers:
        one, other = ledger.standing(reader), ledger.repeats(reader)
        yield (
            "intra-reader",
            reader,
            reader,
            {hip: (one[hip], other[hip]) for hip in one.keys() & other.keys()},
        )


def _grade(pairs: Pairs, classes: ClassTable) -> dict[str, dict[str, tuple[int, int]]]:
    """Index to hip to both grades, hips left out that a reader could not grade."""
    found: dict[str, dict[str, tuple[int, int]]] = {"Crowe": {}, "KL": {}, "class": {}}
    for hip, (one, other) in sorted(pairs.items()):
        if one.crowe is None or one.kl is None or other.crowe is None or other.kl is None:
            continue
        found["Crowe"][hip] = one.crowe, other.crowe
        found["KL"][hip] = one.kl, other.kl
        of_class = [
            _class_of(crowe, kl, classes) for crowe, kl in ((one.crowe, one.kl), (other.crowe, other.kl))
        ]
        if all(of_class):
            found["class"][hip] = of_class[0], of_class[1]
    return found


def _class_of(crowe: int, kl: int, classes: ClassTable) -> int:
    pair = (crowe, 1 if kl == 0 and classes.kl0_as_kl1 else kl)
    return classes.class_table.index(pair) + 1 if pair in classes.class_table else 0


def _score(
    values: Mapping[str, tuple[int, int]], patients: Mapping[str, str], first: int
) -> Iterator[dict[str, Any]]:
    if len(values) < _LEAST_HIPS:
        return
    one, other = np.array(list(values.values())).T + first
    patient = np.array([patients.get(hip, hip) for hip in values])
    cell, n_patients = number_cells(patient)
    confusion = count_confusions(cell, n_patients, one, other)
    drawn = resample_patients(confusion[:, None], SCORES, _RESAMPLES, _SEED)
    for name, score in SCORES.items():
        value = float(score(confusion.sum(axis=0)))
        low, high = (n_patients >= _LEAST_PATIENTS and interval_95(drawn[name])) or (None, None)
        yield {
            "score": name,
            "value": None if np.isnan(value) else value,
            "low": low,
            "high": high,
            "n_hips": len(values),
            "n_patients": n_patients,
        }
