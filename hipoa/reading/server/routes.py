"""The routes of the reading page: JSON and 16-bit pixels; hips and images are looked up in tables."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, jsonify, redirect, request, session
from werkzeug.exceptions import HTTPException

import hipoa
from hipoa.core import grade_definitions
from hipoa.core.errors import HipoaError
from hipoa.reading.images import LoadedImage, load_image
from hipoa.reading.records import REASONS
from hipoa.reading.server.access import MAX_BODY, guard, open_session
from hipoa.reading.server.service import ReadingService
from hipoa.reading.server.tools import describe_on_demand
from hipoa.reading.worklist import Worklist

_ASSET_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


def make_app(service: ReadingService, *, port: int, key: str, only_reader: str = "") -> Flask:
    """The page as a WSGI application.

    Args:
        service: The study's list and log.
        port: On which it is served; requests to another host or port are refused.
        key: What the address must hold to open a session.
        only_reader: The one reader of the page; anyone may sign in by name if empty.
    """
    app = Flask("hipoa.reading", static_folder=None, template_folder=None)
    app.config.update(
        SECRET_KEY=service.secret,
        MAX_CONTENT_LENGTH=MAX_BODY,
        PROVIDE_AUTOMATIC_OPTIONS=False,
        # Cookies ignore the port: two studies that are read at once must not overwrite each other's.
        SESSION_COOKIE_NAME="hipoa_" + hashlib.sha256(service.secret.encode()).hexdigest()[:12],
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
    )
    # The reasons have an order, which their keys on the page follow.
    app.json.sort_keys = False  # type: ignore[attr-defined]
    guard(app, port)
    _add_page(app, key)
    _add_session(app, service, only_reader)
    _add_reading(app, service)
    _add_images(app, service.worklist)
    app.register_error_handler(
        HTTPException, lambda error: (jsonify(error=error.description), error.code or 500)
    )
    app.register_error_handler(HipoaError, lambda error: (jsonify(error=str(error)), 400))
    return app


def _add_page(app: Flask, key: str) -> None:
    folder = files("hipoa.reading.server") / "static"
    page = (folder / "read.html").read_bytes()
    assets = {
        file.name: (file.read_bytes(), _ASSET_TYPES[Path(file.name).suffix])
        for file in folder.iterdir()
        if Path(file.name).suffix in _ASSET_TYPES
    }

    @app.get("/", endpoint="page")
    def show_page() -> Any:
        if "key" in request.args:
            if not open_session(request.args["key"], key):
                abort(403, "this is not the key that the server printed")
            # Takes the key out of the address, and so out of the history and off the screen.
            return redirect("/")
        return Response(page, mimetype="text/html")

    @app.get("/static/<name>", endpoint="asset")
    def show_asset(name: str) -> Response:
        if name not in assets:
            abort(404)
        content, kind = assets[name]
        return Response(content, content_type=kind)


def _add_session(app: Flask, service: ReadingService, only_reader: str) -> None:
    @app.get("/api/state")
    def state() -> Any:
        if only_reader:
            session["reader"] = service.find_reader(only_reader)
        return jsonify(
            study=service.study,
            version=hipoa.__version__,
            csrf=session["csrf"],
            reader=session.get("reader", ""),
            readers=[] if only_reader else service.log.index.readers,
            reasons=REASONS,
            definitions={
                "crowe": grade_definitions.CROWE,
                "kl": grade_definitions.KL,
                "measured": grade_definitions.HOW_CROWE_IS_MEASURED,
                "sources": grade_definitions.SOURCES,
            },
            senior=service.settings.senior,
            next_command=service.next_command,
            prediction=service.settings.prediction,
            again_every=service.settings.again_every,
            without_image=service.worklist.without_image,
            set_aside=service.worklist.set_aside,
        )

    @app.post("/api/reader")
    def sign_in() -> Any:
        given = _body().get("name")
        if not isinstance(given, str):
            abort(400, "name is no text")
        name = service.find_reader(given)
        if only_reader and name != service.find_reader(only_reader):
            abort(403, "this page is another reader's")
        # A name stands for the whole session: no tab may change under whose name another one saves.
        if session.get("reader", name) != name:
            abort(409, f"this browser reads as {session['reader']}: sign out first")
        session["reader"] = name
        return jsonify(reader=name)

    @app.post("/api/leave")
    def sign_out() -> Any:
        session.pop("reader", None)
        return jsonify(reader="")


def _add_reading(app: Flask, service: ReadingService) -> None:
    actions: list[tuple[str, str, Callable[..., object]]] = [
        ("GET", "/api/next", service.next_hips),
        ("POST", "/api/readings", lambda reader: service.record(reader, _body())),
        ("POST", "/api/later", lambda reader: service.put_off(reader, _body())),
        ("POST", "/api/undo", lambda reader: service.undo(reader, _body().get("id"))),
        ("GET", "/api/mine", service.list_own),
        ("POST", "/api/model", service.show_model),
        ("GET", "/api/disagreements", service.list_disagreements),
        ("GET", "/api/consensus/<hip_id>", service.consensus_hip),
        ("GET", "/api/references", lambda _: service.list_references()),
    ]
    for method, path, action in actions:

        def answer(*, action: Callable[..., object] = action, **given: str) -> Response:
            return jsonify(action(_reader(), **given))

        app.add_url_rule(path, path, answer, methods=[method])


def _add_images(app: Flask, worklist: Worklist) -> None:
    @app.get("/api/references/<int:number>")
    def show_reference(number: int) -> Response:
        _reader()
        if number >= len(worklist.references):
            abort(404)
        return _send(load_image(worklist.references[number].hip.images["hip"]))

    @app.get("/api/images/<hip_id>/<kind>")
    def describe_image(hip_id: str, kind: str) -> Any:
        _reader()
        try:
            return jsonify(describe_on_demand(worklist.by_id[hip_id], kind))
        except KeyError:
            abort(404)

    @app.get("/api/images/<hip_id>/<kind>/<sha256>")
    def show_image(hip_id: str, kind: str, sha256: str) -> Response:
        _reader()
        try:
            hip = worklist.by_id[hip_id]
            image = load_image(hip.on_demand[kind].file if kind in hip.on_demand else hip.images[kind])
        except KeyError:
            abort(404)
        if image.sha256 != sha256:
            abort(409, "the image was made anew: reload the page")
        return _send(image)


def _send(image: LoadedImage) -> Response:
    """The pixels as they are, row by row, 16 bits, the low byte first."""
    return Response(image.pixels.astype("<u2").tobytes(), mimetype="application/octet-stream")


def _reader() -> str:
    if not session.get("reader"):
        abort(401, "sign in with your name first")
    return session["reader"]


def _body() -> dict[str, Any]:
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        abort(400, "the request holds no JSON object")
    return body
