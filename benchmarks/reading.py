"""The reading page under load: how fast the next hip is there, what readers and kills leave in the log.

A fabricated study with a list of 10 000 hips and 16-bit views of 500 x 500 pixels; the served page is a
process of its own. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.reading.conftest import Browserless, Served, make_study

LISTED = 10_000
WITH_VIEWS = 80


def main() -> None:
    """Runs all three, prints what they gave and writes it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--hips", type=int, default=60, help="hips read in the browser")
    parser.add_argument("--only", choices=("next_hip", "parallel", "kills"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study = make_study(
            Path(folder) / "results" / "load",
            pool=LISTED // 2,
            labelled=40,
            views=True,
            view_px=500,
            noise=0.1,
        )
        figures = {}
        for name, measure in (
            ("next_hip", lambda: time_next_hip(study, given.hips)),
            ("parallel", lambda: read_in_parallel(study, given.readers, 20)),
            ("kills", lambda: kill_often(study, given.kills)),
        ):
            if given.only not in (None, name):
                continue
            shutil.rmtree(Path(folder) / "history", ignore_errors=True)
            figures[name] = measure()
            print(name, json.dumps(figures[name]), flush=True)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2))


def read_lines(study: Path) -> list[dict]:
    log = study.parent.parent / "history" / study.name / "readings.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()]


def time_next_hip(study: Path, hips: int) -> dict:
    """From the key that saves a reading to the next hip drawn, in headless Chromium."""
    from playwright.sync_api import sync_playwright

    served = Served(study, "--again-every", "0")
    took = []
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        page.goto(served.address)
        page.fill("#name", "Ann")
        page.keyboard.press("Enter")
        for number in range(min(hips, WITH_VIEWS - 2)):
            hip = f"p{number // 2:05d}_{'LR'[number % 2]}"
            page.wait_for_function("hip => document.body.dataset.shown === hip", arg=hip)
            # A reader looks for seconds; here long enough for the page to fetch what comes next.
            page.wait_for_timeout(500)
            for key in ("1", "2", "Enter"):
                page.keyboard.press(key)
            after = f"p{(number + 1) // 2:05d}_{'LR'[(number + 1) % 2]}"
            page.wait_for_function("hip => document.body.dataset.shown === hip", arg=after)
            page.wait_for_function("document.body.dataset.milliseconds")
            took.append(float(page.evaluate("document.body.dataset.milliseconds")))
        browser.close()
    served.kill()
    cuts = statistics.quantiles(took, n=20)
    return {"hips": len(took), "median_ms": statistics.median(took), "ms_95": cuts[18], "worst_ms": max(took)}


def read_in_parallel(study: Path, readers: int, each: int) -> dict:
    """Readers at once, each with readings of her own; what the log then says of each."""
    served = Served(study, "--again-every", "0")
    said: dict[str, list] = {}
    waits: list[float] = []

    def read(name: str, number: int) -> None:
        reader, own = Browserless(served, name), []
        for turn in range(each):
            hip = reader.ask("/api/next")["hips"][0]
            grade = {"crowe": (number + turn) % 4 + 1, "kl": (number * 3 + turn) % 5}
            body = {"form_token": hip["form_token"], **grade, "comment": f"{name} {turn}"}
            start = time.perf_counter()
            for _ in range(2):  # a double click
                reader.ask("/api/readings", body)
            waits.append((time.perf_counter() - start) / 2)
            own.append((hip["hip_id"], grade["crowe"], grade["kl"], body["comment"]))
        said[name] = own

    threads = [threading.Thread(target=read, args=(f"Reader {number}", number)) for number in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    served.kill()
    written: dict[str, list] = {}
    for line in read_lines(study):
        own = written.setdefault(line["reader"], [])
        own.append((line["hip_id"], line["crowe"], line["kl"], line["comment"]))
    wrong = sum(written.get(name) != own for name, own in said.items()) + readers - len(said)
    return {
        "readers": readers,
        "readings": sum(map(len, said.values())),
        "lines": sum(map(len, written.values())),
        "readers_with_another_record": wrong,
        "median_ms_per_request": 1000 * statistics.median(waits),
    }


def kill_often(study: Path, kills: int) -> dict:
    """SIGKILL at random times while a reader reads as fast as she can; what she was told must be there."""
    chance = random.Random(0)
    served = Served(study, "--again-every", "0")
    acknowledged: list[str] = []
    for number in range(kills):
        reader = Browserless(served, "Ann")
        timer = threading.Timer(chance.uniform(0, 0.4), served.process.kill)
        timer.start()
        acknowledged += reader.read_until_killed()
        timer.join()
        served.process.communicate()
        if number < kills - 1:
            served.start()
    written = [line["id"] for line in read_whole_lines(study)]
    return {
        "kills": kills,
        "acknowledged": len(acknowledged),
        "acknowledged_and_lost": len(set(acknowledged) - set(written)),
        "written_twice": len(written) - len(set(written)),
        "written_but_not_acknowledged": len(set(written) - set(acknowledged)),
    }


def read_whole_lines(study: Path) -> list[dict]:
    """As the stage `readings` does: a torn last line is no line."""
    from hipoa.reading.log import read_log

    log = study.parent.parent / "history" / study.name / "readings.jsonl"
    return [record.model_dump() for record in read_log(log)]


if __name__ == "__main__":
    main()
