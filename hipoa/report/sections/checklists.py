"""The items of TRIPOD+AI and CLAIM, in our own short words, and which answer of a run speaks to each.

An empty answer is a person's to give. Read the statements themselves before a paper is sent.
"""

from __future__ import annotations

from typing import NamedTuple


class Item(NamedTuple):
    """One item of a reporting guideline.

    Attributes:
        number: As the statement numbers it.
        asks: What it asks for, in our words.
        answer: The name of the run's answer (`hipoa.report.sections.reporting`); empty: open.
    """

    number: str
    asks: str
    answer: str = ""


class Checklist(NamedTuple):
    """A guideline: its name, the statement to cite, and its items."""

    name: str
    source: str
    items: tuple[Item, ...]


TRIPOD_AI = Checklist(
    "TRIPOD+AI",
    "Collins GS et al. TRIPOD+AI statement: updated guidance for reporting clinical prediction "
    "models that use "
    "regression or machine learning methods. BMJ 2024;385:e078378.",
    (
        Item("1", "Title: a model developed or evaluated, for whom, and its outcome"),
        Item("2", "Structured abstract"),
        Item("3a", "Health problem, diagnostic or prognostic, and the models that exist"),
        Item("3b", "For which patients, where in their care, and who is to use it", "use"),
        Item("3c", "Known inequalities between groups of patients"),
        Item("4", "Aims: development, evaluation or both", "aims"),
        Item(
            "5a",
            "Sources of the data, for development and for evaluation, and whether they represent "
            "the patients",
        ),
        Item("5b", "Dates of the data"),
        Item("6a", "Setting, number and place of the centres"),
        Item("6b", "Who was eligible", "eligible"),
        Item("6c", "Treatments before the CT, and how these were dealt with"),
        Item("7", "Preparation and checking of the data", "preparation"),
        Item("8a", "The outcome: what, how and when it was assessed", "outcome"),
        Item("8b", "Who assessed it, and their qualification"),
        Item("8c", "What the assessors knew"),
        Item("9a", "Which predictors were considered, and why", "predictors"),
        Item("9b", "How and when predictors were measured", "projection"),
        Item("9c", "Who assessed predictors that need judgement", "no_judgement"),
        Item("10", "How the number of patients came about", "size"),
        Item("11", "Missing data", "missing"),
        Item("12a", "How data were divided for development and evaluation", "partition"),
        Item("12b", "How predictors were transformed", "preprocessing"),
        Item("12c", "Kind of model, its building, tuning and internal validation", "model"),
        Item("12d", "Differences between centres or groups, and how they were allowed for", "clusters"),
        Item("12e", "Measures of performance, and why", "measures"),
        Item("12f", "Any recalibration", "recalibration"),
        Item("12g", "How predictions were computed for evaluation", "prediction"),
        Item("13", "Class imbalance, what was done and what it does to the probabilities", "imbalance"),
        Item("14", "What was done for fairness, and why"),
        Item("15", "What the model gives, and how classes follow", "output"),
        Item("16", "Differences between the data of development and of evaluation", "external"),
        Item("17", "Ethical approval and consent"),
        Item("18a", "Funding"),
        Item("18b", "Conflicts of interest"),
        Item("18c", "Where the protocol is"),
        Item("18d", "Registration"),
        Item("18e", "Whether and how the data can be had"),
        Item("18f", "Whether and how the code can be had", "code"),
        Item("19", "Involvement of patients and the public"),
        Item("20a", "Flow of the patients, with and without the outcome", "flow"),
        Item("20b", "Characteristics of the patients, overall and by source", "characteristics"),
        Item("20c", "Evaluation and development data compared", "external"),
        Item("21", "Patients and outcomes in each analysis", "numbers"),
        Item("22", "The full model, so that others can use it", "models"),
        Item("23a", "Performance with intervals, in subgroups too", "performance"),
        Item("23b", "Differences of performance between centres", "subgroups"),
        Item("24", "Results of any updating of the model", "recalibration"),
        Item("25", "What the results mean, fairness included"),
        Item("26", "Limits: data that do not represent, size, overfitting, missing data", "limits"),
        Item("27a", "What happens with input that is poor or missing", "poor_input"),
        Item("27b", "What a user must do and know", "user"),
        Item("27c", "What research is to come"),
    ),
)

CLAIM = Checklist(
    "CLAIM",
    "Tejani AS et al. Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 "
    "update. Radiology: "
    "Artificial Intelligence 2024;6:e240300.",
    (
        Item("1", "Title or abstract names the study as one of AI, and of which kind"),
        Item("2", "Structured abstract"),
        Item("3", "Background, and the clinical role of the model"),
        Item("4", "Aims and hypotheses", "aims"),
        Item("5", "Prospective or retrospective"),
        Item("6", "Goal of the study: such as feasibility, development, comparison", "aims"),
        Item("7", "Sources of the data"),
        Item("8", "Who was included and excluded: how, where, when", "eligible"),
        Item("9", "Preprocessing", "preprocessing"),
        Item("10", "Selection of parts of the data, such as a crop", "projection"),
        Item("11", "De-identification", "deidentified"),
        Item("12", "Missing data", "missing"),
        Item("13", "Acquisition of the images", "acquisition"),
        Item("14", "How the reference standard was defined", "outcome"),
        Item("15", "Why this reference standard"),
        Item("16", "Who gave it, and their qualification"),
        Item("17", "How the test set was annotated", "outcome"),
        Item("18", "Variability between and within readers", "readers"),
        Item("19", "How data were assigned to partitions", "partition"),
        Item("20", "At which level partitions are disjoint", "disjoint"),
        Item("21", "Intended size of the test set", "size"),
        Item("22", "The model in full", "model"),
        Item("23", "Software", "software"),
        Item("24", "How parameters were initialised", "initialised"),
        Item("25", "Training in full", "training"),
        Item("26", "How the final model was chosen", "chosen"),
        Item("27", "Ensembles", "prediction"),
        Item("28", "Metrics", "measures"),
        Item("29", "Measures of significance and of uncertainty", "significance"),
        Item("30", "Analysis of robustness", "robustness"),
        Item("31", "Methods of explanation", "explanation"),
        Item("32", "Evaluation on internal data", "performance"),
        Item("33", "Evaluation on external data", "external"),
        Item("34", "Registration of a trial"),
        Item("35", "Patients included and excluded, in a flow diagram", "flow"),
        Item("36", "Characteristics of the patients in each partition", "characteristics"),
        Item("37", "Performance and its uncertainty", "performance"),
        Item("38", "Estimates with their precision", "performance"),
        Item("39", "Analysis of failures", "failures"),
        Item("40", "Limits", "limits"),
        Item("41", "What it means for practice"),
        Item("42", "Where the protocol is"),
        Item("43", "Whether software, model and data can be had", "code"),
        Item("44", "Funding"),
    ),
)
