"""A fabricated study with images and a list, and its page in memory or on a port."""

import contextlib
import csv
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from hipoa.imaging.develop import write_png
from hipoa.reading.log import Log
from hipoa.reading.server.routes import make_app
from hipoa.reading.server.service import ReadingService
from hipoa.reading.settings import ReadSettings
from hipoa.reading.worklist import read_worklist

ROOT = Path(__file__).parents[2]
PORT, KEY = 8047, "the-key"
HOME = f"http://127.0.0.1:{PORT}"
PAIRS = ((1, 1), (1, 2), (1, 3), (1, 4), (2, 4), (3, 4), (4, 4))


def write_table(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def draw(side, size, depth, noise=0.0):
    """A bright head, lateral of the middle as seen from the front: left of it for a right hip."""
    y, x = np.mgrid[:size, :size] / size
    centre = 0.3 if side == "R" else 0.7
    grain = noise * np.random.default_rng([size]).random((size, size))
    seen = (np.hypot(x - centre, y - 0.5) < 0.15) * (1 - noise) + 0.3 * y + grain
    return np.round(seen / 1.3 * (2**depth - 1)).astype(np.uint8 if depth == 8 else np.uint16)


def draw_slices(size=20, count=15):
    """Each slice of each plane of another grey, brighter on its right half."""
    grey = 3 * np.arange(3 * count).reshape(3, 1, count, 1) + np.zeros((3, size, count, size))
    grey[..., size // 2 :] += 100
    return grey.reshape(3 * size, count * size).astype(np.uint8)


def make_study(
    folder, *, pool=6, labelled=8, views=False, scanner="phantom A", view_px=50, noise=0.0, tilt_deg=""
):
    """Writes what `hipoa read` reads: cases of two hips, the first of the list first by name.

    From the 40th case on hips share their image and have no views.
    """
    texts = {"mirrored": "no", "window_low": "0", "window_high": "20", "shown_low": "1", "shown_high": "12"}
    for cohort, n in (("labelled", labelled), ("pool", pool)):
        rows, seen = [], []
        for number in range(n):
            case = f"{cohort[0]}{number:05d}"
            for side in "LR":
                hip = f"{case}_{side}"
                mirrored = "yes" if side == "L" else "no"
                image = draw(side, 30, 8)
                file = (
                    folder / "radiographs" / cohort / "png" / (f"{hip}.png" if number < 40 else f"{side}.png")
                )
                if not file.exists():
                    about = {"side": side, "mirrored": mirrored}
                    write_png(file, image[:, ::-1] if side == "L" else image, about)
                grade = number % 7 + 1 if cohort == "labelled" else ""
                crowe, kl = PAIRS[grade - 1] if grade else ("", "")
                rows.append(
                    {
                        "hip_id": hip,
                        "case_id": case,
                        "patient_id": f"SECRET-{case}",
                        "side": side,
                        "scanner": scanner,
                        "status": "ok",
                        "reason": "",
                        "implant": "",
                        "warnings": "",
                        "tilt_deg": tilt_deg,
                        "mirrored": "yes" if side == "L" else "",
                        "mm_per_px": 6.3,
                        "cohort": cohort,
                        "png": os.path.relpath(file, folder / "hips"),
                        "crowe": crowe,
                        "kl": kl,
                        "grade": grade,
                        "reader_grades": f"{grade} {grade}" if grade else "",
                    }
                )
                if views and number < 40:
                    row = {"hip_id": hip, "mm_per_px": 0.4, "head_x_px": 15, "head_y_px": 25}
                    row |= {"head_radius_px": 8, "pelvis_mm_per_px": 0.8, "png": f"png/{hip}.png"}
                    row |= {
                        "pelvis_png": f"png/{case}_pelvis.png",
                        "pelvis_head_x_px": 10 if side == "R" else 40,
                        "pelvis_head_y_px": 9,
                    }
                    row |= {"side": side, "slices_png": f"png/{hip}_slices.png", "slices_mm_per_px": 0.8}
                    row |= {"slices_apart_mm": 4}
                    at = folder / "views" / cohort / "png"
                    write_png(at / f"{hip}_slices.png", draw_slices(), {"side": side, "mirrored": "no"})
                    write_png(at / f"{hip}.png", draw(side, view_px, 16, noise), {**texts, "side": side})
                    write_png(
                        at / f"{case}_pelvis.png", draw("R", view_px, 16, noise), {**texts, "side": "both"}
                    )
                    seen.append(row)
        write_table(folder / "hips" / f"{cohort}.csv", rows)
        if views:
            write_table(folder / "views" / cohort / "0.csv", seen)
    listed = [f"p{number:05d}_{side}" for number in range(pool) for side in "LR"]
    write_table(
        folder / "triage.csv",
        [
            {"rank": n, "hip_id": hip, "predicted": 5, "set_aside": ""}
            for n, hip in enumerate(listed, start=1)
        ],
    )
    return folder


class Reader:
    """One browser: a session with its cookie and token."""

    def __init__(self, app, name=""):
        self.client = app.test_client()
        self.client.get(f"/?key={KEY}", base_url=HOME)
        self.csrf = self.get("/api/state").json["csrf"]
        if name:
            assert self.post("/api/reader", {"name": name}).status_code == 200

    def get(self, path, **headers):
        return self.client.get(path, base_url=HOME, headers=headers)

    def post(self, path, body, **headers):
        sent = {"Origin": HOME, "X-CSRF-Token": self.csrf} | {
            k.replace("_", "-"): v for k, v in headers.items()
        }
        return self.client.post(path, json=body, base_url=HOME, headers=sent)

    def next(self):
        return self.get("/api/next").json["hips"][0]

    def read(self, crowe=1, kl=2, hip=None, **more):
        token = (hip or self.next())["form_token"]
        return self.post(
            "/api/readings", {"form_token": token, "crowe": crowe, "kl": kl, "seconds": 1, **more}
        )


class Page:
    """A study's page in memory."""

    def __init__(self, study, **settings):
        self.study = study
        self.path = study.parent.parent / "history" / study.name / "readings.jsonl"
        self.settings = ReadSettings.model_validate({"again_every": 0, **settings})
        self.secret = "s" * 64
        self.open()

    def open(self, only_reader=""):
        self.log = Log(self.path)
        self.worklist = read_worklist(self.study, self.study / "triage.csv")
        service = ReadingService(self.study.name, self.worklist, self.log, self.settings, self.secret)
        self.app = make_app(service, port=PORT, key=KEY, only_reader=only_reader)
        return self

    def reader(self, name=""):
        return Reader(self.app, name)

    def lines(self):
        return [json.loads(line) for line in self.path.read_text().splitlines()]


@pytest.fixture
def results(tmp_path):
    return make_study(tmp_path / "results" / "small")


@pytest.fixture
def page(results):
    return Page(results)


@pytest.fixture
def make_page(results):
    return lambda **settings: Page(results, **settings)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Served:
    """`hipoa read` as a process."""

    def __init__(self, study, *flags):
        self.study, self.port, self.flags = study, free_port(), flags
        self.start()

    def start(self):
        command = [
            sys.executable,
            "-m",
            "hipoa",
            "read",
            "--study",
            str(self.study),
            "--port",
            str(self.port),
        ]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [*command, *self.flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.said = []
        for line in self.process.stdout:
            self.said.append(line)
            if line.startswith("Open "):
                self.address = line.split()[1]
                return
        raise AssertionError(self.process.stderr.read())

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        self.process.communicate()


class Browserless:
    """A reader who talks to a served page as the page's script does."""

    def __init__(self, served, name):
        self.home = f"http://127.0.0.1:{served.port}"
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        self.opener.open(served.address, timeout=20).read()
        self.csrf = self.ask("/api/state")["csrf"]
        self.ask("/api/reader", {"name": name})

    def ask(self, path, body=None):
        headers = {"Origin": self.home, "X-CSRF-Token": getattr(self, "csrf", "")}
        headers |= {"Content-Type": "application/json"} if body is not None else {}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.home + path, data, headers)
        return json.loads(self.opener.open(request, timeout=120).read())

    def read_until_killed(self):
        """Reads as fast as she can; the ids of what was acknowledged."""
        acknowledged = []
        # A server that dies answers with nothing, with half an answer or not at all.
        with contextlib.suppress(OSError, IndexError, http.client.HTTPException, ValueError):
            while True:
                hip = self.ask("/api/next")["hips"][0]
                answer = self.ask("/api/readings", {"form_token": hip["form_token"], "crowe": 1, "kl": 2})
                acknowledged.append(answer["recorded"]["id"])
        return acknowledged


@pytest.fixture(scope="package")
def browser(chromium, playwright):
    started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
    yield started
    started.close()


@pytest.fixture
def open_page(browser):
    contexts = []

    def start(served, name="Ann", width=1366, height=768):
        contexts.append(browser.new_context(viewport={"width": width, "height": height}))
        page = contexts[-1].new_page()
        page.faults = []
        page.on("console", lambda m: page.faults.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.goto(served.address)
        if name:
            page.fill("#name", name)
            page.keyboard.press("Enter")
            page.wait_for_selector("#workspace:not([hidden])")
        return page

    yield start
    for context in contexts:
        context.close()


def wait_for(page, hip):
    """Until the hip is on the screen."""
    page.wait_for_function("hip => document.body.dataset.shown === hip", arg=hip)


def press(page, *keys):
    """One key after another."""
    for key in keys:
        page.keyboard.press(key)


@pytest.fixture
def serve(results):
    running = []

    def start(*flags, study=results):
        running.append(Served(study, *flags))
        return running[-1]

    yield start
    for served in running:
        if served.process.poll() is None:
            served.kill()
