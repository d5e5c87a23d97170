"""What the user can set about the built-in synthetic cohort."""

from typing import Annotated

from pydantic import Field

from hipoa.settings import Settings

Spacing = Annotated[float, Field(gt=0.3, le=5)]


class PhantomSettings(Settings):
    """The built-in cohort: how many patients, which scanners, how the readers agree.

    Source: reader-reader kappa of KL at the hip 0.55-0.68 in the literature.
    """

    seed: int = Field(1, ge=0, description="seed of everything drawn")
    labelled: int = Field(24, ge=0, le=999, description="patients of the labelled cohort, number")
    external: int = Field(6, ge=0, le=999, description="patients of the external cohort, number")
    pool: int = Field(6, ge=0, le=999, description="patients of the pool, number")
    spacing_mm: tuple[Spacing, Spacing, Spacing] = Field(
        (1.6, 2.5, 1.6), description="voxel size along R, A, S of the first scanner, mm"
    )
    external_spacing_mm: tuple[Spacing, Spacing, Spacing] = Field(
        (1.6, 2.5, 3.0), description="voxel size along R, A, S of the external scanner, mm"
    )
    noise_hu: float = Field(
        9, ge=0, le=100, description="standard deviation of the first scanner's noise, HU"
    )
    external_noise_hu: float = Field(
        20, ge=0, le=100, description="standard deviation of the external scanner's noise, HU"
    )
    hip_correlation: float = Field(
        0.6, ge=0, lt=1, description="correlation of the latent severity of a patient's two hips"
    )
    reader_kappa: float = Field(
        0.65, gt=0, le=1, description="unweighted kappa of two readers on the seven classes"
    )
    with_landmarks: bool = Field(False, description="name the true hip centres in the table of cases")
