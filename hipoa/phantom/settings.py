"""What the user can set about the built-in synthetic cohort."""

from typing import Annotated, Literal

from pydantic import Field

from hipoa.core.settings import Settings

Spacing = Annotated[float, Field(gt=0.3, le=5)]
Count = Annotated[int, Field(ge=0, le=999)] | None


class PhantomSettings(Settings):
    """The built-in cohort: which patients and how many, which scanners, how the readers agree.

    Source: reader-reader kappa of KL at the hip 0.55-0.68 in the literature.
    """

    seed: int = Field(1, ge=0, description="seed of everything drawn")
    population: Literal["demo", "study"] = Field(
        "demo",
        description="demo: 24 labelled, 6 external and 6 pool patients, all classes about as frequent; "
        "study: 198, 52 and 50 patients, most hips severe, as at a surgical clinic",
    )
    labelled: Count = Field(
        None, description="patients of the labelled cohort, number; null: as many as the population has"
    )
    external: Count = Field(None, description="patients of the external cohort, number; null likewise")
    pool: Count = Field(None, description="patients of the pool, number; null likewise")
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
    prone_share: float = Field(
        0.05, ge=0, le=1, description="share of the CTs (0-1) whose patient lies on the belly"
    )
    feet_first_share: float = Field(
        0.15, ge=0, le=1, description="share of the CTs (0-1) that went feet first into the scanner"
    )
    hip_correlation: float = Field(
        0.6, ge=0, lt=1, description="correlation of the latent severity of a patient's two hips"
    )
    reader_kappa: float = Field(
        0.65, gt=0, le=1, description="unweighted kappa of two readers on the seven classes"
    )
    format: Literal["nifti", "dicom"] = Field(
        "nifti", description="one compressed file per CT, or a folder of DICOM slices"
    )
    with_landmarks: bool = Field(False, description="name the true hip centres in the table of cases")
