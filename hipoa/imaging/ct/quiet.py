"""Keeps what C and C++ libraries print off the terminal."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Lock

_lock = Lock()
_saved = ExitStack()
_depth = 0


@contextmanager
def silent() -> Iterator[None]:
    """Discards what this process writes to file descriptors 1 and 2 meanwhile.

    ITK, GDCM and libjpeg write there, past Python, up to hundreds of lines per CT, in which values of the
    header may stand. What matters of a fault is in the exception that they raise. Threads may overlap: the
    last one to leave restores the terminal. Messages of our own belong outside.
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
                _flush()  # what the libraries still buffer would be printed later
                _saved.close()


def _mute() -> None:
    _flush()
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        with suppress(OSError):  # a closed one needs no silence
            saved = os.dup(descriptor)
            os.dup2(null, descriptor)
            _saved.callback(os.close, saved)
            _saved.callback(os.dup2, saved, descriptor)
    os.close(null)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or none
            stream.flush()
    ctypes.CDLL(None).fflush(None)
