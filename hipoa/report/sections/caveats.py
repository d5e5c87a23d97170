"""Caveats that follow from the numbers of the study."""

from __future__ import annotations

from collections.abc import Iterator

from hipoa.evaluation.comparison.verdicts import PRIMARY
from hipoa.report.results import Results
from hipoa.report.scores import Row, find_better, find_row, list_words, write_difference, write_score
from hipoa.report.sections.subgroups import list_differing

_FEW_HIPS = 10
"""With fewer, the 95 % interval of a share near one half is wider than 0.6 (Clopper and Pearson)."""
_LOW_RECALL = 0.5
_MANY_REFUSED = 0.05


def list_caveats(results: Results) -> list[str]:
    """Sentences, each with its number, the most serious first, beside those of the banners atop the page."""
    of_scores = _check_scores(results, results.best) if results.best else ()
    return [*_check_data(results), *of_scores]


def _check_data(results: Results) -> Iterator[str]:
    yield from results.single_class.values()
    if results.best and not results.beats_constant(results.best["experiment"]):
        yield f"Nothing that rests on the grades of {results.best['experiment']} can be relied on."
    # Refused hips of the pool were never to be scored.
    scored = [flow for cohort, flow in results.flow.items() if cohort in ("labelled", "external")]
    refused, total = (sum(flow[name] for flow in scored) for name in ("refused", "hips"))
    if refused > _MANY_REFUSED * total:
        yield f"{refused} of {total} hips to be scored were refused; the others may be easier to grade."
    grades = [
        int(hip.grade) for hip in results.cohorts.get("labelled", ()) if hip.grade and hip.status == "ok"
    ]
    few = [f"{grade} ({grades.count(grade)})" for grade in range(1, 8) if grades.count(grade) < _FEW_HIPS]
    if few:
        yield f"Fewer than {_FEW_HIPS} labelled hips are of class {list_words(few)}: estimates are imprecise."
    if "external" not in results.cohorts:
        yield "There is no external cohort: performance at another hospital is unknown."


def _check_scores(results: Results, best: Row) -> Iterator[str]:
    own = {"experiment": best["experiment"], "cohort": "labelled"}
    recalls = [find_row(results.scores, **own, metric=f"recall, class {grade}") for grade in range(1, 8)]
    worst = min((row for row in recalls if row), key=lambda row: float(row["value"]), default=None)
    if worst and float(worst["value"]) < _LOW_RECALL:
        yield (
            f"Of the {worst['n_hips']} hips of class {worst['metric'][-1]}, {write_score(worst)} are "
            "graded as such."
        )
    for difference in list_differing(results.table("subgroups.csv"), best["experiment"], "labelled"):
        yield f"{difference}, adjusted for the number of subgroups."
    yield from _check_drop(results, best["experiment"])


def _check_drop(results: Results, experiment: str) -> Iterator[str]:
    """The drop of the primary score in the external cohort, or that none is shown."""
    for row in results.table("differences.csv"):
        if (row["question"], row["role"], row["a"]) != ("drop", PRIMARY, f"{experiment}, labelled"):
            continue
        difference, better = write_difference(row), find_better(row)
        if not better:
            yield (
                f"Whether {results.primary} is worse in the external cohort is not known: labelled less "
                f"external {difference}."
            )
        elif better == row["a"]:
            yield f"In the external cohort {results.primary} is worse: labelled less external {difference}."
