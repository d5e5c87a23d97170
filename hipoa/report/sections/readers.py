"""Networks beside readers: their scores, and sentences that follow from the intervals of the differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hipoa.evaluation.metrics.against_readers import SCORED
from hipoa.evaluation.metrics.ceiling import LIMIT, REACHABLE
from hipoa.evaluation.metrics.raters import CEILING, DIFFERENCE, INTER, INTRA, NETWORK
from hipoa.report.results import Results
from hipoa.report.scores import Row, find_row, find_side, pivot, write_points, write_score

_QUESTIONS = (NETWORK, INTER, INTRA, CEILING)
_SUBJECTS = {REACHABLE: "a grader who errs as a reader does", LIMIT: "limit for any grader"}


class Beside(NamedTuple):
    """Readers and networks of one cohort."""

    cohort: str
    # Who is scored, against whom, on whose hips, and a row or None for each of SCORED.
    lines: list[tuple[str, str, str, list[Row | None]]]
    sentences: list[str]


def compare_readers(results: Results) -> list[Beside]:
    """Each cohort in which two readers graded the same hips."""
    found = []
    for cohort in ("labelled", "external"):
        rows = [
            row
            for row in results.table("agreement.csv")
            if (row["cohort"], row["index"]) == (cohort, "class")
        ]
        if any(row["question"] == INTER for row in rows):
            found.append(Beside(cohort, list(_list_lines(rows)), [*_limit(rows), *_compare(rows)]))
    return found


def describe_intra(results: Results) -> str:
    """The agreement within each reader of the labelled cohort, in a sentence; empty where none read twice."""
    own = {"cohort": "labelled", "question": INTRA, "index": "class", "metric": "ECA"}
    rows = [row for row in results.table("agreement.csv") if row["value"] and own.items() <= row.items()]
    each = "; ".join(f"{row['a']} {write_score(row)}" for row in rows)
    return f"Intra-reader agreement: ECA of {each}." if rows else ""


def _list_lines(rows: Sequence[Row]) -> Iterator[tuple[str, str, str, list[Row | None]]]:
    columns = [{"metric": metric} for metric in SCORED]
    for (question, a, b, hips), scores in pivot(rows, ("question", "a", "b", "hips"), columns):
        if question in _QUESTIONS and any(scores):
            against = f"{b}, second reading" if question == INTRA else b
            yield _SUBJECTS.get(a, a), against, hips or "two readings", scores


def _limit(rows: Sequence[Row]) -> Iterator[str]:
    reachable, limit = (find_row(rows, question=CEILING, a=a, metric="ECA") for a in (REACHABLE, LIMIT))
    if reachable and limit:
        yield (
            "Ceiling implied by the readers: if they are interchangeable and err independently of each other "
            "on the same hip, the best possible grader has against one reader an ECA of at least "
            f"{write_score(reachable)} and at most {write_score(limit)}."
        )


def _compare(rows: Sequence[Row]) -> Iterator[str]:
    readers = {row[name] for row in rows if row["question"] == INTER for name in ("a", "b")}
    for row in rows:
        if (row["question"], row["metric"]) == (DIFFERENCE, "ECA") and row["value"]:
            others = sorted(readers - {row["hips"]})
            yield _judge(row, others[0] if len(others) == 1 else "the other readers")


def _judge(row: Row, others: str) -> str:
    network, reader, said = row["a"], row["hips"], f"difference in ECA {write_points(row)}"
    side = find_side(row, 0)
    if side is None:
        return f"{network} and {others} against {reader}: {said}."
    if not side:
        return f"Whether {network} or {others} agrees more with {reader} is open: {said}, which includes 0."
    more = "more" if side > 0 else "less"
    return f"{network} agrees {more} often with {reader} than {others}: {said}."
