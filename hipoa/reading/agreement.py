"""Inter- and intra-reader agreement: kappa with its interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np

from hipoa.evaluation.graded import grades_only
from hipoa.evaluation.metrics.estimates import ScoreSet, tally_classes
from hipoa.evaluation.metrics.scores import exact_accuracy, quadratic_weighted_kappa, unweighted_kappa
from hipoa.grading.data.labels import combine
from hipoa.grading.settings import HipsSettings
from hipoa.reading.records import ReadingIndex, Record

_SCORES = ScoreSet(
    tally_classes,
    {
        "kappa": (unweighted_kappa, "kappa"),
        "quadratic weighted kappa": (quadratic_weighted_kappa, "kappa"),
        "agreement": (exact_accuracy, "share"),
    },
)
COLUMNS = ("question", "a", "b", "index", "score", "value", "low", "high", "n_hips", "n_patients")

_MIN_HIPS = 2

Pairs = Mapping[str, tuple[Record, Record]]


def measure_agreement(
    index: ReadingIndex, patients: Mapping[str, str], classes: HipsSettings, with_reader: str = ""
) -> list[dict[str, Any]]:
    """Agreement of every pair of readers, and of every reader's first and second readings.

    Args:
        index: The readings.
        patients: Hip to patient; a patient's hips count together.
        classes: What the combined classes are; pairs off the table count for Crowe and KL alone.
        with_reader: Only what concerns this reader; everyone if empty.

    Returns:
        Rows of COLUMNS; question is inter-reader or intra-reader, value is None where it is not defined,
        low and high where there are fewer than 6 patients.
    """
    return [
        {"question": question, "a": a, "b": b, "index": name, **score}
        for question, a, b, pairs in _pair_readings(index)
        if with_reader in ("", a, b)
        for name, grades in _grade(pairs, classes).items()
        for score in _score(grades, patients)
    ]


def _pair_readings(index: ReadingIndex) -> Iterator[tuple[str, str, str, Pairs]]:
    for a, b in combinations(index.readers, 2):
        yield "inter-reader", a, b, _match(index.current(a), index.current(b))
    for reader in index.readers:
        yield "intra-reader", reader, reader, _match(index.current(reader), index.repeats(reader))


def _match(one: Mapping[str, Record], other: Mapping[str, Record]) -> Pairs:
    return {hip: (one[hip], other[hip]) for hip in sorted(one.keys() & other.keys())}


def _grade(pairs: Pairs, classes: HipsSettings) -> dict[str, dict[str, tuple[int, int]]]:
    """Index to hip to both grades, without hips that one of both could not grade."""
    found: dict[str, dict[str, tuple[int, int]]] = {"Crowe": {}, "KL": {}, "class": {}}
    for hip, (one, other) in pairs.items():
        if one.crowe is None or one.kl is None or other.crowe is None or other.kl is None:
            continue
        found["Crowe"][hip] = one.crowe, other.crowe
        # Grades are counted from 1; classes without a hip do not change a kappa.
        found["KL"][hip] = one.kl + 1, other.kl + 1
        a, b = combine(one.crowe, one.kl, classes), combine(other.crowe, other.kl, classes)
        if a and b:
            found["class"][hip] = a, b
    return found


def _score(grades: Mapping[str, tuple[int, int]], patients: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    if len(grades) < _MIN_HIPS:
        return
    one, other = np.array(list(grades.values())).T
    patient = np.array([patients.get(hip, hip) for hip in grades])
    table = grades_only("", hip=np.array(list(grades)), patient=patient, grade=one, predicted=other)
    for name, estimate in _SCORES.estimate(table).items():
        numbers = {"value": estimate.value, **estimate.interval()._asdict()}
        cells = {key: numbers[key] if np.isfinite(numbers[key]) else None for key in ("value", "low", "high")}
        yield {"score": name, **cells, **table.counts()}
