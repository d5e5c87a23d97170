"""What the reporting guidelines ask, answered where the run knows it and open where a person must."""

from __future__ import annotations

from typing import Any

from hipoa.evaluation.metrics.raters import RATERS
from hipoa.report.cohort_tables import describe_acquisition, describe_people
from hipoa.report.results import Results
from hipoa.report.scores import find_row, write_row
from hipoa.report.sections.checklists import CLAIM, TRIPOD_AI
from hipoa.report.sections.readers import describe_intra

_QUOTED = {
    "preparation": "projection", "projection": "projection", "preprocessing": "projection",
    "outcome": "grades", "model": "networks", "training": "training", "partition": "validation",
    "prediction": "validation", "measures": "statistics", "significance": "statistics",
    "software": "software",
}  # fmt: skip
"""Name of an answer to the paragraph of the methods (`methods.html`) that gives it."""


def gather(results: Results) -> dict[str, Any]:
    """The checklists; name to an answer and the section that says more, only what the run knows."""
    answers = dict.fromkeys(_QUOTED, ("", "methods"))
    answers |= _answer_data(results) | _answer_model(results) | _answer_results(results)
    return {"checklists": (TRIPOD_AI, CLAIM), "answers": answers, "quoted": _QUOTED}


def _answer_data(results: Results) -> dict[str, tuple[str, str]]:
    flow, external = results.flow["all"], len(results.cohorts.get("external", ()))
    acquired, people = describe_acquisition(results.hips), describe_people(results.hips)
    weighted = "" if results.config["train"]["class_weights"] else "not "
    return {
        "eligible": (f"Every CT of the table of cases; {flow['excluded']} hips excluded by it. To be "
                     "added: the clinical criteria.", "patients"),
        "missing": (f"A hip without a usable CT is refused ({flow['refused']} hips), one without a class is "
                    "not scored; nothing is imputed.", "refused"),
        "acquisition": (f"{acquired} To be added: tube current, contrast medium and position." if acquired
                        else "Voxel sizes and where CTs end are known. To be added: the scanner's protocol.",
                        "quality"),
        "deidentified": ("The report and all tables contain pseudonyms only: no name, date or DICOM "
                         "identifier.", ""),
        "size": (f"{flow['patients']} patients, {flow['predicted']} scored hips. To be added: why so many.",
                 "patients"),
        "numbers": (f"{flow['predicted']} scored hips; every table gives its own numbers.", "patients"),
        "flow": ("Flow diagram with reasons.", "patients"),
        "characteristics": (f"Classes by cohort are shown. Patients: {people}." if people
                            else "Classes by cohort are shown. To be added: sex and age.", "patients"),
        "external": (f"{external} hips of an external cohort are reported separately." if external
                     else "There is no external cohort.", "external"),
        "clusters": ("Both hips of a patient are kept together in folds and in every interval; scores by "
                     "scanner and protocol are reported.", "subgroups"),
        "predictors": ("Only the radiograph of the hip.", "radiographs"),
        "no_judgement": ("None: the radiograph is computed.", "methods"),
        "imbalance": (f"Folds are stratified by class; the loss is {weighted}weighted by class. Balanced "
                      "accuracy and recall of each class are reported with ECA.", "accuracy"),
    }  # fmt: skip


def _answer_model(results: Results) -> dict[str, tuple[str, str]]:
    starts = ", ".join(sorted({row["source"] for row in results.weights}))
    return {
        "aims": ("Development and internal validation; external validation where there is an external "
                 "cohort. To be added: the hypothesis.", ""),
        "use": ("Research; choosing which unread hips a person reads next. To be added: the clinical "
                "pathway.", "card"),
        "disjoint": ("Patients: a patient's hips and CTs are never in two folds.", "methods"),
        "initialised": (f"Pre-trained weights ({starts}), hashes in the table." if starts
                        else "Random weights.", "training"),
        "chosen": ("Without test folds; see the methods. All settings were fixed beforehand.", "training"),
        "output": ("A probability for each class, and the most probable class; of a regression the nearest "
                   "class. No threshold is tuned.", "methods"),
        "recalibration": ("Temperature scaling, cross-fitted; results before and after.", "calibration"),
        "code": ("hipoa is open source (Apache-2.0). To be added: whether data and models are available.",
                 "citation"),
        "models": ("File and hash of each trained model are in manifest.json.", "provenance"),
        "explanation": ("Attention roll-out or Grad-CAM." if results.explanations else "None.",
                        "explanations"),
        "poor_input": ("A CT that cannot be used is refused with its reason; doubtful hips carry a warning.",
                       "refused"),
        "user": ("A person checks each flagged radiograph and reads the hips that triage ranks first.",
                 "quality"),
    }  # fmt: skip


def _answer_results(results: Results) -> dict[str, tuple[str, str]]:
    best = results.best
    raters = find_row(results.scores, experiment=RATERS, cohort="labelled", metric="ECA")
    known = {
        "subgroups": ("By sex, age, side, implant, scanner, tube voltage, kernel and slice spacing, where "
                      "known.", "subgroups"),
        "robustness": ("Other seeds and folds, an external cohort and subgroups; no other analysis was "
                       "made.", "accuracy"),
        "limits": ("Those of the method are listed. To be added: those of the patients.", "limits"),
    }  # fmt: skip
    if best:
        score = f"{best['experiment']}: {results.primary} {write_row(best)}"
        text = f"{score}, {best['n_hips']} hips; all others in the table."
        known["performance"] = (text, "accuracy")
        known["failures"] = ("Galleries of the worst hips, confusion matrices.", "gallery")
    if raters:
        text = f"Inter-reader agreement: ECA {write_row(raters)}. {describe_intra(results)}"
        known["readers"] = (text, "accuracy")
    return known
