"""The settings of the grading room: one model per stage, and one row per experiment."""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from hipoa.core.settings import Settings

Crowe = Annotated[int, Field(ge=1, le=4)]
Kl = Annotated[int, Field(ge=0, le=4)]
Pair = tuple[Crowe, Kl]

STAIRCASE: tuple[Pair, ...] = ((1, 1), (1, 2), (1, 3), (1, 4), (2, 4), (3, 4), (4, 4))


class ClassTable(Settings):
    """What the combined classes are.

    The source work does not give its table of classes: a monotone staircase on Crowe 1-4 x KL 1-4 has
    exactly seven cells, and the default is the natural one.
    """

    class_table: tuple[Pair, Pair, Pair, Pair, Pair, Pair, Pair] = Field(
        STAIRCASE, description="(Crowe, KL) of the classes 1-7, from normal to severe; neither index falls"
    )
    kl0_as_kl1: bool = Field(True, description="count KL 0 as KL 1 in the combined class (kl keeps its 0)")

    @model_validator(mode="after")
    def _ordinal(self) -> Self:
        for below, above in pairwise(self.class_table):
            if below == above or below[0] > above[0] or below[1] > above[1]:
                raise ValueError(f"class_table is not ordinal: {above} follows {below}")
        return self


class HipsSettings(ClassTable):
    """How readings become one grade per hip, and when a cohort is too incomplete to go on."""

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
    max_refused_share: float = Field(
        0.2, ge=0, le=1, description="share (0-1) of a cohort's hips that may be refused before the run stops"
    )


class FoldsSettings(Settings):
    """How patients are split. Source: a stratified group 4-fold, repeated with 15 seeds."""

    folds: int = Field(4, ge=2, le=20, description="folds of the cross-validation, a count")
    folds_seed: int = Field(0, ge=0, description="seed of the split; the repeat is added to it")


class TrainSettings(Settings):
    """How a network is trained; one choice for all networks, so that they are compared fairly.

    Source: 200 epochs; the names of the augmentations. Everything else is ours: the source names neither
    optimiser nor learning rate, batch, schedule or dropout.
    """

    epochs: int = Field(200, ge=1, le=10_000, description="passes through the training hips, a count")
    batch_size: int = Field(32, ge=2, le=4096, description="hips per step, a count")
    optimiser: Literal["adamw", "adam", "sgd"] = Field(
        "adamw",
        description="adamw, adam (weight decay as part of the gradient), sgd (momentum 0.9, likewise)",
    )
    learning_rate: float = Field(1e-4, gt=0, le=1, description="peak learning rate, per step")
    schedule: Literal["cosine", "constant"] = Field(
        "cosine", description="learning rate after its rise: cosine (falls to 0), constant"
    )
    warmup_epochs: float = Field(
        5, ge=0, description="epochs in which the learning rate rises in a line, at most half of all"
    )
    weight_decay: float = Field(
        0.05,
        ge=0,
        le=1,
        description="decay of weights, not of biases and norms, share per unit learning rate",
    )
    clip_norm: float = Field(1.0, gt=0, description="largest norm of the gradient, in units of the loss")
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="share (0-1) of a classification's target spread evenly"
    )
    ordinal_sharpness: float = Field(
        2.0,
        gt=0,
        le=20,
        description="ordinal loss: a class's share of the target falls by exp(-this) per class of distance",
    )
    class_weights: bool = Field(False, description="weigh the loss by 1 / frequency of the class")
    dropout: float = Field(
        0.1, ge=0, lt=1, description="probability (0-1) of dropping a unit, the same for every network"
    )
    dropout_where: Literal["head", "everywhere"] = Field(
        "head", description="head: before the classifier alone; everywhere: wherever the network has a place"
    )
    rotate_deg: float = Field(15, ge=0, le=180, description="largest random rotation to either side, degrees")
    zoom: float = Field(0.1, ge=0, lt=1, description="largest random change of size, a share")
    blur_sigma_px: float = Field(
        1.0, ge=0, le=10, description="largest standard deviation of the random blur, input pixels"
    )
    brightness: float = Field(0.2, ge=0, lt=1, description="largest random shift, a share of the grey range")
    contrast: float = Field(0.2, ge=0, lt=1, description="largest random change of contrast, a share")
    holes: int = Field(4, ge=0, le=64, description="coarse dropout: largest number of black squares, a count")
    hole_share: float = Field(
        0.1, gt=0, le=0.5, description="coarse dropout: side of a square, a share of the image's side"
    )
    half_precision: bool = Field(
        False, description="write the weights of a model as float16, half the size; it is trained in float32"
    )
    inner_folds: int = Field(
        0,
        ge=0,
        le=20,
        description="inner split: of the patients trained on one in so many is held back, and the loss on "
        "them recorded after every epoch; 0: none",
    )
    inner_best: bool = Field(
        False, description="keep the epoch with the least loss on the inner split instead of the last"
    )
    train_seed: int = Field(0, ge=0, description="seed of training; repeat, fold and experiment are added")
    checkpoint_minutes: float = Field(
        5, ge=0, description="least time between two checkpoints, minutes; 0: after every epoch"
    )

    @model_validator(mode="after")
    def _inner_split(self) -> Self:
        if self.inner_folds == 1:
            raise ValueError("inner_folds is 1: all patients would be held back; set 0, or 2 and more")
        if self.inner_best and not self.inner_folds:
            raise ValueError("inner_best needs an inner split: set inner_folds, to 5 for instance")
        return self


class PredictSettings(Settings):
    """Monte Carlo dropout. Source: 50 forward passes with dropout on."""

    passes: int = Field(50, ge=2, le=10_000, description="forward passes with dropout on, a count")
    predict_batch_size: int = Field(64, ge=1, le=4096, description="hips per forward pass, a count")
    predict_seed: int = Field(0, ge=0, description="seed of the passes; repeat, fold and cohort are added")


class Experiment(Settings):
    """A named row of the configuration: what is trained, from which weights, for which task."""

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
