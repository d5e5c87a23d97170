"""The settings of the imaging room: one model per stage."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hipoa.core.settings import Settings

LabelId = Annotated[int, Field(ge=1, le=65535)]


class MarkSettings(Settings):
    """What becomes of marked hips that the CT itself does not confirm."""

    unconfirmed_marks: Literal["refuse", "warn"] = Field(
        "refuse",
        description="what becomes of a hip whose landmark or label lies where the CT shows no femoral head "
        "of that side: refuse, or warn (where you have looked yourself, and the head is one that the "
        "locator does not know: a child's, destroyed, of a tumour)",
    )


class ProjectSettings(MarkSettings):
    """How a CT becomes one line integral image per hip.

    Source: the source work says only "DRR"; the geometry is that of an AP pelvis radiograph, 40 inches
    from source to detector, as positioning guides give it. The field of view is ours: of 233 built hips
    with Crowe IV, 7 would lose head, neck or teardrop at 170 mm, 2 at 180 and none at 190.
    """

    renderer: Literal["auto", "joseph_cpu", "trilinear", "siddon"] = Field(
        "auto",
        description="auto (trilinear on a GPU, joseph_cpu without one), joseph_cpu (Joseph's method, Numba), "
        "trilinear or siddon (DiffDRR); all but siddon interpolate between voxels",
    )
    beam: Literal["perspective", "orthographic"] = Field(
        "perspective", description="rays from the source, or parallel rays, which the distances do not change"
    )
    beam_centre: Literal["hip", "pelvis"] = Field(
        "hip",
        description="where the central ray passes: each hip's centre, or the middle between the two "
        "(the image is centred on the hip in either case)",
    )
    bone_only: bool = Field(
        False,
        description="leave out soft tissue: nothing below 120 HU counts, everything from 220 HU on "
        "(lower develop's window_low to 0 then)",
    )
    centre: Literal["head", "native_socket"] = Field(
        "head",
        description="what lies in the middle of the image: the femoral head, or the acetabulum it has left, "
        "marked by a landmark such as socket_L (where there is none the head, with a warning)",
    )
    source_to_detector_mm: float = Field(
        1000, ge=500, le=3000, description="distance from the X-ray source to the detector plane, mm"
    )
    source_to_hip_mm: float = Field(
        800, ge=300, le=2900, description="distance from the X-ray source to the hip centre, mm"
    )
    field_of_view_mm: float = Field(
        190, ge=60, le=500, description="side of the square seen about the hip, in the hip's plane, mm"
    )
    detector_px: int = Field(300, ge=32, le=2048, description="detector pixels per side, a count")
    energy_kev: float = Field(
        50,
        ge=40,
        le=150,
        description="photon energy of the projection (50: about the mean of a beam of 75-85 kV), keV",
    )
    ct_energy_kev: float = Field(
        70, ge=40, le=150, description="effective photon energy of the CT scanner (70: about 120 kV), keV"
    )
    label_ids: tuple[LabelId, LabelId, LabelId, LabelId] = Field(
        (75, 76, 77, 78),
        description="values of femur_left, femur_right, hip_left, hip_right in a label map that does not "
        "name its segments itself (default: TotalSegmentator 2, task total; a map of version 1, with 88, 89, "
        "90, 91, is then recognised by the heads that it shows)",
    )
    locator_confidence: float = Field(
        0.5,
        ge=0,
        le=1,
        description="least probability (0-1), as the locator gives it, that a finding is a hip within 6 mm",
    )
    implant_hu: float = Field(2500, ge=1500, le=30000, description="least HU that counts as metal, HU")
    implant_volume_mm3: float = Field(
        200, gt=0, description="least volume of metal near the hip that counts as an implant, mm3"
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
    window_low: float = Field(
        1.5, ge=0, description="line integral shown black (bone is bright), dimensionless"
    )
    window_high: float = Field(8.5, gt=0, description="line integral shown white, dimensionless")
    mirror_left: bool = Field(True, description="mirror left hips, so that all hips look like right ones")

    @model_validator(mode="after")
    def _window_open(self) -> Self:
        if self.window_high <= self.window_low:
            raise ValueError("window_high must exceed window_low")
        return self


class ViewSettings(Settings):
    """The views for a human reader, made where ``reading`` is true."""

    hip_field_mm: float = Field(
        200, ge=80, le=400, description="side of the square about each hip, in the hip's plane, mm"
    )
    hip_mm_per_px: float = Field(0.4, ge=0.1, le=0.4, description="largest pixel of the hip's view, mm")
    pelvis_field_mm: float = Field(
        400, ge=200, le=600, description="side of the square about the pelvis, in the plane of the hips, mm"
    )
    pelvis_mm_per_px: float = Field(0.8, ge=0.2, le=2, description="largest pixel of the pelvis's view, mm")
    white: float = Field(20, ge=5, le=60, description="line integral that 65535 stands for, dimensionless")
