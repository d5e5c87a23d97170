"""Settings of the triage stages."""

from typing import Literal

from pydantic import Field

from hipoa.core.settings import Settings

Unit = Literal["patient", "hip"]


class TriageSettings(Settings):
    """In which order unread hips go to the surgeon."""

    budget: int = Field(
        50,
        ge=1,
        le=10_000,
        description="hips read before the networks are trained again, chosen as one batch",
    )
    measure: Literal[
        "max_probability",
        "entropy",
        "variance",
        "mutual_information",
        "between_model_variance",
        "distance",
        "set_size",
    ] = Field(
        "max_probability",
        description="what makes a hip worth reading, averaged over the repeats, the largest first (of "
        "max_probability the smallest). max_probability and entropy are of the mean probability over passes "
        "and models. variance is that of Masuda et al. 2024: with dropout before the classifier alone it is "
        "tiny, and least where all classes are improbable, so that the least certain hip can come last (on "
        "synthetic hips it found errors worse than chance); for a regression it is the one to take. distance "
        "is from the labelled hips in the networks' features, set_size that of the conformal set. "
        "detection.csv shows which finds errors in your data",
    )
    experiment: str = Field(
        "", description="the experiment whose uncertainty counts; empty for the first of the configuration"
    )
    unit: Unit = Field(
        "patient",
        description="patient: the hips of a patient are listed together, since they are read on one CT; "
        "hip: each on its own",
    )
    diversity: float = Field(
        0.5,
        ge=0,
        le=1,
        description="weight, within the batch, of a hip's distance from the labelled hips and those chosen "
        "before it, so that near copies are not read twenty times: 0 the measure alone, 1 the distance alone "
        "(k-centre)",
    )
    set_aside_implants: bool = Field(
        True,
        description="hips with an implant are listed without a rank: they have no grade of osteoarthritis",
    )
    set_aside_poor: bool = Field(
        True,
        description="hips with a poor image (confidence of the centre below 0.6, pelvis turned by more than "
        "20 degrees, or the CT ending at more than one side of the field of view) are listed without a rank",
    )


class LabelErrorsSettings(Settings):
    """Which labels should be read a second time."""

    rank_by: Literal["expected_distance", "self_confidence"] = Field(
        "expected_distance",
        description="expected_distance: of the label from the class by the models' probabilities, in "
        "classes, the largest first; self_confidence: the probability of the label, the least first",
    )
    least_distance: float = Field(
        1.0,
        ge=0,
        le=6,
        description="expected distance from which on a label counts as a possible error, classes; 0 for "
        "every label but the class that the models are surest of: raters often differ by one class",
    )


class SimulateSettings(Settings):
    """Whether choosing the hips to read would have paid on the labelled cohort."""

    simulate: bool = Field(True, description="simulate reading the labelled cohort in different orders")
    simulate_seeds: int = Field(
        10,
        ge=1,
        le=1000,
        description="simulations, each from other first patients; below 5 the intervals mean little",
    )
    simulate_rounds: int = Field(
        10, ge=1, le=200, description="batches in which the patients are read after the first ones"
    )
    strategies: tuple[
        Literal["variance", "mutual_information", "entropy", "max_probability", "diversity", "hybrid"], ...
    ] = Field(
        ("variance", "mutual_information", "max_probability", "diversity", "hybrid"),
        description="what is compared with random order: a measure of uncertainty; diversity, k-centre on "
        "the features; hybrid, triage's own measure and diversity",
    )
