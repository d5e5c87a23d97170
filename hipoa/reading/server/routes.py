"""The routes of the reading page: JSON and 16-bit pixels; everything they name is looked up in tables."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Any

from flask import Flask, Response, abort, jsonify, redirect, request, session
from werkzeug.exceptions import HTTPException

import hipoa
from hipoa.core.errors import HipoaError
from hipoa.reading.images import Shown
from hipoa.reading.record import REASONS
from hipoa.reading.server.access import MAX_BODY, guard, let_in
from hipoa.reading.server.service import Desk

_ASSETS = {
    "read.css": "text/css; charset=utf-8",
    "read.js": "text/javascript; charset=utf-8",
    "viewer.js": "text/javascript; charset=utf-8",
}


def make_app(desk: Desk, *, port: int, key: str, only_reader: str = "") -> Flask:
    """The page as a WSGI application.

    Args:
        desk: What it shows and where readings go.
        port: On which it is served; requests to another host or port are refused.
        key: What the address must hold to be let in.
        only_reader: Whose page it is; anyone's by name if empty.
    """
    app = Flask("hipoa.reading", static_folder=None, template_folder=None)
    app.config.update(
        SECRET_KEY=desk.secret,
        MAX_CONTENT_LENGTH=MAX_BODY,
        PROVIDE_AUTOMATIC_OPTIONS=False,
        # Cookies know no ports: two studies read at once must not overwrite each other's.
        SESSION_COOKIE_NAME="hipoa_" + hashlib.sha256(desk.secret.encode()).hexdigest()[:12],
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
    )
    # The reasons have an order, which their keys on the page follow.
    app.json.sort_keys = False  # type: ignore[attr-defined]
    guard(app, port)
    _add_page(app, key)
    _add_session(app, desk, only_reader)
    _add_reading(app, desk)
    _add_images(app, desk)
    app.register_error_handler(HTTPException, _tell_http)
    app.register_error_handler(HipoaError, _tell_error)
    return app


def _add_page(app: Flask, key: str) -> None:
    folder = files("hipoa.reading.server") / "static"
    page = (folder / "read.html").read_bytes()
    assets = {name: (folder / name).read_bytes() for name in _ASSETS}

    @app.get("/", endpoint="page")
    def show_page() -> Any:
        if "key" in request.args:
            if not let_in(request.args["key"], key):
                abort(403, "this is not the key that the server printed")
            # The key leaves the address, and so the history and what is on the screen.
            return redirect("/")
        return Response(page, mimetype="text/html")

    @app.get("/static/<name>", endpoint="asset")
    def show_asset(name: str) -> Response:
        if name not in assets:
            abort(404)
        return Response(assets[name], content_type=_ASSETS[name])


def _add_session(app: Flask, desk: Desk, only_reader: str) -> None:
    @app.get("/api/state")
    def state() -> Any:
        if only_reader:
            session["reader"] = desk.find_reader(only_reader)
        return jsonify(
            study=desk.study,
            version=hipoa.__version__,
            csrf=session["csrf"],
            reader=session.get("reader", ""),
            readers=[] if only_reader else desk.log.ledger.readers,
            reasons=REASONS,
            classes=desk.worklist.classes.class_table,
            prediction=desk.settings.prediction,
            again_every=desk.settings.again_every,
            without_image=desk.worklist.without_image,
            set_aside=desk.worklist.set_aside,
        )

    @app.post("/api/reader")
    def sign_in() -> Any:
        name = desk.find_reader(_text("name"))
        if only_reader and name != desk.find_reader(only_reader):
            abort(403, "this page is another reader's")
        # A name stands for the whole session: no tab may change under whose name another one saves.
        if session.get("reader", name) != name:
            abort(409, f"this browser reads as {session['reader']}: sign out first")
        session["reader"] = name
        return jsonify(reader=name)

    @app.post("/api/leave")
    def leave() -> Any:
        session.pop("reader", None)
        return jsonify(reader="")


def _add_reading(app: Flask, desk: Desk) -> None:
    @app.get("/api/next")
    def put_next() -> Any:
        return jsonify(desk.put_next(_reader(), ahead=2))

    @app.post("/api/readings")
    def record() -> Any:
        return jsonify(desk.record(_reader(), _body()))

    @app.post("/api/undo")
    def undo() -> Any:
        return jsonify(desk.undo(_reader(), _body().get("id")))

    @app.get("/api/mine")
    def list_own() -> Any:
        return jsonify(readings=desk.list_own(_reader()))

    @app.get("/api/disagreements")
    def list_disagreements() -> Any:
        return jsonify(desk.list_disagreements(_reader()))

    @app.get("/api/consensus/<hip_id>")
    def put_consensus(hip_id: str) -> Any:
        return jsonify(desk.put_consensus(_reader(), hip_id))


def _add_images(app: Flask, desk: Desk) -> None:
    @app.get("/api/references")
    def list_references() -> Any:
        _reader()
        return jsonify(references=desk.list_references())

    @app.get("/api/references/<int:number>")
    def show_reference(number: int) -> Response:
        _reader()
        try:
            return _send(desk.find_reference(number))
        except KeyError:
            abort(404)

    @app.get("/api/images/<hip_id>/<kind>/<sha256>")
    def show_image(hip_id: str, kind: str, sha256: str) -> Response:
        _reader()
        try:
            shown = desk.find_image(hip_id, kind)
        except KeyError:
            abort(404)
        if shown.sha256 != sha256:
            abort(409, "the image was made anew: load the page again")
        return _send(shown)


def _send(shown: Shown) -> Response:
    """The pixels as they are, row by row, 16 bits, the low byte first."""
    return Response(shown.pixels.astype("<u2").tobytes(), mimetype="application/octet-stream")


def _reader() -> str:
    name = session.get("reader", "")
    if not name:
        abort(401, "say your name first")
    return name


def _body() -> dict[str, Any]:
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        abort(400, "the request holds no JSON object")
    return body


def _text(name: str) -> str:
    value = _body().get(name)
    if not isinstance(value, str):
        abort(400, f"{name} is no text")
    return value


def _tell_http(error: HTTPException) -> Response:
    response = jsonify(error=error.description)
    response.status_code = error.code or 500
    return response


def _tell_error(error: HipoaError) -> Response:
    response = jsonify(error=str(error))
    response.status_code = 400
    return response
