"""Settings of the commands read and readings."""

from typing import Literal

from pydantic import Field

from hipoa.core.settings import Settings


class ReadSettings(Settings):
    """How hips are presented to readers."""

    prediction: Literal["after", "never", "before"] = Field(
        "after",
        description="when the model's class is shown: after the reading, never, or before it "
        "(the reading is then recorded as not blind)",
    )
    again_every: int = Field(
        10,
        ge=0,
        le=1000,
        description="about one in so many hips comes a second time unmarked, 20 readings or more later, for "
        "the intra-reader kappa; 0 for none",
    )
    readings_per_hip: int = Field(
        0,
        ge=0,
        le=20,
        description="readers who share the list: a hip that so many others have read is passed over; "
        "0: everyone reads all",
    )


class DeriveSettings(Settings):
    """How readings become rows of grades.csv."""

    rule: Literal["consensus", "senior", "latest", "every"] = Field(
        "consensus",
        description="consensus: what all readers of a hip say, or else the consensus reading, or else no "
        "row; senior: what the senior reader says, as consensus where she has not read; latest: the last "
        "reading of anyone; every: one row per reader, settled by the setting hips.label_rule",
    )
    senior: str = Field("", description="name of the senior reader, for the rule senior")
