"""What the numbers of this very study give reason to distrust."""

from __future__ import annotations

from collections.abc import Iterator

from hipoa.evaluation.metrics.baselines import CONSTANT
from hipoa.evaluation.passes import name_measure
from hipoa.report.result_rows import find_row, list_words, write_row
from hipoa.report.results import Results
from hipoa.report.scores import Score, find_score

_FEW_HIPS = 10
"""A share of fewer has an interval of more than 0.5 either side of a half (Clopper and Pearson)."""
_LOW_RECALL = 0.5
_MANY_REFUSED = 0.05


def list_doubts(results: Results, best: Score | None) -> list[str]:
    """Sentences, each with its number, the gravest first."""
    found = [*_doubt_data(results)]
    return found if best is None else [*found, *_doubt_scores(results, best)]


def _doubt_data(results: Results) -> Iterator[str]:
    flow = results.everything
    if results.synthetic:
        yield "Patients are synthetic: no number here says anything about patients."
    if results.config.get("preset") == "demo":
        yield "Settings are for demonstration: small networks, few epochs."
    if flow.refused > _MANY_REFUSED * flow.hips:
        yield f"{flow.refused} of {flow.hips} hips were refused; those that are left may be the easier ones."
    graded = [
        int(hip.grade)
        for hip in results.hips
        if hip.cohort == "labelled" and hip.grade and hip.status == "ok"
    ]
    few = [f"{grade} ({graded.count(grade)})" for grade in range(1, 8) if graded.count(grade) < _FEW_HIPS]
    if few:
        yield f"Fewer than {_FEW_HIPS} labelled hips are of class {list_words(few)}: hardly known."
    if not any(hip.cohort == "external" for hip in results.hips):
        yield "There is no external cohort: how well this does at another hospital is unknown."


def _doubt_scores(results: Results, best: Score) -> Iterator[str]:
    constant = find_score(results.scores, CONSTANT, "labelled", "ECA")
    if best.interval and constant and constant.value is not None and best.interval[0] <= constant.value:
        yield "ECA is not surely better than that of the best constant answer."
    yield from _doubt_classes(results, best)
    drop = next((row for row in results.table("differences.csv") if _is_drop(row, best)), None)
    if drop and float(drop["low"] or 0) > 0:
        words = write_row({**drop, "value": drop["difference"]})
        yield f"On the external cohort ECA is lower by {words}."
    own = {"experiment": best.experiment, "cohort": "labelled", "prediction": "per repeat"}
    found = find_row(
        results.table("detection.csv"), **own, measure=results.measure, event="error >= 1", metric="AUROC"
    )
    if found and found["low"] and float(found["low"]) <= 0.5:
        measure = name_measure(results.measure)
        yield f"The uncertainty ({measure}) may not find errors at all: AUROC {write_row(found)}."


def _doubt_classes(results: Results, best: Score) -> Iterator[str]:
    names = [f"recall, class {grade}" for grade in range(1, 8)]
    recalls = [find_score(results.scores, best.experiment, "labelled", name) for name in names]
    known = [score for score in recalls if score is not None and score.value is not None]
    worst = min(known, key=lambda score: score.value or 0.0, default=None)
    if worst is not None and (worst.value or 0.0) < _LOW_RECALL:
        grade = worst.metric[-1]
        yield f"Of the hips of class {grade} only a share of {worst.value:.2f} is graded as such."


def _is_drop(row: dict[str, str], best: Score) -> bool:
    return (row["question"], row["metric"], row["a"]) == ("drop", "ECA", f"{best.experiment}, labelled")
