"""The items of TRIPOD+AI and CLAIM, abridged, and the answer of the run to each.

An item without an answer is for a person to answer. Consult the statements before submitting a paper.
"""

from __future__ import annotations

from typing import NamedTuple


class Item(NamedTuple):
    """One item of a reporting guideline."""

    number: str  # as the statement numbers it
    asks: str  # what it asks for, abridged
    answer: str = ""  # the name of the run's answer in `hipoa.report.sections.reporting`; empty: open


class Checklist(NamedTuple):
    """A guideline: its name, the statement to cite, and its items."""

    name: str
    source: str
    items: tuple[Item, ...]


TRIPOD_AI = Checklist(
    "TRIPOD+AI",
    "Collins GS et al. TRIPOD+AI statement: updated guidance for reporting clinical prediction models "
    "that use regression or machine learning methods. BMJ 2024;385:e078378.",
    (
        Item("1", "Title: a model developed or evaluated, for whom, and its outcome"),
        Item("2", "Structured abstract"),
        Item("3a", "Health problem, diagnostic or prognostic, and existing models"),
        Item("3b", "Target population, place in the care pathway, and intended users", "use"),
        Item("3c", "Known health inequalities between groups of patients"),
        Item("4", "Aims: development, evaluation or both", "aims"),
        Item("5a", "Data sources for development and evaluation, and how representative they are"),
        Item("5b", "Dates of the data"),
        Item("6a", "Setting, number and location of the centres"),
        Item("6b", "Eligibility criteria", "eligible"),
        Item("6c", "Treatments received, and how they were handled"),
        Item("7", "Data preparation and quality checks", "preparation"),
        Item("8a", "The outcome: what, how and when it was assessed", "outcome"),
        Item("8b", "Qualification of the outcome assessors"),
        Item("8c", "Blinding of the outcome assessors"),
        Item("9a", "Choice of predictors", "predictors"),
        Item("9b", "How and when predictors were measured", "projection"),
        Item("9c", "Qualification of the assessors of subjective predictors", "no_judgement"),
        Item("10", "How the study size was determined", "size"),
        Item("11", "Handling of missing data", "missing"),
        Item("12a", "How data were partitioned for development and evaluation", "partition"),
        Item("12b", "Handling of predictors, such as transformation", "preprocessing"),
        Item("12c", "Type of model, model building, tuning and internal validation", "model"),
        Item("12d", "Handling of heterogeneity between clusters, such as centres", "clusters"),
        Item("12e", "Performance measures, and their rationale", "measures"),
        Item("12f", "Any model updating, such as recalibration", "recalibration"),
        Item("12g", "How predictions were calculated for evaluation", "prediction"),
        Item("13", "Class imbalance: methods, and recalibration of the probabilities", "imbalance"),
        Item("14", "Methods to address fairness, and their rationale"),
        Item("15", "Model output, and thresholds of the classes", "output"),
        Item("16", "Differences between development and evaluation data", "external"),
        Item("17", "Ethical approval and consent"),
        Item("18a", "Funding"),
        Item("18b", "Conflicts of interest"),
        Item("18c", "Where the protocol is available"),
        Item("18d", "Registration"),
        Item("18e", "Availability of the data"),
        Item("18f", "Availability of the code", "code"),
        Item("19", "Patient and public involvement"),
        Item("20a", "Flow of patients, with and without the outcome", "flow"),
        Item("20b", "Characteristics of the patients, overall and by source", "characteristics"),
        Item("20c", "Comparison of development and evaluation data", "external"),
        Item("21", "Numbers of patients and outcomes in each analysis", "numbers"),
        Item("22", "Details of the full model, so that others can use it", "models"),
        Item("23a", "Performance with confidence intervals, also in subgroups", "performance"),
        Item("23b", "Heterogeneity of performance across clusters", "subgroups"),
        Item("24", "Results of any model updating", "recalibration"),
        Item("25", "Interpretation of the results, including fairness"),
        Item("26", "Limitations: representativeness, sample size, overfitting, missing data", "limits"),
        Item("27a", "How poor or missing input is handled", "poor_input"),
        Item("27b", "User interaction and expertise required", "user"),
        Item("27c", "Next steps for research"),
    ),
)

CLAIM = Checklist(
    "CLAIM",
    "Tejani AS et al. Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 update. "
    "Radiology: Artificial Intelligence 2024;6:e240300.",
    (
        Item("1", "Title or abstract identifies the study as one of AI, with the type of method"),
        Item("2", "Structured abstract"),
        Item("3", "Background, and the intended clinical role of the model"),
        Item("4", "Aims and hypotheses", "aims"),
        Item("5", "Prospective or retrospective"),
        Item("6", "Study goal, such as feasibility, model creation, comparison", "aims"),
        Item("7", "Data sources"),
        Item("8", "Inclusion and exclusion criteria: how, where, when", "eligible"),
        Item("9", "Preprocessing", "preprocessing"),
        Item("10", "Selection of data subsets, such as image crops", "projection"),
        Item("11", "De-identification", "deidentified"),
        Item("12", "Missing data", "missing"),
        Item("13", "Image acquisition protocol", "acquisition"),
        Item("14", "Definition of the reference standard", "outcome"),
        Item("15", "Rationale for the reference standard"),
        Item("16", "Source and qualification of its annotators"),
        Item("17", "Annotation of the test set", "outcome"),
        Item("18", "Inter- and intra-reader variability", "readers"),
        Item("19", "Assignment of data to partitions", "partition"),
        Item("20", "Level at which partitions are disjoint", "disjoint"),
        Item("21", "Intended size of the test set", "size"),
        Item("22", "Detailed description of the model", "model"),
        Item("23", "Software", "software"),
        Item("24", "Initialisation of the parameters", "initialised"),
        Item("25", "Details of training", "training"),
        Item("26", "Selection of the final model", "chosen"),
        Item("27", "Ensembling", "prediction"),
        Item("28", "Performance metrics", "measures"),
        Item("29", "Statistical measures of significance and uncertainty", "significance"),
        Item("30", "Robustness or sensitivity analysis", "robustness"),
        Item("31", "Methods of explanation", "explanation"),
        Item("32", "Evaluation on internal data", "performance"),
        Item("33", "Evaluation on external data", "external"),
        Item("34", "Trial registration"),
        Item("35", "Flow diagram of patients included and excluded", "flow"),
        Item("36", "Characteristics of the patients in each partition", "characteristics"),
        Item("37", "Performance metrics and their uncertainty", "performance"),
        Item("38", "Diagnostic performance estimates and their precision", "performance"),
        Item("39", "Failure analysis", "failures"),
        Item("40", "Limitations", "limits"),
        Item("41", "Implications for practice"),
        Item("42", "Where the protocol is available"),
        Item("43", "Availability of software, model and data", "code"),
        Item("44", "Funding"),
    ),
)

CHECKLISTS = (TRIPOD_AI, CLAIM)
"""In the order of the page."""
