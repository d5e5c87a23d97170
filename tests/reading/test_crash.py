"""The served page as a process: many readers at once, and killed while it writes."""

import subprocess
import sys
import threading
import urllib.error
from pathlib import Path

import pytest

from hipoa.reading.log import read_log

from .conftest import Browserless, free_port


def log_of(results):
    return results.parent.parent / "history" / results.name / "readings.jsonl"


def test_parallel_readers_lose_and_mix_up_nothing(serve, results):
    served = serve("--again-every", "0")
    said = {}

    def read(name, number):
        reader, own = Browserless(served, name), []
        for turn in range(6):
            hip = reader.ask("/api/next")["hips"][0]
            body = {"form_token": hip["form_token"], "crowe": number % 4 + 1, "kl": turn % 5, "comment": name}
            for _ in range(2):
                reader.ask("/api/readings", body)
            own.append((hip["hip_id"], body["crowe"], body["kl"], name))
        said[name] = own

    threads = [threading.Thread(target=read, args=(f"Reader {n}", n)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = {}
    for record in read_log(log_of(results)):
        own = written.setdefault(record.reader, [])
        own.append((record.hip_id, record.crowe, record.kl, record.comment))
    assert written == said
    assert len(said) == 10


def test_what_was_acknowledged_survives_a_kill(serve, results):
    served = serve("--again-every", "0")
    acknowledged = []
    for pause in (0.0, 0.03, 0.1):
        timer = threading.Timer(pause, served.process.kill)
        reader = Browserless(served, f"Reader {pause}")
        timer.start()
        acknowledged += reader.read_until_killed()
        timer.join()
        served.process.communicate()
        served.start()
    written = [record.id for record in read_log(log_of(results))]
    assert set(acknowledged) <= set(written)
    assert len(written) == len(set(written)) <= len(acknowledged) + 3


def test_the_server_is_for_this_machine_alone_and_says_nothing_of_itself(serve):
    served = serve()
    address = served.address.split("/?")[0]
    assert address.startswith("http://127.0.0.1:")
    reader = Browserless(served, "Ann")
    with pytest.raises(urllib.error.HTTPError) as refused:
        reader.opener.open(f"{address}/api/nowhere", timeout=10)
    assert "Server" not in refused.value.headers
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    assert f"0100007F:{served.port:04X}" in listening
    assert f"00000000:{served.port:04X}" not in listening


def test_a_second_page_on_the_same_log_is_refused_in_one_line(serve, results):
    serve()
    command = [sys.executable, "-m", "hipoa", "read", "--study", str(results), "--port", str(free_port())]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr.strip().startswith("readings.jsonl: another page is open on this log")


def test_a_study_that_is_not_finished_is_refused_in_one_line(tmp_path):
    command = [sys.executable, "-m", "hipoa", "read", "--study", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "there is no hips/*.csv. Run snakemake to its end first." in done.stderr
