"""The summary: six questions, answered from the tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from hipoa.evaluation.comparison.verdicts import PRIMARY
from hipoa.evaluation.metrics.estimates import APPROXIMATE
from hipoa.evaluation.passes import name_measure
from hipoa.report.cohort import count_units
from hipoa.report.results import Results
from hipoa.report.scores import (
    Row,
    count_words,
    find_better,
    find_row,
    find_side,
    list_words,
    write_difference,
    write_row,
)
from hipoa.report.sections.caveats import list_caveats
from hipoa.report.sections.sets import judge_size

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
    count, name, primary = len(results.experiments), best["experiment"], results.primary
    chosen = f" (the best {primary} of {count}, chosen on these same hips)" if count > 1 else ""
    own = {"experiment": name, "cohort": "labelled"}
    eca, onca = (find_row(results.scores, **own, metric=metric) for metric in ("ECA", "ONCA"))
    other = f", {primary} {write_row(best)}" if primary not in ("ECA", "ONCA") else ""
    allowed = " The 95 % intervals allow for other patients and for networks trained on them."
    allowed = allowed if eca and eca["low"] else ""
    if eca and eca["low"] and APPROXIMATE in eca["note"]:
        allowed += " They are approximate: training varies the score more than patients do."
    sentences = [
        f"{name}{chosen} graded {count_units(results.find_scored(name, 'labelled'))} unseen in training: "
        f"share graded exactly (ECA) {write_row(eca)}, at most one class off (ONCA) {write_row(onca)}{other}."
        f"{allowed}",
        *_compare_with_constant(results, name),
        *_describe_pairs(results),
    ]
    external = find_row(results.scores, experiment=name, cohort="external", metric="ECA")
    if external:
        counted = f"{external['n_hips']} hips of {external['n_patients']} patients"
        sentences.append(f"External cohort, {counted}: ECA {write_row(external)}.")
    return sentences


def _compare_with_constant(results: Results, experiment: str) -> Iterator[str]:
    """Whether its scores are above those of the best constant prediction for the same hips."""
    for row in results.table("differences.csv"):
        if (row["question"], row["cohort"], row["a"]) != ("constant", "labelled", experiment):
            continue
        beside = f"{float(row['value_b']):.3f} of the best constant prediction"
        difference, better = f"difference {write_difference(row)}", find_better(row)
        if not better:
            yield f"{row['metric']} is not shown to differ from the {beside}: {difference}."
        else:
            side = "above" if float(row["difference"]) > 0 else "below"
            yield f"{row['metric']} is {side} the {beside}: {difference}."


def _describe_pairs(results: Results) -> Iterator[str]:
    """The verdict on every pair of networks by the primary score in the labelled cohort."""
    pairs = [
        row
        for row in results.table("differences.csv")
        if (row["question"], row["cohort"], row["role"]) == ("experiments", "labelled", PRIMARY)
    ]
    for row in pairs:
        if better := find_better(row):
            of = f"{row['a']} less {row['b']}: {write_difference(row)}"
            yield f"{better} is better by {results.primary} ({of})."
    same = [row for row in pairs if not find_better(row)]
    if same:
        which = "No network" if len(same) == len(pairs) else "No other network"
        yield f"{which} is shown to be better than another by {results.primary}, the primary score."


def _describe_certainty(results: Results) -> list[str]:
    best = results.best
    if best is None:
        return ["Nothing was scored."]
    own = {"experiment": best["experiment"], "cohort": "labelled"}
    detected = {**own, "measure": results.measure, "event": "error >= 1", "prediction": "per repeat"}
    detection = results.table("detection.csv")
    auroc = find_row(detection, **detected, metric="AUROC")
    kept = find_row(detection, **detected, metric="risk at 80 % coverage")
    eca = find_row(results.scores, **own, metric="ECA")
    sentences = [_describe_detection(auroc, name_measure(results.measure))]
    if kept and eca:
        unsure = float(kept["high"] or 1) >= 1 - float(eca["value"])
        sentences.append(
            f"If a person read the least certain fifth, a share of {write_row(kept)} of the others would be "
            f"graded wrongly, and of all {1 - float(eca['value']):.3f}"
            + ("; the gain may be chance." if unsure else ".")
        )
    return sentences + _describe_sets(results.table("conformal.csv"), best["experiment"])


def _describe_detection(auroc: Row | None, measure: str) -> str:
    side = find_side(auroc, 0.5)
    if side is None:
        known = f"AUROC {write_row(auroc)}"
        return f"How well the uncertainty ({measure}) detects wrong grades is not known: {known}."
    found = f"AUROC {write_row(auroc)}, where 0.5 is chance"
    if side > 0:
        return f"The uncertainty ({measure}) detects wrong grades better than chance: {found}."
    if side < 0:
        return f"The uncertainty ({measure}) is lower for wrong grades: {found}."
    return f"The uncertainty ({measure}) is not shown to detect wrong grades: {found}."


def _describe_sets(sets: Sequence[Row], experiment: str) -> list[str]:
    # The coverage of the labelled hips is near the level by construction: only the size is a finding.
    wanted = {"experiment": experiment, "level": "0.9", "hips": "all"}
    size = find_row(sets, **wanted, cohort="labelled", metric="mean size")
    coverage = find_row(sets, **wanted, cohort="external", metric="coverage")
    if size is None:
        return []
    interval = "{:.1f} ({:.1f} to {:.1f})" if size["low"] and size["high"] else "{:.1f}"
    numbers = [float(size[name]) for name in ("value", "low", "high") if size[name]]
    judged = f"; {judge_size(size)}" if judge_size(size) else ""
    sentence = (
        "Sets of adjacent classes fitted to contain the true class of 90 % of the hips are of "
        f"{interval.format(*numbers)} of the seven classes on average{judged}."
    )
    external = f"In the external cohort they contain it in a share of {write_row(coverage)}."
    return [sentence, external] if coverage else [sentence]


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
