"""Access control: requests must come from this machine and this page, with a session that the key opened."""

from __future__ import annotations

import hmac
import secrets

from flask import Flask, Response, abort, request, session

MAX_BODY = 16_384
"""Bytes of a request: a reading with the longest comment takes a third of it."""

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
_PUBLIC = {"page", "asset"}
"""Served without the key: the page and its style, in which there is no patient."""


def guard(app: Flask, port: int) -> None:
    """Checks every request first, and sets the security headers of every answer."""
    hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}

    @app.before_request
    def check() -> None:
        _check_origin(hosts)
        if request.method not in {"GET", "HEAD"}:
            _check_change()
        if request.endpoint not in _PUBLIC and not session.get("in"):
            abort(401, "open the address that the server printed")

    @app.after_request
    def set_headers(response: Response) -> Response:
        response.headers.update(_HEADERS)
        return response


def _check_origin(hosts: set[str]) -> None:
    host, origin = request.headers.get("Host"), request.headers.get("Origin")
    # DNS rebinding: another site's name may have been pointed at this machine.
    if host not in hosts:
        abort(421, "this host name is not served here")
    same_site = request.headers.get("Sec-Fetch-Site", "same-origin") in {"same-origin", "none"}
    # A link from elsewhere may lead to the page itself, in which there is no patient.
    if origin not in (None, f"http://{host}") or not (same_site or request.endpoint == "page"):
        abort(403, "the request comes from another page")


def _check_change() -> None:
    if "Origin" not in request.headers:
        abort(403, "the request does not say from which page it comes")
    sent, known = request.headers.get("X-CSRF-Token", ""), session.get("csrf", "")
    if not known or not hmac.compare_digest(sent.encode(), known.encode()):
        abort(403, "the page is of another session: reload it")
    if request.mimetype != "application/json":
        abort(415, "only JSON is taken")


def open_session(given: str, key: str) -> bool:
    """Opens a session if the key is right."""
    if not hmac.compare_digest(given.encode(), key.encode()):
        return False
    session.setdefault("csrf", secrets.token_urlsafe(24))
    session["in"] = True
    return True
