"""Keeps off the terminal what libraries in C and C++ print by themselves."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Lock

_lock = Lock()
_held = ExitStack()
_depth = 0


@contextmanager
def silent() -> Iterator[None]:
    """While it holds, nothing that this process writes to file descriptors 1 and 2 is seen.

    ITK, GDCM and libjpeg write there, past Python, up to hundreds of lines a CT, in which values of the
    header may stand. What they have to say of a fault is in the exception that they raise. Threads may hold
    it at once: the last one to leave brings the terminal back. Messages of our own belong outside.
    """
    global _depth
    with _lock:
        if _depth == 0:
            _mute()
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                _flush()  # what the libraries still hold would be printed later
                _held.close()


def _mute() -> None:
    _flush()
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        with suppress(OSError):  # one that is closed needs no silence
            saved = os.dup(descriptor)
            os.dup2(null, descriptor)
            _held.callback(_restore, saved, descriptor)
    os.close(null)


def _restore(saved: int, descriptor: int) -> None:
    os.dup2(saved, descriptor)
    os.close(saved)


def _flush() -> None:
    """Writes what Python and the C library have not written yet."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or none
            stream.flush()
    ctypes.CDLL(None).fflush(None)
