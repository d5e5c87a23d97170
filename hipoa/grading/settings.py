"""Settings of the grading stages, and of an experiment."""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from hipoa.core.constants import CLASS_TABLE
from hipoa.core.settings import Settings

Crowe = Annotated[int, Field(ge=1, le=4)]
Kl = Annotated[int, Field(ge=0, le=4)]
Pair = tuple[Crowe, Kl]


class ClassTable(Settings):
    """What the combined classes are.

    Masuda et al. 2024 do not give their table of classes. A table in which Crowe 1-4 and KL 1-4 rise one
    step at a time has exactly seven classes; the default lets KL rise first.
    """

    class_table: tuple[Pair, Pair, Pair, Pair, Pair, Pair, Pair] = Field(
        CLASS_TABLE, description="(Crowe, KL) of the classes 1-7, from normal to severe; neither index falls"
    )
    kl0_as_kl1: bool = Field(
        True, description="count KL 0 as KL 1 in the combined class (the index itself keeps its 0)"
    )

    @model_validator(mode="after")
    def _ordinal(self) -> Self:
        for below, above in pairwise(self.class_table):
            if below == above or below[0] > above[0] or below[1] > above[1]:
                raise ValueError(f"class_table is not ordinal: {above} follows {below}")
        return self


class HipsSettings(ClassTable):
    """How readings become one grade per hip, and which hips are left out or stop the run."""

    off_table: Literal["leave_out", "nearest"] = Field(
        "leave_out",
        description="a hip whose pair is in no class: leave_out of the combined task, or take the nearest "
        "class (least |Crowe difference| + |KL difference|; of two the milder)",
    )
    label_rule: Literal["median", "first", "latest"] = Field(
        "median",
        description="the grade of a hip with several readings, Crowe and KL each: median (of two middle "
        "ones the milder), first (as the rows stand), latest (by date, YYYY-MM-DD)",
    )
    leave_out_implants: tuple[Literal["replacement", "fixation"], ...] = Field(
        ("replacement", "fixation"),
        description="hips with an implant that are not used at all, even if graded: replacement (of head or "
        "joint, resurfacing), fixation (nails, screws, plates); [replacement] keeps nails and screws",
    )
    max_refused_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="share (0-1) of the hips of the labelled or the external cohort that may be refused; "
        "with more the run stops. Refused hips of the pool stop no run",
    )


class FoldsSettings(Settings):
    """How patients are split. Source: Masuda et al. 2024, a stratified group 4-fold."""

    folds: int = Field(4, ge=2, le=20, description="folds of the cross-validation")


class TrainSettings(Settings):
    """How a network is trained; one choice for all networks, so that they are compared fairly.

    Source: Masuda et al. 2024: 200 epochs; the names of the augmentations. Everything else is ours: neither
    optimiser nor learning rate, batch, schedule or dropout is published.
    """

    epochs: int = Field(200, ge=1, le=10_000, description="passes over the training set")
    batch_size: int = Field(32, ge=2, le=4096, description="hips per step; lower it where memory is short")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="peak learning rate, per step")
    dropout: float = Field(
        0.1, ge=0, lt=1, description="probability (0-1) of dropping a unit, the same for every network"
    )
    dropout_where: Literal["head", "everywhere"] = Field(
        "head", description="head (before the classifier alone), everywhere (where the architecture has it)"
    )
    rotate_deg: float = Field(15, ge=0, le=180, description="largest random rotation to either side, degrees")
    zoom: float = Field(0.1, ge=0, lt=1, description="largest random change of scale, as a fraction")
    blur_sigma_px: float = Field(
        1.0, ge=0, le=10, description="largest standard deviation of the random blur, input pixels"
    )
    brightness_contrast: float = Field(
        0.2, ge=0, lt=1, description="largest random change of brightness and of contrast, as a fraction"
    )
    holes: int = Field(4, ge=0, le=64, description="coarse dropout: largest number of black squares")
    optimiser: Literal["adamw", "adam", "sgd"] = Field(
        "adamw",
        description="adamw, adam (weight decay as part of the gradient), sgd (momentum 0.9, likewise)",
    )
    schedule: Literal["cosine", "constant"] = Field(
        "cosine", description="learning rate after the warm-up: cosine (falls to 0), constant"
    )
    warmup_epochs: float = Field(
        5, ge=0, description="epochs in which the learning rate rises linearly, at most half of all"
    )
    weight_decay: float = Field(
        0.05,
        ge=0,
        le=1,
        description="weight decay, per unit of learning rate; biases and norm layers do not decay",
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="share (0-1) of a classification's target spread evenly over all classes"
    )
    class_weights: bool = Field(
        False, description="weight the loss by 1 / class frequency, so that every class counts the same"
    )
    inner_folds: int = Field(
        0,
        ge=0,
        le=20,
        description="validation split: one in this many of the training patients is held back, and the loss "
        "on them is recorded after every epoch; 0: none",
    )
    inner_best: bool = Field(
        False, description="keep the epoch with the lowest validation loss instead of the last"
    )
    half_precision: bool = Field(
        False, description="store the weights as float16, half the size; training is in float32"
    )

    @model_validator(mode="after")
    def _inner_split(self) -> Self:
        if self.inner_folds == 1:
            raise ValueError("inner_folds is 1: all patients would be held back; set 0, or 2 and more")
        if self.inner_best and not self.inner_folds:
            raise ValueError("inner_best needs a validation split: set inner_folds, to 5 for instance")
        return self


class PredictSettings(Settings):
    """Monte Carlo dropout. Source: Masuda et al. 2024, 50 forward passes with dropout on."""

    passes: int = Field(50, ge=2, le=10_000, description="forward passes with dropout on")
    predict_batch_size: int = Field(
        64, ge=1, le=4096, description="images per forward pass; lower it where memory is short"
    )


class Experiment(Settings):
    """What is trained, from which weights, for which task."""

    network: str = Field(
        "vit_base_patch16_224.augreg_in1k",
        pattern=r"^[a-z0-9_]+(\.[A-Za-z0-9_]+)?$",
        description="network of timm, with the tag of its weights",
    )
    weights: str = Field(
        "hub",
        description="pre-trained weights: hub (timm's, from the Hugging Face hub), hub:REVISION, "
        "file:PATH (.safetensors or .pth), package:MODULE (a Python package that ships a .pth), none",
    )
    weights_sha256: str = Field(
        "",
        pattern=r"^([0-9a-f]{64})?$",
        description="SHA-256 that the file of weights must have; empty for any",
    )
    task: Literal["combined", "separate"] = Field(
        "combined",
        description="what is graded: the combined class 1-7, or separate: Crowe and KL on one network",
    )
    loss: Literal["classification", "regression", "ordinal"] = Field(
        "classification",
        description="classification: cross-entropy; regression: squared error of the class number, which is "
        "rounded to the nearest class, halves up; ordinal: cross-entropy against a target that "
        "neighbouring classes share (SORD)",
    )
    input_px: int = Field(224, ge=32, le=1024, description="side of the network's input, pixels")

    @field_validator("weights")
    @classmethod
    def _known_source(cls, text: str) -> str:
        kind, _, rest = text.partition(":")
        if text in {"none", "hub"} or (kind in {"hub", "file", "package"} and rest):
            return text
        raise ValueError(f'"{text}" is none of none, hub, hub:REVISION, file:PATH, package:MODULE')
