"""What the reporting guidelines ask, answered where the run knows it and open where a person must."""

from __future__ import annotations

from typing import Any, NamedTuple

from hipoa.evaluation.metrics.raters import RATERS
from hipoa.report.checklists import CLAIM, TRIPOD_AI, Checklist
from hipoa.report.results import Results
from hipoa.report.scanner_table import describe_acquisition, describe_people
from hipoa.report.score_table import find_best, find_score
from hipoa.report.sections.methods import describe_methods
from hipoa.report.sections.summary import write_score


class Filled(NamedTuple):
    """One item: its number, what it asks, the run's answer (empty: open) and the section that says more."""

    number: str
    asks: str
    answer: str
    where: str


def gather(results: Results) -> dict[str, Any]:
    """Both checklists."""
    known = answer_items(results)
    return {"checklists": [(checklist, fill(checklist, known)) for checklist in (TRIPOD_AI, CLAIM)]}


def fill(checklist: Checklist, known: dict[str, tuple[str, str]]) -> list[Filled]:
    """The items with the answers of a run."""
    return [Filled(item.number, item.asks, *known.get(item.answer, ("", ""))) for item in checklist.items]


def answer_items(results: Results) -> dict[str, tuple[str, str]]:
    """Name to an answer and the section that says more; only what the run knows."""
    return _answer_data(results) | _answer_model(results) | _answer_results(results)


def _answer_data(results: Results) -> dict[str, tuple[str, str]]:
    config, flow = results.config, results.everything
    text = {paragraph.title: paragraph.text for paragraph in describe_methods(results)}
    external = sum(hip.cohort == "external" for hip in results.hips)
    acquired, people = describe_acquisition(results.hips), describe_people(results.hips)
    methods = {
        "preparation": "Radiographs", "projection": "Radiographs", "preprocessing": "Radiographs",
        "outcome": "Reference grades",
    }  # fmt: skip
    return {name: (text[title], "methods") for name, title in methods.items()} | {
        "eligible": (f"Every CT of the table of cases; {flow.excluded} hips excluded by it. The "
                     f"clinical criteria are to be added.", "patients"),
        "missing": (f"A hip without a usable CT is refused ({flow.refused} hips), one without a "
                    f"class is not scored; nothing is imputed.", "refused"),
        "acquisition": (f"{acquired} Tube current, contrast medium and position are to be added." if acquired
                        else "Voxel sizes and where CTs end are known; the scanner's protocol is to be "
                        "added.", "quality"),
        "deidentified": ("The report and all tables hold pseudonyms alone: no name, date or DICOM "
                         "identifier.", ""),
        "size": (f"{flow.patients} patients, {flow.predicted} scored hips; why so many is to be "
                 f"added.", "patients"),
        "numbers": (f"{flow.predicted} scored hips; every table names its hips and patients.", "patients"),
        "flow": ("Flow diagram with reasons.", "patients"),
        "characteristics": (f"Classes by cohort are shown. Patients: {people}." if people
                            else "Classes by cohort are shown; sex and age are to be added.", "patients"),
        "external": (f"{external} hips of an external cohort stand "
                     f"apart." if external else "There is no external cohort.", "external"),
        "clusters": ("Two hips of a patient are kept together in folds and in every interval; "
                     "scores by scanner and protocol stand apart.", "subgroups"),
        "predictors": ("The radiograph of the hip alone.", "radiographs"),
        "no_judgement": ("None: the radiograph is computed.", "methods"),
        "imbalance": (
            "Folds are stratified by class; the loss is "
            "" + ("" if config["train"]["class_weights"] else "not ") + "weighted by class. "
            "Balanced accuracy and recall of each class stand beside ECA.", "accuracy",
        ),
    }  # fmt: skip


def _answer_model(results: Results) -> dict[str, tuple[str, str]]:
    text = {paragraph.title: paragraph.text for paragraph in describe_methods(results)}
    titles = {
        "model": "Networks", "training": "Training", "partition": "Validation", "prediction": "Validation",
        "measures": "Statistics", "significance": "Statistics", "software": "Software",
    }  # fmt: skip
    starts = sorted({row["source"] for row in results.weights})
    return {name: (text[title], "methods") for name, title in titles.items()} | {
        "aims": ("Development and internal validation; external where there is such a cohort. The "
                 "hypothesis is to be added.", ""),
        "use": ("Research; choosing which unread hips a person reads next. The clinical pathway is "
                "to be added.", "card"),
        "disjoint": ("Patients: a patient's hips and CTs are never in two folds.", "methods"),
        "initialised": (f"Pre-trained weights ({', '.join(starts)}), their hashes in the "
                        f"table." if starts else "Random weights.", "training"),
        "chosen": ("No test fold had a say; see the methods. All settings were fixed before.", "training"),
        "output": ("A probability for each class; the class of the largest. Of a regression the "
                   "nearest class. No threshold is tuned.", "methods"),
        "recalibration": ("Temperature scaling, cross-fitted; results before and after.", "calibration"),
        "code": ("hipoa is open (Apache-2.0). Whether data and models can be had is to be "
                 "added.", "citation"),
        "models": ("Each trained model's file and hash stand in manifest.json.", "provenance"),
        "explanation": ("Attention roll-out or "
                        "Grad-CAM." if results.explanations else "None was made.", "explanations"),
        "poor_input": ("A CT that cannot be used is refused with its reason; doubtful hips carry a "
                       "warning.", "refused"),
        "user": ("A person looks at each flagged radiograph and reads the hips that triage puts "
                 "first.", "quality"),
    }  # fmt: skip


def _answer_results(results: Results) -> dict[str, tuple[str, str]]:
    best = find_best(results.scores)
    readers = find_score(results.scores, RATERS, "labelled", "ECA")
    known = {
        "subgroups": (
            "By sex, age, side, implant, scanner, tube voltage, kernel and slice step, where known.",
            "subgroups",
        ),
        "robustness": (
            "Other seeds and folds, an external cohort and subgroups; no other was made.",
            "accuracy",
        ),
        "limits": ("Those of the method are listed; those of the patients are to be added.", "limits"),
    }
    if best is not None:
        known["performance"] = (
            f"{best.experiment}: ECA {write_score(best)}, {best.n_hips} hips; all others in the table.",
            "accuracy",
        )
        known["failures"] = ("Galleries of the worst hips, confusion matrices.", "gallery")
    if readers is not None:
        known["readers"] = (
            f"Reader against reader: ECA {write_score(readers)}. Within readers it is not known.",
            "accuracy",
        )
    return known
