"""What a reader can do, without HTTP: see the next hips, grade one, undo, settle a disagreement."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import hipoa
from hipoa.core.constants import ROMAN
from hipoa.core.errors import ReadingError
from hipoa.core.identifiers import normalise
from hipoa.grading.data.labels import combine
from hipoa.reading.agreement import measure_agreement
from hipoa.reading.images import load_image
from hipoa.reading.log import Log
from hipoa.reading.records import REASONS, ReadingIndex, Record, agree, same_grade
from hipoa.reading.server.form_tokens import FormTokens, now_utc
from hipoa.reading.server.queue import AGAIN_AFTER, queue_hips
from hipoa.reading.server.tools import find_earlier, present_tools, take_tools
from hipoa.reading.settings import ReadSettings
from hipoa.reading.worklist import Hip, Worklist

_SHOWN_AFTER = 2 * AGAIN_AFTER
"""Readings after which the model's class of a hip may be shown: any second reading is done by then."""
_MAX_SKIPPED = 20
_MAX_LISTED = 500
_NAME = re.compile(r"[^\W_](?:[\w .'-]{0,38}[\w.])?")


@dataclass
class ReadingService:
    """A study's list of hips and the log of their readings; the secret signs the form tokens."""

    study: str
    worklist: Worklist
    log: Log
    settings: ReadSettings
    secret: str
    next_command: str = ""  # what turns the readings into grades, as it is typed

    @cached_property
    def _tokens(self) -> FormTokens:
        return FormTokens(self.secret)

    def find_reader(self, name: str) -> str:
        """The reader of a name, in the spelling used before.

        Raises:
            ReadingError: It is not a name.
        """
        plain = normalise(name)
        if not _NAME.fullmatch(plain):
            raise ReadingError(
                "reader", "this is no name", "Use at most 40 letters, digits, spaces, dots, hyphens."
            )
        known = {normalise(reader).casefold(): reader for reader in self.log.index.readers}
        return known.get(plain.casefold(), plain)

    def next_hips(self, reader: str, first: str = "", count: int = 2) -> dict[str, Any]:
        """The next hips of a reader: two, so that the page loads one while the other is read.

        A hip whose reading was just undone comes `first`.
        """
        queue = self._queue(reader)
        if first:
            queue.sort(key=lambda entry: entry[0].hip_id != first)
        hips: list[dict[str, Any]] = []
        skipped: list[str] = []
        for hip, again in queue:
            if len(hips) == count or len(skipped) == _MAX_SKIPPED:
                break
            try:
                hips.append(self._present(hip, reader, "reading", again=again))
            except ReadingError as error:  # one damaged image must not end the list
                skipped.append(f"passed over: {error}")
        done = len(self.log.index.current(reader)) + len(self.log.index.repeats(reader))
        return {"hips": hips, "read": done, "left": len(queue), "skipped": skipped}

    def consensus_hip(self, reader: str, hip_id: str) -> dict[str, Any]:
        """A hip on which readers disagree, with the reading of each and what each proposed as consensus.

        Raises:
            ReadingError: The reader takes part in no such disagreement.
        """
        readings = self._disagreements(reader).get(hip_id)
        if readings is None:
            raise ReadingError("hip", "there is no open disagreement that you took part in", "See the list.")
        hip = self._present(self._hip(hip_id), reader, "consensus")
        return {"hips": [hip], **self._describe_disagreement(hip_id, readings)}

    def record(self, reader: str, form: Mapping[str, Any]) -> dict[str, Any]:
        """Records a reading; the form token says of which hip, by whom and of which image.

        Returns:
            The recorded reading, what its reader should know of it, and the next hip.

        Raises:
            ReadingError: The token is not this reader's, or the reading is incomplete.
        """
        record = self._tokens.to_record(reader, form)
        # The model's class may have been shown since the form was made.
        blind = record.blind and record.hip_id not in self.log.index.shown(reader)
        senior = record.kind == "consensus" and self._is_senior(reader)
        record = take_tools(record, form, self._hip(record.hip_id))
        stored = self.log.append(record.model_copy(update={"blind": blind, "senior": senior}))
        if not same_grade(stored, record):
            raise ReadingError(
                stored.hip_id, f"it was recorded as {_say_grade(stored)}", "Undo that reading to change it."
            )
        return {
            "recorded": _to_json(stored),
            "notes": list(self._note(stored)),
            **self.next_hips(reader, count=1),
        }

    def put_off(self, reader: str, form: Mapping[str, Any]) -> dict[str, Any]:
        """Puts a hip off to the end of the reader's list.

        Raises:
            ReadingError: The token is not this reader's, or of a consensus.
        """
        record = self._tokens.to_put_off(reader, form)
        record = self.log.append(take_tools(record, form, self._hip(record.hip_id)))
        return {"recorded": _to_json(record), "notes": [], **self.next_hips(reader, count=1)}

    def undo(self, reader: str, record_id: object) -> dict[str, Any]:
        """Takes back one of the reader's own readings, by another line of the log.

        Raises:
            ReadingError: It is not a reading of this reader.
        """
        record = self.log.find(record_id) if isinstance(record_id, str) else None
        if record is None or record.reader != reader or record.kind in {"shown", "undo"}:
            raise ReadingError("undo", "you can only undo your own readings", "Choose one of them.")
        kept = record.model_dump(include={"reader", "hip_id", "case_id", "side"})
        self._append("undo", f"undo-{record.id}", {**kept, "undoes": record.id})
        return {"undone": _to_json(record), **self.next_hips(reader, record.hip_id, count=1)}

    def list_own(self, reader: str) -> dict[str, Any]:
        """The reader's last readings, the latest first, and the model's classes that she has been shown."""
        shown, open_to_her = self.log.index.shown(reader), self._find_showable(reader)
        return {
            "readings": list(map(_to_json, self.log.index.of(reader)[-_MAX_LISTED:][::-1])),
            "predictions": {hip.hip_id: self._predict(hip) for hip in open_to_her if hip.hip_id in shown},
            "n_to_show": sum(hip.hip_id not in shown for hip in open_to_her),
        }

    def show_model(self, reader: str) -> dict[str, Any]:
        """The reader's last readings with the model's classes, once the log says that she was shown them."""
        for hip in self._find_showable(reader):
            if hip.hip_id not in self.log.index.shown(reader):
                named = {"hip_id": hip.hip_id, "case_id": hip.case_id, "side": hip.side, "reader": reader}
                self._append("shown", f"shown-{secrets.token_hex(12)}", named)
        return self.list_own(reader)

    def list_disagreements(self, reader: str) -> dict[str, Any]:
        """Hips that the reader and others graded differently, and how well readers agree.

        Others' readings of hips that the reader has not read stay hidden, so that hers will be blind; so do
        those of hips that she will read a second time. The agreement is without all hips that she read
        lately: else it would tell what is hidden.
        """
        cases = [
            {"hip_id": hip_id, **self._describe_disagreement(hip_id, readings)}
            for hip_id, readings in self._disagreements(reader).items()
        ]
        patients = {name: hip.patient for name, hip in self.worklist.by_id.items()}
        hidden = self._find_lately_read(reader) | self._find_returning(reader)
        seen = [record for record in self.log.index.all() if record.hip_id not in hidden]
        agreement = measure_agreement(ReadingIndex(seen), patients, self.worklist.classes, with_reader=reader)
        return {"open": cases[:_MAX_LISTED], "n_open": len(cases), "agreement": agreement}

    def list_references(self) -> dict[str, Any]:
        """What each class looks like; no reader and no hip is named."""
        references = [
            {
                "number": number,
                **{name: getattr(reference, name) for name in ("grade", "crowe", "kl", "readers")},
                **{name: getattr(reference.hip, name) for name in ("side", "synthetic")},
                "image": load_image(reference.hip.images["hip"]).describe(),
            }
            for number, reference in enumerate(self.worklist.references)
        ]
        return {"references": references}

    def _present(self, hip: Hip, reader: str, kind: str, *, again: bool = False) -> dict[str, Any]:
        images = {name: load_image(file) for name, file in hip.images.items()}
        named = {"hip_id": hip.hip_id, "case_id": hip.case_id, "side": hip.side, "kind": kind}
        shown = {"image": images["hip"].file.source, "image_sha256": images["hip"].sha256}
        before = self.settings.prediction == "before"
        blind = not before and hip.hip_id not in self.log.index.shown(reader)
        token = self._tokens.issue(
            reader, {**named, **shown, "blind": blind, "study": self.study}, again=again
        )
        references = enumerate(self.worklist.references)
        presented = {
            **named,
            "synthetic": hip.synthetic,
            "form_token": token,
            "images": {name: image.describe() for name, image in images.items()},
            **present_tools(hip, images, find_earlier(self.log.index, reader, hip.hip_id, kind, again=again)),
            # A reference of the same patient would give the grade away.
            "hidden_references": [n for n, reference in references if reference.hip.patient == hip.patient],
        }
        return {**presented, "prediction": self._predict(hip)} if before else presented

    def _queue(self, reader: str) -> list[tuple[Hip, bool]]:
        return queue_hips(reader, self.worklist, self.log.index, self.settings, self.secret)

    def _find_showable(self, reader: str) -> list[Hip]:
        """The hips whose class by the model the reader may see: none of the patient's is left to read.

        A hip that will come again must look like any other. So while one may, no hip that was read lately
        is shown, until every second reading must have come.
        """
        if self.settings.prediction == "never":
            return []
        index, queue, lately = self.log.index, self._queue(reader), self._find_lately_read(reader)
        by_id = self.worklist.by_id
        waiting = {hip.patient for hip, _ in queue} | {by_id[name].patient for name in lately & by_id.keys()}
        read = (by_id[name] for name in index.current(reader) if name in by_id)
        return [hip for hip in read if hip.patient not in waiting and self._predict(hip)]

    def _find_lately_read(self, reader: str) -> set[str]:
        """The hips that the reader read lately, while one of them may come a second time."""
        if not self.settings.again_every or not self._queue(reader):
            return set()
        return {record.hip_id for record in self.log.index.readings(reader)[-_SHOWN_AFTER:]}

    def _append(self, kind: str, record_id: str, fields: Mapping[str, Any]) -> None:
        known = {"kind": kind, "id": record_id, "time": now_utc(), "study": self.study}
        self.log.append(Record.model_validate({**fields, **known, "version": hipoa.__version__}))

    def _is_senior(self, reader: str) -> bool:
        return bool(self.settings.senior) and reader == self.find_reader(self.settings.senior)

    def _note(self, record: Record) -> Iterable[str]:
        """What the reader should know of a reading that was saved."""
        classes = self.worklist.classes
        strict = classes.model_copy(update={"off_table": "leave_out"})
        if record.crowe and record.kl is not None and combine(record.crowe, record.kl, strict) is None:
            nearest = combine(record.crowe, record.kl, classes)
            then = f"it counts as class {nearest}" if nearest else "the hip will not be trained on"
            yield f"{_say_grade(record)} is in no class of this study: {then}. Press Z to correct it."
        left_out = self._hip(record.hip_id).left_out
        if left_out and not record.reason:
            yield f"This hip will be neither trained on nor scored ({left_out})."
        if record.kind == "consensus" and record.hip_id not in self.log.index.consensus():
            yield "This is a proposal: it counts once another reader of the hip records the same."

    def _hip(self, hip_id: str) -> Hip:
        if hip_id not in self.worklist.by_id:
            raise ReadingError("hip", "it is not in the tables", "Reload the page.")
        return self.worklist.by_id[hip_id]

    def _predict(self, hip: Hip) -> dict[str, str] | None:
        # A list of possible label errors has a suggestion in its place.
        grade = hip.predicted.get("predicted") or hip.predicted.get("suggested", "")
        if not grade.isdigit() or not 1 <= int(grade) <= len(self.worklist.classes.class_table):
            return None
        crowe, kl = self.worklist.classes.class_table[int(grade) - 1]
        return {"grade": grade, "crowe": str(crowe), "kl": str(kl)}

    def _disagreements(self, reader: str) -> dict[str, Mapping[str, Record]]:
        settled = self.log.index.consensus()
        returning = self._find_returning(reader)
        return {
            hip_id: readings
            for hip_id, readings in self.log.index.by_hip().items()
            if hip_id in self.worklist.by_id
            and hip_id not in settled.keys() | returning
            and reader in readings
            and not agree(readings)
        }

    def _find_returning(self, reader: str) -> set[str]:
        return {hip.hip_id for hip, again in self._queue(reader) if again}

    def _describe_disagreement(self, hip_id: str, readings: Mapping[str, Record]) -> dict[str, Any]:
        proposals = self.log.index.proposals().get(hip_id, {})
        return {
            "readings": list(map(_to_json, readings.values())),
            "proposals": list(map(_to_json, proposals.values())),
        }


def _say_grade(record: Record) -> str:
    if record.reason:
        return REASONS[record.reason]
    return f"Crowe {ROMAN[record.crowe or 1]}, KL {record.kl}"


def _to_json(record: Record) -> dict[str, Any]:
    return record.model_dump(
        include={"id", "kind", "reader", "time", "hip_id", "case_id", "side", "crowe", "kl"}
        | {"reason", "comment", "seconds", "measurements"}
    )
