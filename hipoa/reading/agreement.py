"""Agreement between readers, within readers, and of networks with readers; the ceiling that it implies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from hipoa.core.columns import read_columns
from hipoa.core.files import write_csv
from hipoa.core.identifiers import normalise
from hipoa.core.tables.rows import CONSENSUS, Reading, hip_id
from hipoa.core.tables.study_tables import read_grades
from hipoa.evaluation.graded import Graded, read_graded, split_cohorts
from hipoa.evaluation.metrics.against_readers import (
    compare_with_readers,
    score_against_label,
    score_against_reader,
)
from hipoa.evaluation.metrics.ceiling import imply_ceiling
from hipoa.evaluation.metrics.estimates import interval_rows
from hipoa.evaluation.metrics.raters import (
    AGREEMENT,
    CEILING,
    DIFFERENCE,
    INTER,
    INTRA,
    NETWORK,
    Pair,
    tabulate_pairs,
)
from hipoa.evaluation.statistics.intervals import Row
from hipoa.grading.data.labels import combine
from hipoa.grading.settings import HipsSettings
from hipoa.reading.log import read_log
from hipoa.reading.records import ReadingIndex

COLUMNS = (
    *("question", "cohort", "a", "b", "hips", "index", "metric", "value", "unit", "low", "high"),
    *("n_hips", "n_patients", "note"),
)
LABEL, OTHERS, ONE = "label", "other readers", "one reader"
"""Stand in the column ``b``."""

_MIN_HIPS = 2

Readings = Mapping[str, Mapping[str, Sequence[tuple[int, int]]]]
"""Reader to hip to the (Crowe, KL) that the reader gave it, the first ones first."""
Hips = Mapping[str, tuple[str, str]]
"""Hip to its cohort and patient."""
_Grades = Mapping[str, Mapping[str, Sequence[int | None]]]
"""The same of one index, counted from 1; None for a pair off the class table."""


def run(
    classes: HipsSettings,
    *,
    uncertainty: list[Path],
    hips: list[Path],
    grades: list[Path],
    log: Path,
    out: Path,
) -> None:
    """Tabulates the agreement of readers and networks.

    Readers are numbered in the order of their names, which are in no row.

    Args:
        classes: What the combined classes are.
        uncertainty: The tables ``{experiment}.csv``.
        hips: The tables ``{cohort}.csv``.
        grades: The tables of readings.
        log: The log of readings; there may be none.
        out: The table to write.

    Raises:
        TableError: A table of readings is at fault.
        ReadingError: A line of the log cannot be read.
    """
    rows = [reading for path in grades for reading in read_grades(path)]
    readings = join_readings(rows, ReadingIndex(read_log(log)))
    names = sorted(name for name in readings if readings[name])
    numbered = {f"reader {number}": readings[name] for number, name in enumerate(names, start=1)}
    tables = [read_graded(path) for path in uncertainty]
    write_csv(out, COLUMNS, tabulate(numbered, read_hips(hips), tables, classes))


def read_hips(hips: Sequence[Path]) -> Hips:
    """The hips with a radiograph in the tables ``R/hips/{cohort}.csv``."""
    found: dict[str, tuple[str, str]] = {}
    for path in hips:
        columns = read_columns(path, ("hip_id", "cohort", "patient_id", "status"))
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        found |= {hip: (cohort, patient) for hip, cohort, patient, status in rows if status == "ok"}
    return found


def join_readings(rows: Iterable[Reading], index: ReadingIndex) -> Readings:
    """The readings of tables, then those of the log that are not in them.

    A consensus is no reader. A hip whose model's class the reader had seen before is left out, in tables too:
    such a reading says little of either.
    """
    found: dict[str, dict[str, list[tuple[int, int]]]] = {}
    for row in rows:
        if row.reader not in ("", CONSENSUS) and row.crowe is not None and row.kl is not None:
            hip = hip_id(row.case_id, row.side)
            found.setdefault(row.reader, {}).setdefault(hip, []).append((row.crowe, row.kl))
    for name, logged in collect_readings(index).items():
        own = found.setdefault(normalise(name), {})
        for hip, (first, *again) in logged.items():
            own[hip] = [*own.get(hip, [first]), *again]
        for hip, record in index.current(name).items():
            if not record.blind:
                own.pop(hip, None)
    return found


def collect_readings(index: ReadingIndex) -> dict[str, dict[str, list[tuple[int, int]]]]:
    """The grades of a log by reader: the current reading of each hip, then the hidden second, if any."""
    found: dict[str, dict[str, list[tuple[int, int]]]] = {}
    for name in index.readers:
        again = index.repeats(name)
        for hip, record in index.current(name).items():
            given = [record, again[hip]] if hip in again else [record]
            grades = [(one.crowe, one.kl) for one in given if one.crowe is not None and one.kl is not None]
            if grades and record.crowe is not None:
                found.setdefault(name, {})[hip] = grades
    return found


def measure_agreement(
    index: ReadingIndex, patients: Mapping[str, str], classes: HipsSettings, with_reader: str = ""
) -> list[Row]:
    """Agreement of every pair of readers, and of every reader's first and second readings.

    Args:
        index: The readings.
        patients: Hip to patient; a patient's hips count together.
        classes: What the combined classes are; pairs off the table count for Crowe and KL alone.
        with_reader: Only what concerns this reader; everyone if empty.

    Returns:
        Rows of COLUMNS, without a cohort.
    """
    readings = collect_readings(index)
    hips = {hip: ("", patients.get(hip, hip)) for read in readings.values() for hip in read}
    rows = _compare_readers(readings, hips, classes)
    return [row for row in rows if with_reader in ("", row["a"], row["b"])]


def tabulate(
    readings: Readings,
    hips: Hips,
    tables: Sequence[Graded],
    classes: HipsSettings,
) -> Iterator[Row]:
    """Rows of COLUMNS, cohort by cohort: readers, the ceiling that they imply, and networks beside them.

    Args:
        readings: The readings, by reader.
        hips: The hips of the study.
        tables: The predictions, one table per experiment.
        classes: What the combined classes are.
    """
    predicted = dict(split_cohorts(tables))
    for cohort in sorted({name for name, _ in hips.values()}):
        inside = {hip: place for hip, place in hips.items() if place[0] == cohort}
        yield from _compare_readers(readings, inside, classes)
        grades = _grade(readings, "class", classes)
        pairs = [pair for a, b, pairs in _pair(grades, inside) if a != b for pair in pairs]
        if len(pairs) >= _MIN_HIPS:
            for which, row in imply_ceiling(tabulate_pairs(pairs)):
                yield _fill(row, CEILING, which, ONE)
        for table in predicted.get(cohort, ()):
            yield from _score_network(table, grades)


def _compare_readers(readings: Readings, hips: Hips, classes: HipsSettings) -> Iterator[Row]:
    for index in ("Crowe", "KL", "class"):
        for a, b, pairs in _pair(_grade(readings, index, classes), hips):
            if len(pairs) >= _MIN_HIPS:
                question = INTRA if a == b else INTER
                for row in interval_rows(tabulate_pairs(pairs), AGREEMENT, "", networks=False):
                    yield _fill(row, question, a, b, index)


def _grade(readings: Readings, index: str, classes: HipsSettings) -> _Grades:
    def convert(crowe: int, kl: int) -> int | None:
        return {"Crowe": crowe, "KL": kl + 1}.get(index) or combine(crowe, kl, classes)

    return {
        reader: {hip: [convert(*pair) for pair in given] for hip, given in sorted(of_hip.items())}
        for reader, of_hip in readings.items()
    }


def _pair(grades: _Grades, hips: Hips) -> Iterator[tuple[str, str, list[Pair]]]:
    """Two readers, or one twice, and the grades of each hip that both, or the one twice, graded."""

    def keep(both: Mapping[str, tuple[int | None, int | None]]) -> list[Pair]:
        return [
            (hips[hip][0], hip, hips[hip][1], one, other)
            for hip, (one, other) in both.items()
            if hip in hips and one is not None and other is not None
        ]

    for a, b in combinations(grades, 2):
        one, other = grades[a], grades[b]
        yield a, b, keep({hip: (one[hip][0], other[hip][0]) for hip in one if hip in other})
    for reader, own in grades.items():
        yield (
            reader,
            reader,
            keep({hip: (given[0], given[1]) for hip, given in own.items() if len(given) > 1}),
        )


def _score_network(table: Graded, grades: _Grades) -> Iterator[Row]:
    calls = {
        reader: {hip: given[0] for hip, given in own.items() if given[0] is not None}
        for reader, own in grades.items()
    }
    for reader, own in calls.items():
        others = [calls[name] for name in calls if name != reader]
        found = (
            (NETWORK, reader, score_against_reader(table, own)),
            (NETWORK, LABEL, score_against_label(table, own)),
            (DIFFERENCE, OTHERS, compare_with_readers(table, own, others)),
        )
        for question, b, rows in found:
            for row in rows:
                yield _fill(row, question, table.experiment, b, hips=reader)


def _fill(row: Row, question: str, a: str, b: str, index: str = "class", hips: str = "") -> Row:
    """A row of COLUMNS from one of a score."""
    keys = {"question": question, "a": a, "b": b, "index": index, "hips": hips}
    return {name: (row | keys)[name] for name in COLUMNS}
