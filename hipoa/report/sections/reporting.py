"""What the reporting guidelines ask, answered where the run knows it and open where a person must."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hipoa.evaluation.metrics.raters import RATERS
from hipoa.report.cohort_tables import describe_acquisition, describe_people
from hipoa.report.results import Results
from hipoa.report.scores import find_row, list_words, write_row
from hipoa.report.sections.checklists import CHECKLISTS, Checklist
from hipoa.report.sections.precision import describe_size
from hipoa.report.sections.readers import describe_intra

_QUOTED = {
    "preparation": "projection", "projection": "projection", "preprocessing": "projection",
    "outcome": "grades", "model": "networks", "training": "training", "partition": "validation",
    "prediction": "validation", "measures": "statistics", "significance": "statistics",
    "software": "software",
}  # fmt: skip
"""Name of an answer to the paragraph of the methods (`methods.html`) that gives it."""


class Answer(NamedTuple):
    """What the run answers to an item."""

    text: str  # empty if a paragraph of the methods gives it
    where: str = ""  # the section that says more
    to_add: str = ""  # what a person must add, so that the item is answered; empty: nothing


def gather(results: Results) -> dict[str, Any]:
    """The checklists, name to answer of what the run knows, and the items answered wholly and in part."""
    answers = {name: Answer("", "methods") for name in _QUOTED}
    answers |= _answer_data(results) | _answer_patients(results) | _answer_model(results)
    answers |= _answer_results(results)
    counts = {checklist.name: count_answers(checklist, answers) for checklist in CHECKLISTS}
    return {"checklists": CHECKLISTS, "answers": answers, "quoted": _QUOTED, "counts": counts}


def count_answers(checklist: Checklist, answers: Mapping[str, Answer]) -> tuple[int, int]:
    """The items of a checklist that are answered, and those that are answered in part."""
    known = [answers[item.answer] for item in checklist.items if item.answer in answers]
    parts = sum(bool(answer.to_add) for answer in known)
    return len(known) - parts, parts


def _answer_data(results: Results) -> dict[str, Answer]:
    flow, external = results.flow["all"], len(results.cohorts.get("external", ()))
    weighted = "" if results.config["train"]["class_weights"] else "not "
    return {
        "eligible": Answer(
            f"Every CT of the table of cases; {flow['listed']} hips excluded by it, "
            f"{flow['replacement'] + flow['fixation']} for an implant.",
            "patients",
            "the clinical criteria",
        ),
        "missing": Answer(
            f"A hip without a usable CT is refused ({flow['refused']} hips), one without a class is not "
            "scored; nothing is imputed. Those left out are compared with the others.",
            "patients",
        ),
        "deidentified": Answer(
            "The report and all tables contain pseudonyms only: no name, date or DICOM identifier."
        ),
        "size": Answer(
            f"{flow['patients']} patients, {flow['predicted']} scored hips. {describe_size(results)}".strip(),
            "precision",
            "what set their number",
        ),
        "numbers": Answer(f"{flow['predicted']} scored hips; every table gives its own numbers.", "patients"),
        "flow": Answer("Flow diagram with reasons.", "patients"),
        "external": Answer(
            f"{external} hips of an external cohort are reported separately."
            if external
            else "There is no external cohort.",
            "external",
        ),
        "clusters": Answer(
            "Both hips of a patient are kept together in folds and in every interval; scores by scanner and "
            "protocol are reported.",
            "subgroups",
        ),
        "predictors": Answer("Only the radiograph of the hip.", "quality"),
        "no_judgement": Answer("None: the radiograph is computed.", "methods"),
        "imbalance": Answer(
            f"Folds are stratified by class; the loss is {weighted}weighted by class. Balanced accuracy and "
            "recall of each class are reported with ECA.",
            "accuracy",
        ),
    }


def _answer_patients(results: Results) -> dict[str, Answer]:
    acquired, people = describe_acquisition(results.hips), describe_people(results.hips)
    shown = "A table gives classes, grades, sides, implants, scanners, sex and age by cohort."
    return {
        "acquisition": Answer(acquired, "quality", "tube current, contrast medium and position")
        if acquired
        else Answer("Voxel sizes and where CTs end are known.", "quality", "the scanner's protocol"),
        "characteristics": Answer(f"{shown} Patients: {people}.", "patients")
        if people
        else Answer(shown, "patients", "sex and age"),
    }


def _answer_model(results: Results) -> dict[str, Answer]:
    return {
        "aims": Answer(
            "Development and internal validation; external validation where there is an external cohort.",
            to_add="the hypothesis",
        ),
        "use": Answer(
            "Research; choosing which unread hips a person reads next.", "card", "the clinical pathway"
        ),
        "disjoint": Answer("Patients: a patient's hips and CTs are never in two folds.", "methods"),
        "initialised": Answer(_describe_start(results), "training"),
        "chosen": Answer(
            "Without test folds; see the methods. All settings were fixed beforehand.", "training"
        ),
        "output": Answer(
            "A probability for each class, and the most probable class; of a regression the nearest class. "
            "No threshold is tuned.",
            "methods",
        ),
        "recalibration": Answer(
            "Temperature scaling, cross-fitted; results before and after.", "calibration"
        ),
        "code": Answer(
            "hipoa is open source (Apache-2.0).", "citation", "whether data and models are available"
        ),
        "models": Answer("File and hash of each trained model are in manifest.json.", "provenance"),
        "explanation": Answer(
            "Attention roll-out or Grad-CAM." if results.explanations else "None.", "explanations"
        ),
        "poor_input": Answer(
            "A CT that cannot be used is refused with its reason; doubtful hips carry a warning.", "refused"
        ),
        "user": Answer(
            "A person checks each flagged radiograph and reads the hips that triage ranks first.", "quality"
        ),
    }


def _describe_start(results: Results) -> str:
    """From which weights the networks were trained."""
    sources = sorted({row["source"] for row in results.weights})
    random = [name for name, row in results.config["experiments"].items() if row["weights"] == "none"]
    parts = [f"Pre-trained weights ({', '.join(sources)}), hashes in the table."] if sources else []
    return " ".join([*parts, f"Random weights: {list_words(random)}."] if random else parts)


def _answer_results(results: Results) -> dict[str, Answer]:
    best = results.best
    raters = find_row(results.scores, experiment=RATERS, cohort="labelled", metric="ECA")
    known = {
        "subgroups": Answer(
            "By sex, age, side, implant, scanner, tube voltage, kernel and slice spacing, where known.",
            "subgroups",
        ),
        "robustness": Answer(
            "Other seeds and folds, an external cohort and subgroups; no other analysis was made.", "accuracy"
        ),
        "limits": Answer("Those of the method are listed.", "limits", "those of the patients"),
    }
    if best:
        score = f"{best['experiment']}: {results.primary} {write_row(best)}"
        text = f"{score}, {best['n_hips']} hips; all others in the table."
        known["performance"] = Answer(text, "accuracy")
        known["failures"] = Answer("Galleries of the worst hips, confusion matrices.", "gallery")
    if raters:
        intra = describe_intra(results)
        text = f"Inter-reader agreement: ECA {write_row(raters)}. {intra}".strip()
        known["readers"] = Answer(text, "accuracy", "" if intra else "intra-reader agreement")
    return known
