"""What libraries print past Python stays off the terminal; what we print does not."""

import subprocess
import sys
import time

import pytest

from hipoa.imaging.ct.quiet import silent

SPEAK = """
import ctypes, os, sys, threading
from hipoa.imaging.ct.quiet import silent
c = ctypes.CDLL(None)
"""


def speak(code):
    """(stdout, stderr) of a program of its own, through pipes: the C library holds back what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", SPEAK + code], capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout, done.stderr


def test_libraries_are_silent_and_we_are_not():
    found = speak("""
print("before")
with silent():
    c.puts(b"library"); os.write(1, b"library"); os.write(2, b"library")
print("after"); print("error", file=sys.stderr); sys.stdout.flush(); os.write(2, b"end")
""")
    assert found == ("before\nafter\n", "error\nend")


def test_an_exception_brings_the_terminal_back():
    found = speak("""
try:
    with silent(), silent():
        os.write(2, b"library"); raise ValueError("ours")
except ValueError as error:
    print(error)
""")
    assert found == ("ours\n", "")


def test_the_last_thread_to_leave_brings_it_back():
    found = speak("""
inside, leave = threading.Event(), threading.Event()
def hold():
    with silent():
        inside.set(); leave.wait(10); os.write(2, b"library")
thread = threading.Thread(target=hold); thread.start(); inside.wait(10)
with silent():
    os.write(2, b"library")
leave.set(); thread.join(); print("after")
""")
    assert found == ("after\n", "")


@pytest.mark.parametrize("closed", ["os.close(1)", "os.close(2)", "sys.stdout = sys.stderr = None"])
def test_a_program_without_a_terminal(closed):
    assert "Error" not in "".join(speak(f"{closed}\nwith silent():\n    c.puts(b'library')"))


def test_it_costs_little():
    start = time.perf_counter()
    for _ in range(100):
        with silent():
            pass
    assert (time.perf_counter() - start) / 100 < 1e-3
