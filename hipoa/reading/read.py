"""Serves the page on which surgeons read the hips of the list."""

from __future__ import annotations

import logging
import os
import secrets
import shlex
import sys
from pathlib import Path

from waitress.server import create_server

from hipoa.core.errors import ConfigError
from hipoa.reading.log import Log
from hipoa.reading.server.access import MAX_BODY
from hipoa.reading.server.routes import make_app
from hipoa.reading.server.service import ReadingService
from hipoa.reading.settings import ReadSettings
from hipoa.reading.worklist import read_worklist

LOOPBACK = "127.0.0.1"
_THREADS = 8
_CONNECTIONS = 500


def run(
    settings: ReadSettings,
    *,
    study: Path,
    port: int = 8047,
    reader: str = "",
    hips: Path | None = None,
    log: Path | None = None,
) -> None:
    """Serves the reading page of a study on this machine alone, until it is stopped.

    Args:
        settings: How hips are presented to readers.
        study: The folder of results of a finished study, with triage.csv.
        port: The port of the page on 127.0.0.1.
        reader: The only reader who may use the page; without it readers sign in by name.
        hips: A list to read instead of triage.csv, with the columns hip_id and rank.
        log: Where readings are kept; by default history/NAME/readings.jsonl beside results/, which no run
            of the workflow touches.

    Raises:
        CohortError: The study has no list or no hips.
        ReadingError: The log is in use, or was damaged by hand.
        ConfigError: The port is taken or not allowed.
    """
    if not 1024 <= port <= 65535:
        raise ConfigError("--port", f"{port} is not allowed", "Use one of 1024-65535.")
    path = log or find_log(study)
    worklist = read_worklist(study, hips or study / "triage.csv")
    opened = Log(path)
    secret = read_secret(path.parent / "secret")
    command = _name_next_command(study, log)
    service = ReadingService(study.resolve().name, worklist, opened, settings, secret, command)
    for name in filter(None, (reader, settings.senior)):
        service.find_reader(name)
    key = secrets.token_urlsafe(16)
    app = make_app(service, port=port, key=key, only_reader=reader)
    try:
        server = create_server(
            app,
            host=LOOPBACK,
            port=port,
            threads=_THREADS,
            connection_limit=_CONNECTIONS,
            max_request_body_size=MAX_BODY,
            max_request_header_size=MAX_BODY,
            ident=None,
        )
    except OSError as error:
        raise ConfigError(
            "--port", f"{port} cannot be had ({error.strerror})", "Choose another one."
        ) from error
    # It warns of every waiting request, which fills a terminal and blocks on a pipe that nobody reads.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    if opened.repaired:
        print(opened.repaired, file=sys.stderr)
    print(
        f"{worklist.describe()}\n"
        f"Readings go to {path}, which belongs in your backup.\n"
        f"Open http://{LOOPBACK}:{port}/?key={key}\n"
        "Ctrl+C ends the page; every reading is on the disk already. Then turn them into grades:\n"
        f"  {command}",
        flush=True,
    )
    server.run()


def _name_next_command(study: Path, log: Path | None) -> str:
    """What turns the readings into grades, with the paths as they were typed."""
    of_log = ["--log", str(log)] if log else []
    words = ["python", "-m", "hipoa", "readings", "--study", str(study), *of_log, "--out", "grades.csv"]
    return shlex.join(words)


def find_log(study: Path) -> Path:
    """Where the readings of a study are kept: beside results/, since no run can make them again."""
    folder = study.resolve()
    return folder.parent.parent / "history" / folder.name / "readings.jsonl"


def read_secret(path: Path) -> str:
    """The secret that signs cookies and form tokens, made once, so that both outlive the server."""
    if path.is_file() and len(secret := path.read_text(encoding="ascii").strip()) >= 32:
        return secret
    secret = secrets.token_hex(32)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(secret)
    return secret
