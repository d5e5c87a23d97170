"""Caveats that follow from the numbers of the study."""

from __future__ import annotations

from collections.abc import Iterator

from hipoa.evaluation.metrics.baselines import CONSTANT
from hipoa.evaluation.passes import name_measure
from hipoa.report.results import Results
from hipoa.report.scores import Row, find_row, list_words, write_row
from hipoa.report.sections.subgroups import list_differing

_FEW_HIPS = 10
"""With fewer, the 95 % interval of a share near one half is wider than 0.6 (Clopper and Pearson)."""
_LOW_RECALL = 0.5
_MANY_REFUSED = 0.05


def list_caveats(results: Results) -> list[str]:
    """Sentences, each with its number, the most serious first."""
    of_scores = _check_scores(results, results.best) if results.best else ()
    return [*_check_data(results), *of_scores]


def _check_data(results: Results) -> Iterator[str]:
    flow = results.flow["all"]
    if results.synthetic:
        yield "The patients are synthetic: the results say nothing about real patients."
    if results.config["preset"] == "demo":
        yield "Settings are for demonstration: small networks, few epochs."
    if flow["refused"] > _MANY_REFUSED * flow["hips"]:
        yield f"{flow['refused']} of {flow['hips']} hips were refused; the others may be easier to grade."
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
    constant = find_row(results.scores, experiment=CONSTANT, cohort="labelled", metric="ECA")
    if best["low"] and constant and float(best["low"]) <= float(constant["value"]):
        yield "ECA is not clearly above that of the best constant prediction."
    recalls = [find_row(results.scores, **own, metric=f"recall, class {grade}") for grade in range(1, 8)]
    worst = min((row for row in recalls if row), key=lambda row: float(row["value"]), default=None)
    if worst and float(worst["value"]) < _LOW_RECALL:
        grade, recall = worst["metric"][-1], float(worst["value"])
        yield f"Only a share of {recall:.2f} of the hips of class {grade} is graded as such."
    for difference in list_differing(results.table("subgroups.csv"), best["experiment"], "labelled"):
        yield f"{difference}, adjusted for the number of subgroups."
    drop = next(
        (row for row in results.table("differences.csv")
         if (row["question"], row["metric"], row["a"]) == ("drop", "ECA", f"{best['experiment']}, labelled")),
        None,
    )  # fmt: skip
    if drop and float(drop["low"] or 0) > 0:
        yield f"In the external cohort ECA is lower by {write_row({**drop, 'value': drop['difference']})}."
    auroc = find_row(results.table("detection.csv"), **own, prediction="per repeat", measure=results.measure,
                     event="error >= 1", metric="AUROC")  # fmt: skip
    if auroc and auroc["low"] and float(auroc["low"]) <= 0.5:
        measure = name_measure(results.measure)
        yield f"The uncertainty ({measure}) may not detect errors at all: AUROC {write_row(auroc)}."
