"""The result: a sentence, a confusion matrix, caveats, what to do next; then the study in five answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from hipoa.evaluation.comparison.verdicts import PRIMARY
from hipoa.evaluation.metrics.baselines import CONSTANT
from hipoa.evaluation.metrics.estimates import APPROXIMATE
from hipoa.evaluation.passes import name_measure
from hipoa.evaluation.predictions import N_GRADES
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
    write_score,
    write_share,
)
from hipoa.report.sections.caveats import list_caveats

_FIRST = 3
"""Caveats on the first screen, and hips named in it."""


class Answer(NamedTuple):
    """One line of the summary."""

    question: str  # such as "How accurate?"
    sentences: list[str]  # its answer
    where: tuple[str, ...]  # the sections that say more, by name


class Matrix(NamedTuple):
    """A confusion matrix of the labelled cohort."""

    experiment: str
    rows: list[list[float]]  # hips by class that was read and, within it, by predicted class
    note: str  # what is counted


def gather(results: Results) -> dict[str, Any]:
    """What the first screen shows, and the answers beneath it."""
    result, basis = _state_result(results)
    return {
        "result": result,
        "basis": basis,
        "matrix": _find_matrix(results),
        "caveats": list_caveats(results),
        "first": _FIRST,
        "steps": list(_list_steps(results)),
        "answers": [
            Answer("What was done?", [_describe_study(results)], ("methods",)),
            Answer("In which patients?", [_describe_patients(results)], ("patients",)),
            Answer("How accurate?", _describe_accuracy(results), ("accuracy", "published")),
            Answer("How certain?", _describe_certainty(results), ("uncertainty", "calibration", "sets")),
        ],
    }


def _state_result(results: Results) -> tuple[str, str]:
    """The result in one sentence, and of what it is.

    Where the best network is not shown to beat a constant, the sentence says that first.
    """
    best = results.best
    if best is None:
        return "No graded hip was predicted, so there is no result.", ""
    name = best["experiment"]
    own = {"experiment": name, "cohort": "labelled"}
    eca, onca = (find_row(results.scores, **own, metric=metric) for metric in ("ECA", "ONCA"))
    constant = find_row(results.scores, experiment=CONSTANT, cohort="labelled", metric="ECA")
    hips = count_words(int(best["n_hips"]), "hip")
    graded = f"graded {write_score(eca)} of {hips} in exactly the class that was read"
    score = "" if results.primary == "ECA" else f", by {results.primary}"
    if results.beats_constant(name):
        near = f"{write_score(onca)} at most one class off"
        said = f"{name} {graded}, {near}: better than the same answer for every hip{score}."
    else:
        beside = f"; the best such answer, {write_share(constant['value'])}" if constant else ""
        weak = "is not shown to grade better than the same answer for every hip"
        said = f"{name} {weak}{score}: it {graded}{beside}."
    chosen = f"The best of {len(results.experiments)} networks; " if len(results.experiments) > 1 else ""
    units = count_units(results.find_scored(name, "labelled"))
    return said, f"{chosen}{units}, graded by networks trained without them. In brackets: 95 % intervals."


def _find_matrix(results: Results) -> Matrix | None:
    """The confusion matrix of the best network; None if no graded hip was predicted."""
    if results.best is None:
        return None
    wanted = (results.best["experiment"], "labelled")
    rows = [row for row in results.table("confusion.csv") if (row["experiment"], row["cohort"]) == wanted]
    counts = [[float(row[f"predicted_{grade}"]) for grade in range(1, N_GRADES + 1)] for row in rows]
    return Matrix(wanted[0], counts, rows[0]["note"]) if rows else None


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
    other = f", {primary} {write_score(best)}" if primary not in ("ECA", "ONCA") else ""
    allowed = " The 95 % intervals allow for other patients and for networks trained on them."
    allowed = allowed if eca and eca["low"] else ""
    if eca and eca["low"] and APPROXIMATE in eca["note"]:
        allowed += " They are approximate: training varies the score more than patients do."
    sentences = [
        f"{name}{chosen} graded {count_units(results.find_scored(name, 'labelled'))} unseen in training: "
        f"share graded exactly (ECA) {write_score(eca)}, at most one class off (ONCA) {write_score(onca)}"
        f"{other}.{allowed}",
        *_compare_with_constant(results, name),
        *_describe_pairs(results),
    ]
    external = find_row(results.scores, experiment=name, cohort="external", metric="ECA")
    if external:
        counted = f"{external['n_hips']} hips of {external['n_patients']} patients"
        sentences.append(f"External cohort, {counted}: ECA {write_score(external)}.")
    return sentences


def _compare_with_constant(results: Results, experiment: str) -> Iterator[str]:
    """Whether its scores are above those of the best constant prediction for the same hips."""
    for row in results.table("differences.csv"):
        if (row["question"], row["cohort"], row["a"]) != ("constant", "labelled", experiment):
            continue
        value = write_share(row["value_b"]) if row["unit"] == "share" else f"{float(row['value_b']):.3f}"
        beside = f"{value} of the best constant prediction"
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
            f"If a person read the least certain fifth, {write_score(kept)} of the others would be "
            f"graded wrongly, and of all {write_share(1 - float(eca['value']))}"
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
    judged = f"; {size['verdict']}" if size["verdict"] else ""
    sentence = (
        "Sets of adjacent classes fitted to contain the true class of 90 % of the hips are of "
        f"{interval.format(*numbers)} of the seven classes on average{judged}."
    )
    external = f"In the external cohort they contain it in {write_score(coverage)}."
    return [sentence, external] if coverage else [sentence]


def _list_steps(results: Results) -> Iterator[tuple[str, str]]:
    """What to do next, and the section that has it."""
    ranked = [row for row in results.triage if row["rank"]]
    if ranked:
        first = f"first {list_words([row['hip_id'] for row in ranked[:_FIRST]])}"
        weak = ", in an order not shown to be better than a random one" if ranked[0]["caveat"] else ""
        yield f"{count_words(len(ranked), 'unread hip')} can be read next{weak}, {first}.", "triage"
    doubted = sum(row["doubted"] == "yes" for row in results.table("label_errors.csv"))
    if doubted:
        hips = count_words(doubted, "labelled hip")
        yield f"Read {hips} again: the label may be wrong.", "label_errors"
    warned = sum(hip.status == "ok" and bool(hip.warnings) for hip in results.hips)
    if warned:
        hips = count_words(warned, "hip")
        yield f"Check the {hips} with a warning before relying on any number.", "refused"
    yield "Answer the items of the reporting guidelines that only a person can answer.", "reporting"
