"""Reads that crash, hang and fail once, in a module of their own that the workers import."""

import importlib
import os
import signal
import threading
import time

import pytest

from hipoa.imaging.worker_pool import read_ahead

READS = """
import os, signal, time
from pathlib import Path

def read(item):
    name, folder = item
    mark = Path(folder) / name
    tried = mark.exists()
    mark.touch()
    if name.startswith("crash") or (name.startswith("once") and not tried):
        os.kill(os.getpid(), signal.SIGSEGV)
    if name.startswith("hang") or (name.startswith("slow") and not tried):
        time.sleep(1000)
    if name.startswith("exit"):
        os._exit(3)
    if name.startswith("raise"):
        raise KeyError(name)
    return name.upper(), os.getpid()

def hold(item):
    name, folder = item
    mine = Path(folder) / f"{os.getpid()}-{name}"
    mine.touch()
    time.sleep(0.05)
    held = len(list(Path(folder).iterdir()))
    mine.unlink()
    return held, time.time()
"""


@pytest.fixture
def reads(tmp_path, monkeypatch):
    (tmp_path / "code").mkdir()
    (tmp_path / "code/hipoa_test_reads.py").write_text(READS)
    monkeypatch.syspath_prepend(tmp_path / "code")
    module = importlib.import_module("hipoa_test_reads")
    yield module
    del importlib.sys.modules["hipoa_test_reads"]


def read_all(read, names, folder, *, workers=2, timeout_s=20.0):
    folder.mkdir(exist_ok=True)
    items = [(name, str(folder)) for name in names]
    give_up = lambda item, why: (item[0], why)  # noqa: E731
    return list(read_ahead(read, items, give_up, workers=workers, timeout_s=timeout_s))


def test_what_crashes_hangs_or_fails_once_harms_no_other(reads, tmp_path):
    names = ["a", "crash1", "b", "hang", "once", "c", "crash2", "slow", "exit", "d"]
    found = read_all(reads.read, names, tmp_path / "marks", timeout_s=1.5)
    assert [name for name, _ in found] == [
        *("A", "crash1", "B", "hang", "ONCE", "C", "crash2", "SLOW", "exit", "D"),
    ]
    reasons = dict(found)
    assert reasons["crash1"] == reasons["crash2"] == "reading it ended the reader (SIGSEGV)"
    assert reasons["hang"] == "reading it took longer than 1.5 s"
    assert reasons["exit"] == "reading it ended the reader (exit code 3)"


def test_the_workers_are_kept_for_the_next_item_and_gone_at_the_end(reads, tmp_path):
    found = read_all(reads.read, [f"{n}" for n in range(12)], tmp_path / "marks")
    processes = {pid for _, pid in found}
    assert 1 <= len(processes) <= 2
    assert os.getpid() not in processes
    for pid in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_without_workers_all_is_read_here(reads, tmp_path):
    assert read_all(reads.read, ["a"], tmp_path / "marks", workers=0) == [("A", os.getpid())]
    assert read_all(reads.read, [], tmp_path / "marks") == []


def test_a_defect_is_no_fault_of_the_ct(reads, tmp_path):
    with pytest.raises(RuntimeError, match="KeyError: 'raise'"):
        read_all(reads.read, ["a", "raise", "b"], tmp_path / "marks")


@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_are_held_than_there_are_workers(reads, tmp_path, workers):
    held = [
        count
        for count, _ in read_all(reads.hold, [f"{n}" for n in range(15)], tmp_path / "m", workers=workers)
    ]
    assert max(held) <= workers
    if workers > 1:
        assert max(held) > 1  # they do work side by side


def test_the_workers_do_not_run_far_ahead(reads, tmp_path):
    """Who is slow to ask does not find everything read and waiting in memory."""
    folder = tmp_path / "m"
    folder.mkdir()
    items = [(f"{n}", str(folder)) for n in range(12)]
    ready = []
    for number, (_, at) in enumerate(read_ahead(reads.hold, items, None, workers=2, timeout_s=20)):
        ready.append((number, at, time.time()))
        time.sleep(0.3)
    for number, at, _ in ready[4:]:
        asked_before = [asked for n, _, asked in ready if n == number - 4]
        assert at > asked_before[0]


def test_who_stops_asking_leaves_no_process(reads, tmp_path):
    folder = tmp_path / "marks"
    folder.mkdir()
    before = threading.active_count()
    items = [("a", str(folder)), *[(f"hang{n}", str(folder)) for n in range(4)]]
    asking = read_ahead(reads.read, items, lambda item, why: (item, why), workers=2, timeout_s=1000)
    _, pid = next(asking)
    started = time.monotonic()
    asking.close()
    assert time.monotonic() - started < 20
    assert threading.active_count() == before
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
