"""Who may ask for what: this machine, this page, a reader who holds the key."""

from __future__ import annotations

import hmac
import secrets

from flask import Flask, Response, abort, request, session

MAX_BODY = 16_384
"""Bytes of a request: a reading with the longest comment has a third of it."""

_HEADERS = {
    # No inline script, no other server, no frame, no plug-in.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    # Patients' images stay out of the browser's cache on disk.
    "Cache-Control": "no-store",
}
_OPEN = {"page", "asset"}
"""What is served without the key: the page and its style, in which there is no patient."""


def guard(app: Flask, port: int) -> None:
    """Checks every request before it is looked at, and puts the headers on every answer.

    Args:
        app: The page.
        port: On which it is served.
    """
    hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}

    @app.before_request
    def check() -> None:
        _check_origin(hosts)
        if request.method not in {"GET", "HEAD"}:
            _check_change()
        if request.endpoint not in _OPEN and not session.get("in"):
            abort(401, "open the address that the server printed")

    @app.after_request
    def seal(response: Response) -> Response:
        for name, value in _HEADERS.items():
            response.headers[name] = value
        return response


def _check_origin(hosts: set[str]) -> None:
    host, origin = request.headers.get("Host"), request.headers.get("Origin")
    # A name from elsewhere that leads here belongs to a page whose name was changed to this machine's.
    if host not in hosts:
        abort(421, "this host name is not served here")
    if origin is not None and origin != f"http://{host}":
        abort(403, "another page asks")
    from_here = request.headers.get("Sec-Fetch-Site", "same-origin") in {"same-origin", "none"}
    # A link from elsewhere may lead to the page, in which there is no patient.
    if not from_here and request.endpoint != "page":
        abort(403, "another page asks")


def _check_change() -> None:
    if "Origin" not in request.headers:
        abort(403, "the request does not say which page asks")
    sent, known = request.headers.get("X-CSRF-Token", ""), session.get("csrf", "")
    if not known or not hmac.compare_digest(sent.encode(), known.encode()):
        abort(403, "the page is of another session: load it again")
    if request.mimetype != "application/json":
        abort(415, "only JSON is taken")


def let_in(given: str, key: str) -> bool:
    """Opens a session for who holds the key."""
    if not hmac.compare_digest(given.encode(), key.encode()):
        return False
    session.setdefault("csrf", secrets.token_urlsafe(24))
    session["in"] = True
    return True
