"""The settings of the evaluation room: one model per stage."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from hipoa.core.settings import Settings


class UncertaintySettings(Settings):
    """How the passes become one number per hip."""

    variance_of: Literal["predicted", "mean_over_classes"] = Field(
        "predicted",
        description=(
            "the probability whose variance over the passes is taken (the source work does not say which): "
            "predicted, of the class with the largest mean probability; "
            "mean_over_classes, of each class, averaged over the seven"
        ),
    )


class BootstrapSettings(Settings):
    """How sure a number is said to be; the same for all tables."""

    bootstrap_resamples: int = Field(
        2000, ge=100, le=100_000, description="resamples of the patients behind each 95 % interval, a count"
    )
    bootstrap_seed: int = Field(0, ge=0, description="seed of the resampling of patients")


class MetricsSettings(Settings):
    """Which subgroups of hips are scored apart."""

    age_bounds_years: tuple[Annotated[int, Field(gt=0, lt=120)], ...] = Field(
        (50, 65), description="ages at which a new band of the subgroups begins, years; rising"
    )

    @field_validator("age_bounds_years")
    @classmethod
    def _rising(cls, bounds: tuple[int, ...]) -> tuple[int, ...]:
        if list(bounds) != sorted(set(bounds)):
            raise ValueError("the bounds do not rise")
        return bounds


class CompareSettings(Settings):
    """How a Mann-Whitney U test is shown."""

    star_levels: tuple[
        Annotated[float, Field(gt=0, lt=1)],
        Annotated[float, Field(gt=0, lt=1)],
        Annotated[float, Field(gt=0, lt=1)],
    ] = Field(
        (0.05, 0.01, 0.001),
        description="Holm-adjusted p (a share) below which one, two and three stars are given",
    )


class CalibrateSettings(Settings):
    """How calibration is looked at."""

    calibration_bins: int = Field(
        10, ge=2, le=100, description="equally wide bins of confidence of the reliability diagrams, a count"
    )


class ConformSettings(Settings):
    """What the sets of neighbouring classes promise."""

    conformal_levels: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (0.8, 0.9, 0.95), description="shares (0-1) of the hips whose set is to hold the true class"
    )


class EmbedSettings(Settings):
    """UMAP of the feature vectors, one map per repeat and fold."""

    n_neighbors: int = Field(
        15,
        ge=2,
        le=1000,
        description="neighbours of a hip in the feature space, a count; fewer in a small fold",
    )
    min_dist: float = Field(
        0.1,
        ge=0,
        le=0.99,
        description="least distance of two hips on the map, in map units (no physical length)",
    )
    embed_seed: int = Field(0, ge=0, lt=2**32, description="seed of the map")
    embed_repeats: tuple[int, ...] = Field(
        (0,), description="repeats of which maps are made, as numbers from 0; [] for all"
    )


class ExplainSettings(Settings):
    """Maps of where the networks looked."""

    explained_hips: int = Field(
        7,
        ge=0,
        le=50,
        description="hips graded rightly and hips graded wrongly of which maps are made, of each "
        "experiment and "
        "each, a count; 0 for none",
    )
