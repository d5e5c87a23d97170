"""Settings of the triage stages."""

from typing import Literal

from pydantic import Field

from hipoa.core.settings import Settings

Unit = Literal["patient", "hip"]


class TriageSettings(Settings):
    """The order in which unread hips are to be read."""

    budget: int = Field(
        50,
        ge=1,
        le=10_000,
        description="hips to read before the networks are trained again; they are chosen as one batch",
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
        description="the measure by which hips are ranked, averaged over the repeats, the largest first (of "
        "max_probability the smallest). max_probability and entropy are of the mean probability over passes "
        "and models. variance is that of Masuda et al. 2024: with dropout before the classifier alone it is "
        "tiny, and smallest where no class is probable, so that the least certain hip can come last (on "
        "synthetic hips it found errors less well than chance); use it for a regression. distance is from "
        "the labelled hips in the networks' feature space, set_size is the size of the conformal set. "
        "detection.csv shows which measure finds errors in your data",
    )
    experiment: str = Field(
        "", description="the experiment whose uncertainty counts; empty for the first of the configuration"
    )
    unit: Unit = Field(
        "patient",
        description="patient: a patient's hips are listed together, since they are read on one CT; "
        "hip: each hip is listed by itself",
    )
    diversity: float = Field(
        0.5,
        ge=0,
        le=1,
        description="weight, within the batch, of a hip's distance from the labelled hips and from those "
        "chosen before it, so that near duplicates are not all read: 0 the measure alone, 1 the distance "
        "alone (k-centre)",
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
        description="expected_distance: between the label and the class, by the models' probabilities, in "
        "classes, the largest first; self_confidence: the probability of the label, the smallest first",
    )
    least_distance: float = Field(
        1.0,
        ge=0,
        le=6,
        description="smallest expected distance at which a label counts as a possible error, classes "
        "(readers often differ by one)",
    )


class SimulateSettings(Settings):
    """Whether choosing the hips to read would have paid off on the labelled cohort."""

    simulate: bool = Field(True, description="simulate reading the labelled cohort in different orders")
    simulate_seeds: int = Field(
        10,
        ge=1,
        le=1000,
        description="number of simulations, each with different first patients; with fewer than 5 the "
        "intervals mean little",
    )
    simulate_rounds: int = Field(
        10, ge=1, le=200, description="number of batches in which the other patients are read"
    )
    strategies: tuple[
        Literal["variance", "mutual_information", "entropy", "max_probability", "diversity", "hybrid"], ...
    ] = Field(
        ("variance", "mutual_information", "max_probability", "diversity", "hybrid"),
        description="orders that are compared with random order: by a measure of uncertainty; diversity: "
        "k-centre on the features; hybrid: triage.measure and triage.diversity",
    )
