"""One reading, as a line of the log holds it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_COMMENT = 1000
MAX_SECONDS = 86_400
REASONS = {
    "implant": "implant or earlier operation",
    "not_in_image": "the joint is cut off",
    "image_quality": "the image is too poor",
    "other_disease": "fracture, tumour, infection",
    "other": "another reason (comment)",
}
"""Why a hip cannot be graded, and how the page says it."""


class Record(BaseModel):
    """One line of the log.

    Attributes:
        id: Of the ticket that came with the hip, so that a second click is no second reading.
        kind: A reading, a consensus of several readers, or the undoing of one of them.
        reader: The name under which the reader has signed in.
        time: When it was recorded, UTC, ISO 8601.
        hip_id: The hip, as in the tables.
        case_id: Its case.
        side: L or R of the patient.
        crowe: 1-4, or None.
        kl: 0-4, or None.
        reason: One of `REASONS` where the hip cannot be graded, else "".
        comment: Free text.
        seconds: How long the hip was looked at, pauses left out, s.
        again: The reader had read the hip before, and it was put before her a second time unasked.
        blind: The reader had not been shown the model's class of this hip.
        image: What was shown: view (16 bits, fine) or radiograph (150 x 150 pixels).
        image_sha256: Of the PNG file that was shown.
        undoes: Of an undoing, the id of the line that no longer counts.
        study: The study whose list it was.
        version: Of hipoa.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = Field(min_length=8, max_length=80)
    kind: Literal["reading", "consensus", "undo"]
    reader: str = Field(min_length=1, max_length=40)
    time: str = Field(min_length=10, max_length=40)
    hip_id: str = Field(min_length=1, max_length=80)
    case_id: str = Field(min_length=1, max_length=64)
    side: Literal["L", "R"]
    crowe: int | None = Field(None, ge=1, le=4)
    kl: int | None = Field(None, ge=0, le=4)
    reason: str = ""
    comment: str = Field("", max_length=MAX_COMMENT)
    seconds: float = Field(0, ge=0, le=MAX_SECONDS)
    again: bool = False
    blind: bool = True
    image: str = ""
    image_sha256: str = ""
    undoes: str = ""
    study: str = ""
    version: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        graded = self.crowe is not None and self.kl is not None
        empty = self.crowe is None and self.kl is None
        if self.kind == "undo":
            if not self.undoes:
                raise ValueError("an undoing names no reading")
        elif self.reason and (self.reason not in REASONS or not empty):
            raise ValueError("reason is unknown, or stands beside a grade")
        elif not self.reason and not graded:
            raise ValueError("Crowe and KL are needed, or the reason why the hip cannot be graded")
        return self
