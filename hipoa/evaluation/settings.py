"""Settings of the evaluation stages."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from hipoa.core.settings import Settings


class UncertaintySettings(Settings):
    """Which probability the variance over the passes is of."""

    variance_of: Literal["predicted", "mean_over_classes"] = Field(
        "predicted",
        description="the probability whose variance over the passes is taken (Masuda et al. 2024 do not say "
        "which): predicted, of the class with the largest mean probability; mean_over_classes, of each "
        "class, averaged over the seven",
    )


PrimaryScore = Literal[
    "ECA", "ONCA", "balanced accuracy", "quadratic weighted kappa", "MAE", "ranked probability score"
]


class CompareSettings(Settings):
    """Which score decides whether networks or cohorts differ."""

    primary_score: PrimaryScore = Field(
        "ECA",
        description="the score that decides whether two networks, or two cohorts, differ: choose it before "
        "you see results; the other scores are secondary and adjusted together",
    )


class MetricsSettings(Settings):
    """Which subgroups of hips are scored."""

    age_bounds_years: tuple[Annotated[int, Field(gt=0, lt=120)], ...] = Field(
        (50, 65), description="ages at which a new age band of the subgroups begins, years, in rising order"
    )

    @field_validator("age_bounds_years")
    @classmethod
    def _rising(cls, bounds: tuple[int, ...]) -> tuple[int, ...]:
        if list(bounds) != sorted(set(bounds)):
            raise ValueError("the bounds do not rise")
        return bounds


class ConformSettings(Settings):
    """Conformal sets of adjacent classes."""

    conformal_levels: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (0.8, 0.9, 0.95), description="shares (0-1) of the hips whose set should contain the true class"
    )


class EmbedSettings(Settings):
    """UMAP of the feature vectors, one map per repeat and fold."""

    embed_repeats: tuple[int, ...] = Field(
        (0,), description="repeats for which maps are made, counted from 0; [] for all"
    )


class ExplainSettings(Settings):
    """Saliency maps."""

    explained_hips: int = Field(
        7,
        ge=0,
        le=50,
        description="number of correctly graded hips with a saliency map, and of wrongly graded ones, for "
        "each experiment; 0 for none",
    )
