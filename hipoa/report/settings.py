"""Settings of the report."""

from pydantic import Field

from hipoa.core.settings import Settings


class ReportSettings(Settings):
    """The title and the size of the report."""

    title: str = Field(
        "Hip osteoarthritis graded on radiographs projected from CT",
        min_length=1,
        description="title of the report",
    )
    sheets_mb: float = Field(
        12,
        ge=0,
        le=500,
        description="largest size of all contact sheets in the report, MB, at about 5 kB for each hip; "
        "labelled hips come first, then external ones; the pool is not shown",
    )
