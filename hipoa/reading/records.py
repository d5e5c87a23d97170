"""Readings as lines of the log, and the index of those that count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


Point = tuple[float, float]
"""To the image's right and downwards."""


class Measurement(BaseModel):
    """A measurement as it is kept with a reading."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    kind: str  # ruler, ce_angle, crowe_head or crowe_pelvis
    value: float  # to a tenth
    unit: str  # mm, deg or %
    image: str  # hip or pelvis
    image_sha256: str  # of the PNG file
    # Column and row from the centre of the image's first pixel; in mm in the plane of the hip.
    points_px: tuple[Point, ...]
    points_mm: tuple[Point, ...]
    # What the angle is measured from: heads (the perpendicular to the line through both), image, or "".
    vertical: Literal["", "heads", "image"] = ""
    tilt_deg: float | None = None  # of that line, positive where the right head is higher


class Record(BaseModel):
    """One line of the log."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    # Of the form token that came with the hip, so that a second click is not a second reading.
    id: str = Field(min_length=8, max_length=80)
    # A reading; a consensus, proposed or confirmed by one of its readers; the hip was put off to the end of
    # the list; the model's class of the hip was shown to the reader; or one of the first three was undone.
    kind: Literal["reading", "consensus", "later", "shown", "undo"]
    reader: str = Field(min_length=1, max_length=40)  # the name under which the reader has signed in
    time: str = Field(min_length=10, max_length=40)  # when it was recorded, UTC, ISO 8601
    hip_id: str = Field(min_length=1, max_length=80)
    case_id: str = Field(min_length=1, max_length=64)
    side: Literal["L", "R"]  # L or R of the patient
    crowe: int | None = Field(None, ge=1, le=4)
    kl: int | None = Field(None, ge=0, le=4)
    reason: str = ""  # one of `REASONS` where the hip cannot be graded, else ""
    comment: str = Field("", max_length=MAX_COMMENT)
    seconds: float = Field(0, ge=0, le=MAX_SECONDS)  # how long the hip was looked at, pauses left out, s
    again: bool = False  # the second reading of a hip by the same reader, who was not told so
    blind: bool = True  # the reader had not been shown the model's class of this hip
    senior: bool = False  # of a consensus: by the senior reader, so that it counts alone
    image: str = ""  # what was shown: view (16 bits, fine) or radiograph (150 x 150 pixels)
    image_sha256: str = ""  # of the PNG file that was shown
    also_seen: str = ""  # what was opened beside it: slices, other_ct, joined by a blank
    measurements: tuple[Measurement, ...] = ()
    undoes: str = ""  # of an undoing, the id of the reading that no longer counts
    study: str = ""
    version: str = ""  # of hipoa

    @model_validator(mode="after")
    def _complete(self) -> Self:
        graded = self.crowe is not None and self.kl is not None
        empty = self.crowe is None and self.kl is None
        if self.kind in {"later", "shown", "undo"}:
            if self.kind == "undo" and not self.undoes:
                raise ValueError("an undoing names no reading")
        elif self.reason and (self.reason not in REASONS or not empty):
            raise ValueError("reason is unknown, or stands beside a grade")
        elif not self.reason and not graded:
            raise ValueError("Crowe and KL are needed, or the reason why the hip cannot be graded")
        return self


class ReadingIndex:
    """The readings that count, by reader, in the order in which they were made."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._by_reader: dict[str, dict[str, Record]] = {}
        self._left: dict[tuple[str, str], Record] = {}
        self._put_off: dict[str, dict[str, str]] = {}
        self._shown: dict[str, set[str]] = {}
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Adds one more line of the log."""
        own = self._by_reader.setdefault(record.reader, {})
        put_off = self._put_off.setdefault(record.reader, {})
        if record.kind == "shown":
            self._shown.setdefault(record.reader, set()).add(record.hip_id)
        elif record.kind == "undo":
            if gone := own.pop(record.undoes, None):
                self._left[record.reader, gone.hip_id] = gone
            if put_off.get(record.hip_id) == record.undoes:
                del put_off[record.hip_id]
        else:
            put_off.pop(record.hip_id, None)
            if record.kind == "later":
                put_off[record.hip_id] = record.id
                self._left[record.reader, record.hip_id] = record
            else:
                own[record.id] = record

    @property
    def readers(self) -> list[str]:
        """Everyone who ever recorded anything, by name."""
        return sorted(self._by_reader)

    def all(self) -> list[Record]:
        """Everyone's records, undone readings left out."""
        return [record for reader in self.readers for record in self.of(reader)]

    def of(self, reader: str) -> list[Record]:
        """A reader's records, undone readings left out."""
        return list(self._by_reader.get(reader, {}).values())

    def readings(self, reader: str) -> list[Record]:
        """A reader's first and second readings in their order, without those of a consensus."""
        return [record for record in self.of(reader) if record.kind == "reading"]

    def put_off(self, reader: str) -> dict[str, int]:
        """Hip that the reader put off to its place among them, from 1, the longest put off first."""
        return {hip: place for place, hip in enumerate(self._put_off.get(reader, {}), start=1)}

    def shown(self, reader: str) -> set[str]:
        """Every hip whose class by the model the reader has been shown, whatever was undone since."""
        return self._shown.get(reader, set())

    def left(self, reader: str, hip_id: str) -> Record | None:
        """With what the reader left a hip unread last: a reading that was undone, or a putting off."""
        return self._left.get((reader, hip_id))

    def current(self, reader: str) -> dict[str, Record]:
        """Hip to the reader's latest reading of it, hidden second readings left out."""
        return {r.hip_id: r for r in self.readings(reader) if not r.again}

    def repeats(self, reader: str) -> dict[str, Record]:
        """Hip to the reader's hidden second reading of it."""
        return {r.hip_id: r for r in self.of(reader) if r.again}

    def by_hip(self) -> dict[str, dict[str, Record]]:
        """Hip to reader to current reading."""
        found: dict[str, dict[str, Record]] = {}
        for reader in self.readers:
            for hip, record in self.current(reader).items():
                found.setdefault(hip, {})[reader] = record
        return found

    def proposals(self) -> dict[str, dict[str, Record]]:
        """Hip to reader to her latest consensus reading of it, the latest last."""
        made = [r for reader in self.readers for r in self.of(reader) if r.kind == "consensus"]
        found: dict[str, dict[str, Record]] = {}
        for record in sorted(made, key=lambda record: record.time):
            by_reader = found.setdefault(record.hip_id, {})
            by_reader.pop(record.reader, None)
            by_reader[record.reader] = record
        return found

    def consensus(self) -> dict[str, Record]:
        """Hip to its consensus: the latest that the senior reader or two readers alike have recorded."""
        settled: dict[str, Record] = {}
        for hip, proposals in self.proposals().items():
            for record in proposals.values():
                if record.senior or sum(same_grade(record, other) for other in proposals.values()) > 1:
                    settled[hip] = record
        return settled


def same_grade(one: Record, other: Record) -> bool:
    """Whether two readings give the same grade, or the same reason for none."""
    return (one.crowe, one.kl, one.reason) == (other.crowe, other.kl, other.reason)


def agree(readings: Mapping[str, Record]) -> bool:
    """Whether all readings of a hip are the same."""
    first, *others = readings.values()
    return all(same_grade(first, other) for other in others)
