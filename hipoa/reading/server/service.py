"""What a reader can do, without HTTP: see the next hips, grade one, undo, settle a disagreement."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import hipoa
from hipoa.core.errors import ReadingError
from hipoa.core.identifiers import normalise
from hipoa.reading.agreement import measure_agreement
from hipoa.reading.images import load_image
from hipoa.reading.log import Log
from hipoa.reading.records import REASONS, Record, agree, same_grade
from hipoa.reading.server.form_tokens import FormTokens, now_utc
from hipoa.reading.server.queue import comes_again, queue_hips
from hipoa.reading.server.tools import find_earlier, present_tools, take_tools
from hipoa.reading.settings import ReadSettings
from hipoa.reading.worklist import Hip, Worklist

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
        queue = queue_hips(reader, self.worklist, self.log.index, self.settings)
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
        done = len(self.log.index.current(reader))
        return {"hips": hips, "read": done, "left": len(queue), "skipped": skipped}

    def consensus_hip(self, reader: str, hip_id: str) -> dict[str, Any]:
        """A hip on which readers disagree, with the reading of each.

        Raises:
            ReadingError: The reader takes part in no such disagreement.
        """
        readings = self._disagreements(reader).get(hip_id)
        if readings is None:
            raise ReadingError("hip", "there is no open disagreement that you took part in", "See the list.")
        hip = self._present(self._hip(hip_id), reader, "consensus")
        return {"hips": [hip], "readings": list(map(_to_json, readings.values()))}

    def record(self, reader: str, form: Mapping[str, Any]) -> dict[str, Any]:
        """Records a reading; the form token says of which hip, by whom and of which image.

        Returns:
            The recorded reading, the model's class if it may be shown, and the next hip.

        Raises:
            ReadingError: The token is not this reader's, or the reading is incomplete.
        """
        record = self._tokens.to_record(reader, form)
        hip = self._hip(record.hip_id)
        record = take_tools(record, form, hip)
        stored = self.log.append(record)
        if not same_grade(stored, record):
            grade = REASONS[stored.reason] if stored.reason else f"Crowe {stored.crowe}, KL {stored.kl}"
            raise ReadingError(
                stored.hip_id, f"it was recorded as {grade}", "Undo that reading to change it."
            )
        prediction = self._predict(hip) if self._may_show_prediction(hip.hip_id) else None
        return {"recorded": _to_json(stored), "prediction": prediction, **self.next_hips(reader, count=1)}

    def undo(self, reader: str, record_id: object) -> dict[str, Any]:
        """Takes back one of the reader's own readings, by another line of the log.

        Raises:
            ReadingError: It is not a reading of this reader.
        """
        record = self.log.find(record_id) if isinstance(record_id, str) else None
        if record is None or record.reader != reader or record.kind == "undo":
            raise ReadingError("undo", "you can only undo your own readings", "Choose one of them.")
        kept = record.model_dump(include={"reader", "hip_id", "case_id", "side"})
        undoing = {"id": f"undo-{record.id}", "kind": "undo", "undoes": record.id, "time": now_utc()}
        undoing |= {"study": self.study, "version": hipoa.__version__}
        self.log.append(Record.model_validate({**kept, **undoing}))
        return {"undone": _to_json(record), **self.next_hips(reader, record.hip_id, count=1)}

    def list_own(self, reader: str) -> dict[str, Any]:
        """The reader's last readings, the latest first."""
        return {"readings": list(map(_to_json, self.log.index.of(reader)[-_MAX_LISTED:][::-1]))}

    def list_disagreements(self, reader: str) -> dict[str, Any]:
        """Hips that the reader and others graded differently, and how well readers agree.

        Others' readings of hips that the reader has not read stay hidden, so that hers will be blind.
        """
        cases = [
            {"hip_id": hip_id, "readings": list(map(_to_json, readings.values()))}
            for hip_id, readings in self._disagreements(reader).items()
        ]
        patients = {name: hip.patient for name, hip in self.worklist.by_id.items()}
        agreement = measure_agreement(self.log.index, patients, self.worklist.classes, with_reader=reader)
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
        blind = self._is_blind(hip.hip_id, reader)
        token = self._tokens.issue(
            reader, {**named, **shown, "again": again, "blind": blind, "study": self.study}
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
        before = self.settings.prediction == "before"
        return {**presented, "prediction": self._predict(hip)} if before else presented

    def _is_blind(self, hip_id: str, reader: str) -> bool:
        if self.settings.prediction == "before":
            return False
        return not self._may_show_prediction(hip_id) or hip_id not in self.log.index.seen(reader)

    def _may_show_prediction(self, hip_id: str) -> bool:
        """Never of a hip that comes again, or its second reading would not be blind."""
        return self.settings.prediction != "never" and not comes_again(hip_id, self.settings.again_every)

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
        return {
            hip_id: readings
            for hip_id, readings in self.log.index.by_hip().items()
            if hip_id in self.worklist.by_id
            and hip_id not in settled
            and reader in readings
            and not agree(readings)
        }


def _to_json(record: Record) -> dict[str, Any]:
    return record.model_dump(
        include={"id", "kind", "reader", "time", "hip_id", "case_id", "side", "crowe", "kl"}
        | {"reason", "comment", "seconds", "measurements"}
    )
