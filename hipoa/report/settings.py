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
        description="how large the contact sheets in the page may be, MB: a hip takes about 5 kB; labelled "
        "hips come first, then the external ones; the pool is on none",
    )
