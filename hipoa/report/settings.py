"""The settings of the report room: one model per stage."""

from pydantic import Field

from hipoa.core.settings import Settings


class FiguresSettings(Settings):
    """How the figures are drawn."""

    dpi: int = Field(150, ge=72, le=600, description="resolution of the PNG figures, pixels per inch")
    examples_per_class: int = Field(
        2, ge=1, le=6, description="graded hips shown of each class on the sheet of radiographs, a count"
    )
    triage_examples: int = Field(
        12, ge=1, le=60, description="hips to read first that are drawn with their radiographs, a count"
    )


class ReportSettings(Settings):
    """What the report says and how much it lists."""

    title: str = Field(
        "Hip osteoarthritis graded on radiographs projected from CT",
        min_length=1,
        description="title of the report, text",
    )
    triage_rows: int = Field(
        50,
        ge=1,
        le=1000,
        description="hips listed with a radiograph of those to read next, and of those set aside",
    )
    doubt_rows: int = Field(
        20, ge=1, le=1000, description="labels that the models doubt, listed with a radiograph, a count"
    )
    reason_rows: int = Field(
        100, ge=1, le=10_000, description="reasons of refusal and warnings listed at most, a count"
    )
    gallery_rows: int = Field(
        12, ge=1, le=100, description="hips in each gallery of rightly and of wrongly graded ones, a count"
    )
    sheets_mb: float = Field(
        12,
        ge=0,
        le=500,
        description="how large the contact sheets in the page may be, MB: a hip takes about 5 kB; labelled "
        "hips come first, then the external ones; the pool is on none",
    )
