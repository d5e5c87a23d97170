"""How subgroups differ, in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from hipoa.evaluation.metrics.subgroups import COMPARED, HIDDEN, LEAST_PATIENTS, LEAST_SHOWN
from hipoa.report.results import Results
from hipoa.report.scores import COLUMN_NAMES, Row, count_words, list_words, write_difference

_LEVEL = 0.05


def gather(results: Results) -> dict[str, Any]:
    """The rows, the words for their columns, who is hidden, and a sentence for each experiment and cohort."""
    rows = results.table("subgroups.csv")
    return {
        "subgroups": [row for row in rows if row["subgroup"] != HIDDEN],
        "hidden": count_hidden(rows),
        "words": COLUMN_NAMES,
        "sentences": list(describe_differences(rows)),
        "least_patients": LEAST_PATIENTS,
        "least_shown": LEAST_SHOWN,
    }


def count_hidden(rows: Sequence[Row]) -> dict[str, str]:
    """Cohort to how many subgroups have too few patients to be named, such as "2 subgroups"."""
    counts = Counter((row["cohort"], row["experiment"]) for row in rows if row["subgroup"] == HIDDEN)
    # Every network predicted the same hips, or nearly so.
    most = {cohort: max(n for (name, _), n in counts.items() if name == cohort) for cohort, _ in counts}
    return {cohort: count_words(count, "subgroup") for cohort, count in most.items()}


def describe_differences(rows: Sequence[Row]) -> Iterator[str]:
    """For each experiment and cohort of subgroups.csv which subgroups differ after adjustment."""
    for experiment, cohort in dict.fromkeys((row["experiment"], row["cohort"]) for row in rows):
        tested = _list_tested(rows, experiment, cohort)
        differing = list_differing(rows, experiment, cohort)
        where = f"{experiment}, {cohort} cohort"
        if differing:
            yield f"{where}: after adjustment {list_words(differing)}."
        elif tested:
            count = max(sum(row["metric"] == metric for row in tested) for metric in COMPARED)
            yield (
                f"{where}: no subgroup differs after adjustment ({count_words(count, 'comparison')} of each "
                "score); differences within the intervals remain possible."
            )
        else:
            yield f"{where}: no two subgroups of a column have {LEAST_PATIENTS} patients each to be compared."


def list_differing(rows: Sequence[Row], experiment: str, cohort: str) -> list[str]:
    """Such as "ECA of sex M differs from that of F by ..." of each difference that is significant."""
    tested = _list_tested(rows, experiment, cohort)
    return [_describe(row) for row in tested if float(row["p_holm"]) < _LEVEL]


def _list_tested(rows: Sequence[Row], experiment: str, cohort: str) -> list[Row]:
    return [
        row for row in rows if (row["experiment"], row["cohort"]) == (experiment, cohort) and row["p_holm"]
    ]


def _describe(row: Row) -> str:
    column = COLUMN_NAMES.get(row["column"], row["column"])
    interval = {"low": row["difference_low"], "high": row["difference_high"]}
    return (
        f"{row['metric']} of {column} {row['subgroup']} differs from that of {row['reference']} by "
        f"{write_difference({**row, **interval})}, p = {float(row['p_holm']):.2g}"
    )
