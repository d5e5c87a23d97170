"""Settings of the built-in synthetic cohort."""

from typing import Annotated, Literal

from pydantic import Field

from hipoa.core.settings import Settings

Spacing = Annotated[float, Field(gt=0.3, le=5)]
Count = Annotated[int, Field(ge=0, le=999)] | None


class PhantomSettings(Settings):
    """The built-in cohort: its patients, voxel size, simulated readers and file format.

    Source: inter-rater kappa of KL at the hip 0.55-0.68 in the literature.
    """

    seed: int = Field(
        1, ge=0, description="seed of the synthetic patients: another seed gives other patients"
    )
    population: Literal["demo", "study"] = Field(
        "demo",
        description="demo: 24 labelled, 6 external and 6 pool patients, all classes about equally frequent; "
        "study: 198, 52 and 50 patients, most hips severe, as at a surgical clinic",
    )
    labelled: Count = Field(
        None, description="number of patients in the labelled cohort; null: as in the population"
    )
    external: Count = Field(None, description="number of patients in the external cohort; null likewise")
    pool: Count = Field(None, description="number of patients in the pool; null likewise")
    spacing_mm: tuple[Spacing, Spacing, Spacing] = Field(
        (1.6, 2.5, 1.6),
        description="voxel size along R, A, S, mm; the external scanner's slices are at least 3 mm thick",
    )
    reader_kappa: float = Field(
        0.65, gt=0, le=1, description="unweighted kappa of the two simulated readers on the seven classes"
    )
    format: Literal["nifti", "dicom"] = Field(
        "nifti", description="one compressed file per CT, or a folder of DICOM slices"
    )
    with_landmarks: bool = Field(
        False, description="give the true hip centres as landmarks, so that the locator is not needed"
    )
