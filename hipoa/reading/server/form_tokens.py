"""The ticket that comes with a hip: which hip, for whom, which image; a reading is recorded on it alone.

Signed, so that no reading can be put under another hip or another name; with an id of its own, so that a
second click, or a second try after a lost answer, is no second reading.
"""

from __future__ import annotations

import math
import secrets
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from itsdangerous import BadSignature, URLSafeSerializer
from pydantic import ValidationError

import hipoa
from hipoa.core.errors import ReadingError
from hipoa.reading.record import MAX_COMMENT, MAX_SECONDS, Record

_DO = "Crowe is 1-4, KL 0-4; shorten the comment if that is it."


class Tickets:
    """Issues tickets and makes records on them.

    Args:
        secret: What they are signed with; kept, so that a ticket outlives the server.
    """

    def __init__(self, secret: str) -> None:
        self._signer = URLSafeSerializer(secret, salt="ticket")

    def issue(self, reader: str, about: Mapping[str, Any]) -> str:
        """A ticket.

        Args:
            reader: For whom.
            about: The fields of `Record` that the server settles: hip, side, kind, image and so on.
        """
        ticket = {**about, "id": secrets.token_hex(12), "reader": reader, "time": tell_time()}
        return str(self._signer.dumps(ticket))

    def fill_in(self, reader: str, given: Mapping[str, Any]) -> Record:
        """The record of what a reader says on a ticket.

        Args:
            reader: Who is signed in.
            given: ticket, crowe, kl, reason, comment, seconds.

        Raises:
            ReadingError: The ticket is forged or another reader's, or the reading is not whole.
        """
        ticket = self._open(reader, given.get("ticket"))
        elapsed = datetime.now(UTC) - datetime.fromisoformat(ticket["time"])
        said = {
            "crowe": _whole(given.get("crowe")),
            "kl": _whole(given.get("kl")),
            "reason": _text(given.get("reason")),
            "comment": _text(given.get("comment")),
            "seconds": _bound(given.get("seconds"), elapsed.total_seconds()),
        }
        fields = {**ticket, **said, "time": tell_time(), "version": hipoa.__version__}
        try:
            return Record.model_validate(fields)
        except ValidationError as error:
            found = "; ".join(fault["msg"].removeprefix("Value error, ") for fault in error.errors())
            raise ReadingError("reading", found, _DO) from None

    def _open(self, reader: str, text: object) -> dict[str, Any]:
        try:
            ticket = self._signer.loads(text if isinstance(text, str) else "")
        except BadSignature:
            raise ReadingError("ticket", "it is not of this page", "Load the page again.") from None
        if ticket["reader"] != reader:
            raise ReadingError("ticket", "it is another reader's", "Load the page again.")
        return ticket


def tell_time() -> str:
    """Now, UTC, ISO 8601 to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _whole(value: object) -> int | None:
    if value is not None and type(value) is not int:
        raise ReadingError("reading", "a grade is no whole number", _DO)
    return value


def _text(value: object) -> str:
    """Free text on one line, without control characters; what is no text or too long is refused."""
    text = "" if value is None else value
    if not isinstance(text, str) or len(text) > MAX_COMMENT:
        raise ReadingError("reading", f"no text of at most {MAX_COMMENT} characters", _DO)
    kept = (" " if unicodedata.category(letter) in {"Cc", "Cs", "Cf"} else letter for letter in text)
    return " ".join("".join(kept).split())


def _bound(seconds: object, elapsed: float) -> float:
    """What the page counted, at most what went by; 0 where it counted nothing."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        return 0.0
    return round(min(max(0.0, float(seconds)), max(0.0, elapsed), MAX_SECONDS), 1)
