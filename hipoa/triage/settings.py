"""The settings of the triage room."""

from typing import Literal

from pydantic import Field

from hipoa.settings import Settings


class TriageSettings(Settings):
    """In which order unread hips go to the surgeon."""

    measure: Literal[
        "variance", "entropy", "mutual_information", "max_probability", "between_model_variance"
    ] = Field(
        "variance",
        description=(
            "the uncertainty by which hips are ranked, averaged over the repeats; "
            "the largest first, for max_probability the smallest"
        ),
    )
    experiment: str = Field(
        "", description="the experiment whose uncertainty counts; empty for the first of the configuration"
    )
    set_aside_implants: bool = Field(
        True,
        description="hips with an implant are listed without a rank: they have no grade of osteoarthritis",
    )
