"""The summary: six questions, answered from the tables."""

from __future__ import annotations

from typing import Any, NamedTuple

from hipoa.evaluation.metrics.baselines import CONSTANT
from hipoa.evaluation.passes import name_measure
from hipoa.report.cohort import count_units
from hipoa.report.results import Results
from hipoa.report.scores import count_words, find_row, list_words, write_row
from hipoa.report.sections.caveats import list_caveats

_FIRST = 3


class Answer(NamedTuple):
    """One line of the summary."""

    question: str  # such as "How accurate?"
    sentences: list[str]  # its answer
    where: tuple[str, ...]  # the sections that say more, by name
    listed: bool = False  # whether the sentences are the items of a list


def gather(results: Results) -> dict[str, Any]:
    """The six answers."""
    caveats = list_caveats(results) or ["None beyond the limitations below."]
    steps = ("triage", "label_errors", "quality", "reporting")
    return {
        "answers": [
            Answer("What was done?", [_describe_study(results)], ("methods",)),
            Answer("In which patients?", [_describe_patients(results)], ("patients",)),
            Answer("How accurate?", _describe_accuracy(results), ("accuracy", "published")),
            Answer("How certain?", _describe_certainty(results), ("uncertainty", "calibration", "sets")),
            Answer("What are the caveats?", caveats, ("limits", "subgroups"), listed=len(caveats) > 1),
            Answer("What to do next?", _describe_next(results), steps),
        ]
    }


def _describe_study(results: Results) -> str:
    folds = {(record["repeat"], record["fold"]) for record in results.records}
    return (
        f"Each hip of a pelvic CT was projected to a radiograph, and "
        f"{count_words(len(results.experiments), 'network')} ({list_words(results.experiments)}) graded it "
        f"on seven classes from normal to severe: {count_words(len(results.records), 'model')}, "
        f"{len({fold for _, fold in folds})}-fold cross-validation by patient, "
        f"{count_words(len({repeat for repeat, _ in folds}), 'repeat')}, "
        f"{results.config['predict']['passes']} passes with dropout per hip."
    )


def _describe_patients(results: Results) -> str:
    flow = results.flow["all"]
    return (
        f"{flow['cts']} CTs of {flow['patients']} patients contain {flow['hips']} hips: "
        f"{flow['radiographs']} with a radiograph, {flow['refused']} refused, {flow['excluded']} excluded. "
        f"{flow['predicted']} of them have a reference grade and were scored."
    )


def _describe_accuracy(results: Results) -> list[str]:
    best = results.best
    if best is None:
        return ["No graded hip was predicted, so there is no accuracy."]
    count, name = len(results.experiments), best["experiment"]
    near = find_row(results.scores, experiment=name, cohort="labelled", metric="ONCA")
    constant = [
        find_row(results.scores, experiment=CONSTANT, cohort="labelled", metric=metric)
        for metric in ("ECA", "ONCA")
    ]
    eca, onca = (f"{float(row['value']):.3f}" if row else "not defined" for row in constant)
    chosen = f" (the best of {count}, chosen on these same hips)" if count > 1 else ""
    sentences = [
        f"{name}{chosen} graded {count_units(results.find_scored(name, 'labelled'))} unseen in training: "
        f"share graded exactly (ECA) {write_row(best)}, at most one class off (ONCA) {write_row(near)}, with "
        f"95 % intervals by resampling patients; the best constant prediction has ECA {eca} and ONCA {onca}."
    ]
    external = find_row(results.scores, experiment=name, cohort="external", metric="ECA")
    return sentences + ([f"External cohort: ECA {write_row(external)}."] if external else [])


def _describe_certainty(results: Results) -> list[str]:
    best = results.best
    if best is None:
        return ["Nothing was scored."]
    own = {"experiment": best["experiment"], "cohort": "labelled"}
    detection, sets = results.table("detection.csv"), results.table("conformal.csv")
    detected = {**own, "measure": results.measure, "event": "error >= 1", "prediction": "per repeat"}
    auroc = find_row(detection, **detected, metric="AUROC")
    sentences = [
        f"The uncertainty ({name_measure(results.measure)}) separates wrong from right grades with AUROC "
        f"{write_row(auroc)}; 0.5 is chance."
    ]
    kept = find_row(detection, **detected, metric="risk at 80 % coverage")
    if kept:
        sentences.append(
            f"If a person read the least certain fifth, {float(kept['value']):.3f} of the others would be "
            f"graded wrongly, instead of {1 - float(best['value']):.3f} of all."
        )
    coverage, size = (
        find_row(sets, **own, level="0.9", hips="all", metric=name) for name in ("coverage", "mean size")
    )
    if coverage and size:
        sentences.append(
            "Sets of adjacent classes that should contain the true class of 90 % of the hips contained it in "
            f"{100 * float(coverage['value']):.0f} %, with {float(size['value']):.1f} classes on average."
        )
    return sentences


def _describe_next(results: Results) -> list[str]:
    ranked = [row["hip_id"] for row in results.triage if row["rank"]]
    first = f", first {list_words(ranked[:_FIRST])}" if ranked else ""
    aside = len(results.triage) - len(ranked)
    sentences = [f"{len(ranked)} unread hips are ranked for reading{first}; {aside} are set aside."]
    doubted = sum(row["doubted"] == "yes" for row in results.table("label_errors.csv"))
    if doubted:
        sentences.append(f"Read {doubted} labelled hips again: their labels may be wrong.")
    warned = sum(bool(hip.warnings) for hip in results.hips)
    if warned:
        sentences.append(f"Check the {warned} hips with a warning before relying on any number.")
    return [*sentences, "Complete the items of the reporting guidelines that only a person can answer."]
