"""What a reader can do: see the next hip, grade it, undo, settle a disagreement. No word of HTTP here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import hipoa
from hipoa.core.errors import ReadingError
from hipoa.core.identifiers import normalise
from hipoa.reading.agreement import measure_agreement
from hipoa.reading.images import ImageStore, Shown
from hipoa.reading.log import Log
from hipoa.reading.reading_index import agree, same_grade
from hipoa.reading.record import REASONS, Record
from hipoa.reading.server.form_tokens import Tickets, tell_time
from hipoa.reading.server.queue import comes_again, line_up
from hipoa.reading.settings import ReadSettings
from hipoa.reading.worklist import Hip, Worklist

_MAX_FAULTS = 20
_LISTED = 500
_NAME = re.compile(r"[^\W_](?:[\w .'-]{0,38}[\w.])?")
_KINDS = ("hip", "other", "pelvis")


@dataclass
class Desk:
    """A study's list, its images and the log, put before readers.

    Attributes:
        study: Its name.
        worklist: The hips.
        log: Where readings go.
        settings: How hips are put before a reader.
        secret: What tickets are signed with.
        images: The images that were read lately.
    """

    study: str
    worklist: Worklist
    log: Log
    settings: ReadSettings
    secret: str
    images: ImageStore = field(default_factory=ImageStore)

    def __post_init__(self) -> None:
        self._tickets = Tickets(self.secret)

    def find_reader(self, name: str) -> str:
        """The reader of a name, in the spelling under which she has read before.

        Raises:
            ReadingError: It is no name.
        """
        plain = normalise(name)
        if not _NAME.fullmatch(plain):
            raise ReadingError(
                "reader", "this is no name", "Use at most 40 letters, digits, spaces, dots, hyphens."
            )
        known = {normalise(reader).casefold(): reader for reader in self.log.ledger.readers}
        return known.get(plain.casefold(), plain)

    def put_next(self, reader: str, first: str = "", ahead: int = 1) -> dict[str, Any]:
        """The next hips for a reader.

        Args:
            reader: The reader.
            first: A hip that goes before all others, because its reading was just undone.
            ahead: How many; 2 lets the page fetch the one after next while she looks.
        """
        queue, left = line_up(reader, self.worklist, self.log.ledger, self.settings)
        if first:
            waiting = list(queue)
            queue = iter(sorted(waiting, key=lambda turn: turn[0].hip_id != first))
        shown: list[dict[str, Any]] = []
        faults: list[str] = []
        while len(shown) < ahead and len(faults) < _MAX_FAULTS and (turn := next(queue, None)):
            try:
                shown.append(self._put(turn[0], reader, "reading", again=turn[1]))
            except ReadingError as error:  # one damaged image must not end the list
                faults.append(f"passed over: {error}")
        done = len(self.log.ledger.standing(reader))
        return {"hips": shown, "read": done, "left": left, "faults": faults}

    def put_consensus(self, reader: str, hip_id: str) -> dict[str, Any]:
        """A hip on which readers differ, with what each of them said.

        Raises:
            ReadingError: There is no such disagreement for this reader.
        """
        readings = self._disagreements(reader).get(hip_id)
        if readings is None:
            raise ReadingError("hip", "there is no open disagreement that you took part in", "See the list.")
        said = [_tell(record) for record in readings.values()]
        return {"hips": [self._put(self._hip(hip_id), reader, "consensus")], "said": said}

    def record(self, reader: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Records a reading; the ticket says of which hip, by whom and of which image.

        Args:
            reader: Who is signed in.
            given: ticket, crowe, kl, reason, comment, seconds.

        Returns:
            The recorded reading, what the model says if it may be told, and the next hips.

        Raises:
            ReadingError: The ticket is not this reader's, or the reading is not whole.
        """
        record = self._tickets.fill_in(reader, given)
        self._hip(record.hip_id)
        stored = self.log.append(record)
        if not same_grade(stored, record):
            raise ReadingError(
                stored.hip_id, f"it was recorded as {_say(stored)}", "Undo that reading to change it."
            )
        return {"recorded": _tell(stored), "told": self._reveal(stored), **self.put_next(reader)}

    def undo(self, reader: str, record_id: object) -> dict[str, Any]:
        """Takes back one of the reader's own readings, by a line of its own in the log.

        Raises:
            ReadingError: It is no reading of this reader's.
        """
        record = self.log.find(record_id) if isinstance(record_id, str) else None
        if record is None or record.reader != reader or record.kind == "undo":
            raise ReadingError("undo", "this is none of your readings", "Choose one of your own.")
        told = {"id": f"undo-{record.id}", "kind": "undo", "undoes": record.id, "time": tell_time()}
        kept = record.model_dump(include={"reader", "hip_id", "case_id", "side"})
        about = {"study": self.study, "version": hipoa.__version__}
        self.log.append(Record.model_validate({**kept, **told, **about}))
        return {"undone": _tell(record), **self.put_next(reader, record.hip_id)}

    def list_own(self, reader: str) -> list[dict[str, Any]]:
        """The reader's last readings, the latest first."""
        return [_tell(record) for record in self.log.ledger.of(reader)[-_LISTED:][::-1]]

    def list_disagreements(self, reader: str) -> dict[str, Any]:
        """Hips that the reader and others graded otherwise, and how well readers agree.

        Others' readings of hips that the reader has not read stay hidden: they would not be blind.
        """
        open_cases = [
            {"hip_id": hip_id, "said": [_tell(record) for record in readings.values()]}
            for hip_id, readings in self._disagreements(reader).items()
        ]
        patients = {name: hip.patient for name, hip in self.worklist.by_id.items()}
        return {
            "open": open_cases[:_LISTED],
            "n_open": len(open_cases),
            "agreement": measure_agreement(
                self.log.ledger, patients, self.worklist.classes, with_reader=reader
            ),
        }

    def list_references(self) -> list[dict[str, Any]]:
        """What each class looks like; nobody's name."""
        return [
            {
                "number": number,
                "grade": reference.grade,
                "crowe": reference.crowe,
                "kl": reference.kl,
                "side": reference.hip.side,
                "readers": reference.readers,
                "synthetic": reference.hip.synthetic,
                "image": self.images.read(reference.hip.images["hip"]).describe(),
            }
            for number, reference in enumerate(self.worklist.references)
        ]

    def find_image(self, hip_id: str, kind: str) -> Shown:
        """An image of a hip that the tables know.

        Raises:
            KeyError: They do not know it.
        """
        return self.images.read(self.worklist.by_id[hip_id].images[kind])

    def find_reference(self, number: int) -> Shown:
        """The image of a reference.

        Raises:
            KeyError: There is none of this number.
        """
        if not 0 <= number < len(self.worklist.references):
            raise KeyError(number)
        return self.images.read(self.worklist.references[number].hip.images["hip"])

    def _put(self, hip: Hip, reader: str, kind: str, *, again: bool = False) -> dict[str, Any]:
        images = {name: self.images.read(hip.images[name]) for name in _KINDS if name in hip.images}
        about = {"hip_id": hip.hip_id, "case_id": hip.case_id, "side": hip.side, "kind": kind, "again": again}
        about |= {"image": images["hip"].file.source, "image_sha256": images["hip"].sha256}
        about |= {"blind": self._is_blind(hip.hip_id, reader), "study": self.study}
        put = {
            "hip_id": hip.hip_id,
            "case_id": hip.case_id,
            "side": hip.side,
            "synthetic": hip.synthetic,
            "kind": kind,
            "ticket": self._tickets.issue(reader, about),
            "images": {name: shown.describe() for name, shown in images.items()},
            # A reference of the same patient would tell the grade.
            "hidden_references": [
                number
                for number, reference in enumerate(self.worklist.references)
                if reference.hip.patient == hip.patient
            ],
        }
        before = self.settings.prediction == "before"
        return {**put, "prediction": self._predict(hip)} if before else put

    def _is_blind(self, hip_id: str, reader: str) -> bool:
        if self.settings.prediction == "before":
            return False
        return not self._may_tell(hip_id) or hip_id not in self.log.ledger.seen(reader)

    def _may_tell(self, hip_id: str) -> bool:
        """A hip that comes again is told of at no time, or its second reading would not be blind."""
        return self.settings.prediction != "never" and not comes_again(hip_id, self.settings.again_every)

    def _hip(self, hip_id: str) -> Hip:
        if hip_id not in self.worklist.by_id:
            raise ReadingError("hip", "it is not in the tables", "Load the page again.")
        return self.worklist.by_id[hip_id]

    def _reveal(self, record: Record) -> dict[str, str] | None:
        """The model's class after the reading, but not of a hip that comes again."""
        return self._predict(self._hip(record.hip_id)) if self._may_tell(record.hip_id) else None

    def _predict(self, hip: Hip) -> dict[str, str] | None:
        # A list of doubted labels has a suggestion in its place.
        grade = hip.predicted.get("predicted") or hip.predicted.get("suggested", "")
        if not grade.isdigit() or not 1 <= int(grade) <= len(self.worklist.classes.class_table):
            return None
        crowe, kl = self.worklist.classes.class_table[int(grade) - 1]
        return {"grade": grade, "crowe": str(crowe), "kl": str(kl)}

    def _disagreements(self, reader: str) -> dict[str, Mapping[str, Record]]:
        settled = self.log.ledger.consensus()
        return {
            hip_id: readings
            for hip_id, readings in self.log.ledger.by_hip().items()
            if reader in readings
            and not agree(readings)
            and hip_id not in settled
            and hip_id in self.worklist.by_id
        }


def _say(record: Record) -> str:
    return REASONS[record.reason] if record.reason else f"Crowe {record.crowe}, KL {record.kl}"


def _tell(record: Record) -> dict[str, Any]:
    return record.model_dump(
        include={"id", "kind", "reader", "time", "hip_id", "case_id", "side", "crowe", "kl"}
        | {"reason", "comment", "seconds"}
    )
