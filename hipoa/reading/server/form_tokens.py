"""Signed form tokens: a reading is recorded on the token that came with its hip, and once.

The signature binds hip, reader and image, so that no reading can be put under another hip or another name;
the token's id makes a second click, or a second try after a lost answer, the same reading.
"""

from __future__ import annotations

import hmac
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
from hipoa.reading.records import MAX_SECONDS, Record


class FormTokens:
    """Issues form tokens, signed with a secret, and makes records of the forms that come back."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self._signer = URLSafeSerializer(secret, salt="form token")

    def issue(self, reader: str, fields: Mapping[str, Any], *, again: bool = False) -> str:
        """A token with the fields of `Record` that the server knows: hip, side, kind, image and so on.

        A token is signed, but whoever has it can read it; whether the hip comes `again` cannot be read.
        """
        token = {**fields, "id": secrets.token_hex(12), "reader": reader, "time": now_utc()}
        return str(self._signer.dumps({**token, "mark": self._mark(token["id"], again=again)}))

    def _mark(self, token_id: str, *, again: bool) -> str:
        return hmac.new(self._secret, f"{token_id} {again}".encode(), "sha256").hexdigest()

    def to_record(self, reader: str, form: Mapping[str, Any]) -> Record:
        """The record of a form: form_token, crowe, kl, reason, comment, seconds.

        Raises:
            ReadingError: The token is forged or another reader's, or the reading is incomplete.
        """
        token = self._open(reader, form.get("form_token"))
        entered = {
            "crowe": form.get("crowe"),
            "kl": form.get("kl"),
            "reason": _to_one_line(form.get("reason")),
            "comment": _to_one_line(form.get("comment")),
            "seconds": _time(token, form),
        }
        if entered["reason"] == "other" and not entered["comment"]:
            raise ReadingError("reading", "another reason needs a comment", "Say in the comment what it is.")
        fields = {**token, **entered, "time": now_utc(), "version": hipoa.__version__}
        try:
            return Record.model_validate(fields, strict=True)
        except ValidationError as error:
            found = [
                ": ".join([*map(str, fault["loc"]), fault["msg"].removeprefix("Value error, ")])
                for fault in error.errors()
            ]
            do = "Crowe is 1-4, KL 0-4; shorten the comment if that is it."
            raise ReadingError("reading", "; ".join(found), do) from None

    def to_put_off(self, reader: str, form: Mapping[str, Any]) -> Record:
        """The record of a hip that the reader puts off to the end of the list, of a form as above.

        Raises:
            ReadingError: The token is forged or another reader's.
        """
        token = self._open(reader, form.get("form_token"))
        # Its own id, since the hip may yet be graded on the same token in another tab.
        fields = {**token, "id": f"later-{token['id']}", "kind": "later", "again": False}
        fields["seconds"] = _time(token, form)
        return Record.model_validate({**fields, "time": now_utc(), "version": hipoa.__version__})

    def _open(self, reader: str, text: object) -> dict[str, Any]:
        try:
            token = self._signer.loads(text if isinstance(text, str) else "")
        except BadSignature:
            raise ReadingError("reading", "this form has expired", "Reload the page.") from None
        if token["reader"] != reader:
            raise ReadingError("reading", "this form is another reader's", "Reload the page.")
        again = hmac.compare_digest(token.pop("mark", ""), self._mark(token["id"], again=True))
        return {**token, "again": again}


def now_utc() -> str:
    """The time, ISO 8601 to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _to_one_line(text: object) -> object:
    """Free text without line breaks, control and invisible characters; anything else as it is."""
    if not isinstance(text, str):
        return "" if text is None else text
    kept = (" " if unicodedata.category(letter) in {"Cc", "Cs", "Cf"} else letter for letter in text)
    return " ".join("".join(kept).split())


def _time(token: Mapping[str, Any], form: Mapping[str, Any]) -> float:
    """The seconds that the page counted, at most the time that passed; 0 if it is no number."""
    seconds = form.get("seconds")
    elapsed = (datetime.now(UTC) - datetime.fromisoformat(token["time"])).total_seconds()
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        return 0.0
    return round(min(max(0.0, float(seconds)), max(0.0, elapsed), MAX_SECONDS), 1)
