"""Settings of the commands read and readings."""

from typing import Literal

from pydantic import Field

from hipoa.core.settings import Settings


class ReadSettings(Settings):
    """How hips are presented to readers."""

    prediction: Literal["after", "never", "before"] = Field(
        "after",
        description="when the model's class is shown: after the reading (under My readings, once no hip of "
        "the patient is left to read, also not a second time), never, or before it (the reading is then "
        "recorded as not blind)",
    )
    again_every: int = Field(
        10,
        ge=0,
        le=1000,
        description="about one hip in this many is shown a second time without notice, at least 20 readings "
        "later, for the intra-reader kappa; 0 for none",
    )
    readings_per_hip: int = Field(
        0,
        ge=0,
        le=20,
        description="readings wanted of each hip where several readers share the list: a hip that this many "
        "other readers have read is skipped; 0: every reader reads every hip",
    )
    senior: str = Field(
        "",
        description="name of the senior reader, whose consensus counts alone; any other needs two of the "
        "hip's readers",
    )


class DeriveSettings(Settings):
    """How readings become rows of grades.csv."""

    rule: Literal["consensus", "senior", "latest", "every"] = Field(
        "consensus",
        description="consensus: the grade on which all readers of a hip agree, or else the consensus "
        "reading, or else no row; senior: the senior reader's grade, or as consensus for a hip that she has "
        "not read; latest: the last reading of any reader; every: one row per reader, which the setting "
        "hips.label_rule combines",
    )
    senior: str = Field("", description="name of the senior reader, for the rule senior")
