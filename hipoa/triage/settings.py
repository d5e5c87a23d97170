"""The settings of the triage room: one model per stage."""

from typing import Literal

from pydantic import Field

from hipoa.core.settings import Settings

Unit = Literal["patient", "hip"]


class TriageSettings(Settings):
    """In which order unread hips go to the surgeon."""

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
        description=(
            "what makes a hip worth reading, averaged over the repeats, the largest first (of "
            "max_probability the smallest). max_probability and entropy are of the mean probability over "
            "passes and models. variance is the source's: with dropout before the classifier alone it is "
            "tiny, and least where all classes are improbable, so that the least certain hip can come last "
            "(on synthetic hips it found errors worse than chance); of a regression it is the one to take. "
            "distance is from the labelled hips in the networks' "
            "features, set_size that of the conformal set. detection.csv tells which finds errors here"
        ),
    )
    experiment: str = Field(
        "", description="the experiment whose uncertainty counts; empty for the first of the configuration"
    )
    budget: int = Field(
        50,
        ge=1,
        le=10_000,
        description="hips that will be read before the networks are trained again, a count; they are chosen "
        "as one batch, the others follow by the measure alone",
    )
    unit: Unit = Field(
        "patient",
        description="patient: the hips of a patient stand one after the other, since they are read on one "
        "CT; hip: each for itself",
    )
    diversity: float = Field(
        0.5,
        ge=0,
        le=1,
        description="how much it counts within the batch that a hip is unlike the labelled ones and those "
        "before it, so that near copies are not read twenty times: 0 the measure alone, 1 the distance "
        "alone (k-centre)",
    )
    set_level: float = Field(
        0.9, gt=0, lt=1, description="share (0-1) of hips whose conformal set is to hold the true class"
    )
    set_aside_implants: bool = Field(
        True,
        description="hips with an implant are listed without a rank: they have no grade of osteoarthritis",
    )
    set_aside_poor: bool = Field(
        True, description="hips with a poor image, as the three settings below say, are listed without a rank"
    )
    least_confidence: float = Field(
        0.6,
        ge=0,
        le=1,
        description="confidence (0-1) of the hip's centre below which the image is poor",
    )
    largest_turn_deg: float = Field(
        20, ge=0, le=180, description="turn of the pelvis about the long axis beyond which it is, degrees"
    )
    most_cuts: int = Field(
        1,
        ge=0,
        le=4,
        description="sides of the field of view at which the CT may end; more make the image poor",
    )


class LabelErrorsSettings(Settings):
    """Which labels are read a second time."""

    doubt_by: Literal["expected_distance", "self_confidence"] = Field(
        "expected_distance",
        description="expected_distance: of the label from the class by the models' probabilities, in "
        "classes, the largest first; self_confidence: the probability of the label, the least first",
    )
    least_distance: float = Field(
        1.0,
        ge=0,
        le=6,
        description="expected distance from which on a label is doubted, classes; 0 for every label but the "
        "class that the models are surest of: readers differ by one class every day",
    )


class SimulateSettings(Settings):
    """Whether choosing the hips to read would have paid on the labelled cohort."""

    simulate: bool = Field(True, description="simulate reading the labelled cohort in different orders")
    simulate_seeds: int = Field(
        10, ge=1, le=1000, description="first patients drawn anew, a count; below 5 intervals mean little"
    )
    simulate_rounds: int = Field(
        10, ge=1, le=200, description="batches in which the patients are read after the first ones, a count"
    )
    first_share: float = Field(
        0.1, gt=0, lt=1, description="share (0-1) of the patients that is read first, at random"
    )
    strategies: tuple[
        Literal["variance", "mutual_information", "entropy", "max_probability", "diversity", "hybrid"], ...
    ] = Field(
        ("variance", "mutual_information", "max_probability", "diversity", "hybrid"),
        description="what is set against random: a measure of uncertainty; diversity, k-centre on the "
        "features; hybrid, triage's own measure and diversity",
    )
    least_test_patients: int = Field(
        10,
        ge=2,
        description="graded external patients, a count, from which on they are the test set; else a quarter "
        "of the labelled patients is",
    )
    head_dimensions: int = Field(
        64, ge=2, le=4096, description="principal axes of the frozen features that the head sees, a count"
    )
    head_dropout: float = Field(
        0.25, gt=0, lt=1, description="probability (0-1) of dropping a feature before the head"
    )
    head_decay: float = Field(0.01, ge=0, le=10, description="weight decay of the head, per step")
    head_steps: int = Field(200, ge=10, le=10_000, description="steps of Adam, a count")
    head_passes: int = Field(50, ge=2, le=1000, description="passes with dropout on, a count")
    simulate_seed: int = Field(0, ge=0, description="seed of the simulation")
