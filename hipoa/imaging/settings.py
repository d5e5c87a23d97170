"""Settings of the imaging stages."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hipoa.core.settings import Settings

LabelId = Annotated[int, Field(ge=1, le=65535)]


class MarkSettings(Settings):
    """What to do with a landmark or label that the CT does not confirm."""

    unconfirmed_marks: Literal["refuse", "warn"] = Field(
        "refuse",
        description="a hip whose landmark or label lies where the CT shows no femoral head of that side: "
        "refuse it, or project it with a warning (look at the CT first: the locator does not recognise a "
        "child's head, or one that is destroyed or has a tumour)",
    )


class ProjectSettings(MarkSettings):
    """How a CT becomes one line integral image per hip.

    Source: Masuda et al. 2024 say only "DRR"; the geometry is that of an AP pelvis radiograph, 40 inches
    from source to detector, as positioning guides give it. The field of view is ours: of 233 built hips
    with Crowe IV, 7 would lose head, neck or teardrop at 170 mm, 2 at 180 and none at 190.
    """

    field_of_view_mm: float = Field(
        190,
        ge=60,
        le=500,
        description="side of the square that is imaged about the hip, in the hip's plane, mm",
    )
    detector_px: int = Field(300, ge=32, le=2048, description="detector pixels per side")
    source_to_detector_mm: float = Field(
        1000, ge=500, le=3000, description="distance from the X-ray source to the detector, mm"
    )
    source_to_hip_mm: float = Field(
        800, ge=300, le=2900, description="distance from the X-ray source to the hip centre, mm"
    )
    beam: Literal["perspective", "orthographic"] = Field(
        "perspective",
        description="perspective: rays from the X-ray source; orthographic: parallel rays, which the "
        "distances do not change",
    )
    beam_centre: Literal["hip", "pelvis"] = Field(
        "hip",
        description="where the central ray passes: through each hip's centre, or midway between the two "
        "(the image is centred on the hip in either case)",
    )
    centre: Literal["head", "native_socket"] = Field(
        "head",
        description="what lies in the middle of the image: the femoral head, or the native acetabulum of a "
        "dislocated head, marked by a landmark such as socket_L (without one the head, with a warning)",
    )
    bone_only: bool = Field(
        False,
        description="leave out soft tissue: nothing below 120 HU counts, everything from 220 HU on "
        "(set develop.window_low to 0 then)",
    )
    energy_kev: float = Field(
        50,
        ge=40,
        le=150,
        description="photon energy of the projection, keV (50: about the mean of a beam of 75-85 kV)",
    )
    ct_energy_kev: float = Field(
        70, ge=40, le=150, description="effective photon energy of the CT scanner, keV (70: about 120 kV)"
    )
    renderer: Literal["auto", "joseph_cpu", "trilinear", "siddon"] = Field(
        "auto",
        description="auto (trilinear on a GPU, joseph_cpu without one), joseph_cpu (Joseph's method, Numba), "
        "trilinear or siddon (DiffDRR); all but siddon interpolate between voxels",
    )
    locator_confidence: float = Field(
        0.5,
        ge=0,
        le=1,
        description="smallest acceptable probability (0-1) that a centre found by the locator is within 6 mm "
        "of the true one; lower it if too many CTs are refused and you check the radiographs",
    )
    label_ids: tuple[LabelId, LabelId, LabelId, LabelId] = Field(
        (75, 76, 77, 78),
        description="values of femur_left, femur_right, hip_left, hip_right in a label map that does not "
        "name its segments itself (default: TotalSegmentator 2, task total; a map of version 1, with 88, 89, "
        "90, 91, is then recognised by the heads that it shows)",
    )

    @model_validator(mode="after")
    def _detector_behind_the_hip(self) -> Self:
        if self.source_to_detector_mm - self.source_to_hip_mm < 50:
            raise ValueError("source_to_detector_mm must exceed source_to_hip_mm by at least 50 mm")
        return self


class DevelopSettings(Settings):
    """How a line integral image becomes an 8-bit radiograph, the same for every patient."""

    crop_mm: float = Field(
        190, ge=40, le=500, description="side of the square that the radiograph shows, in the hip's plane, mm"
    )
    window_low: float = Field(1.5, ge=0, description="line integral shown black (bone is bright)")
    window_high: float = Field(8.5, gt=0, description="line integral shown white")
    mirror_left: bool = Field(True, description="mirror left hips, so that all hips look like right ones")

    @model_validator(mode="after")
    def _window_open(self) -> Self:
        if self.window_high <= self.window_low:
            raise ValueError("window_high must exceed window_low")
        return self
