"""A pool of processes that read CTs ahead, in which a crash or a hang costs one CT alone.

The C libraries that decode files may crash, which ends their process, or wait for ever (a network drive),
which cannot be interrupted from within: the pools of the standard library break with such a process.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from queue import SimpleQueue
from typing import Any, TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")

_START_S = 300.0
# Not by fork: a copy of a process with threads may wait for ever for a lock that one of them held.
_CONTEXT = multiprocessing.get_context("spawn")


class _LostError(Exception):
    """The process ended, or did not answer in time; the text says which."""


def read_ahead(
    read: Callable[[Item], Found],
    items: Iterable[Item],
    give_up: Callable[[Item, str], Found],
    *,
    workers: int,
    timeout_s: float,
) -> Generator[Found, None, None]:
    """What was read of each item, in their order, while the next ones are being read.

    A process holds one item at a time; as many again, read and not yet asked for, wait at most.

    Args:
        read: A function of a module; it, the items and what it returns are pickled.
        items: What to read.
        give_up: Gives, of an item and a reason, what stands for an item that was lost twice.
        workers: Processes, a count; with 0 all is read within this process, unguarded.
        timeout_s: How long an item may take.

    Raises:
        RuntimeError: ``read`` raised, or its process cannot be started; the text is the traceback.
    """
    if not workers:
        yield from map(read, items)
        return
    pool = [_Worker(read, timeout_s) for _ in range(workers)]
    idle: SimpleQueue[_Worker] = SimpleQueue()
    for worker in pool:
        idle.put(worker)

    def work(item: Item) -> Found:
        worker = idle.get()
        try:
            return _read_or_give_up(worker, item, give_up)
        finally:
            idle.put(worker)

    with ThreadPoolExecutor(workers) as threads:
        try:
            yield from _submit_ahead(threads, work, items, 2 * workers)
        finally:
            for worker in pool:
                worker.end()


def _submit_ahead(
    threads: ThreadPoolExecutor, work: Callable[[Item], Found], items: Iterable[Item], most: int
) -> Iterator[Found]:
    waiting: deque[Future[Found]] = deque()
    try:
        for item in items:
            waiting.append(threads.submit(work, item))
            if len(waiting) == most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _read_or_give_up(worker: _Worker, item: Item, give_up: Callable[[Item, str], Found]) -> Found:
    # Twice: it may have been the machine, with too little memory, or a drive that slept.
    with contextlib.suppress(_LostError):
        return worker.read(item)
    try:
        return worker.read(item)
    except _LostError as error:
        return give_up(item, str(error))


class _Worker:
    """A process that reads one item after the other; a lost one is replaced for the next item."""

    def __init__(self, read: Callable[[Any], Any], timeout_s: float) -> None:
        self._read, self._timeout_s = read, timeout_s
        self._process: SpawnProcess | None = None
        self._ours: Connection | None = None
        self._ended = False
        self._changing = threading.Lock()

    def read(self, item: Any) -> Any:
        """What the process read.

        Raises:
            _LostError: It ended or took too long.
            RuntimeError: It raised.
        """
        ours = self._ours or self._start()
        try:
            ours.send(item)
            if not ours.poll(self._timeout_s):
                self._stop()
                raise _LostError(f"reading it took longer than {self._timeout_s:g} s")
            found, text = ours.recv()
        except (EOFError, OSError):
            raise _LostError(f"reading it ended the reader ({self._say_end()})") from None
        if text:
            raise RuntimeError(text)
        return found

    def end(self) -> None:
        """Ends the process for good, whatever it does."""
        with self._changing:
            self._ended = True
            self._stop()

    def _start(self) -> Connection:
        with self._changing:
            if self._ended:
                raise RuntimeError("the readers were ended")
            ours, theirs = _CONTEXT.Pipe()
            process = _CONTEXT.Process(target=_serve, args=(self._read, theirs), daemon=True)
            process.start()
            theirs.close()
            self._process, self._ours = process, ours
        with contextlib.suppress(EOFError, OSError):
            if ours.poll(_START_S) and ours.recv():
                return ours
        raise RuntimeError(f"a reader cannot be started ({self._say_end()})")

    def _say_end(self) -> str:
        """How the process ended; it is waited for."""
        process = self._process
        if process is None:
            return "ended"
        process.join(1)
        code = process.exitcode
        self._stop()
        return signal.Signals(-code).name if code and code < 0 else f"exit code {code}"

    def _stop(self) -> None:
        process, ours = self._process, self._ours
        self._process = self._ours = None
        if process is not None:
            process.kill()
            process.join()
        if ours is not None:
            ours.close()


def _serve(read: Callable[[Any], Any], theirs: Connection) -> None:
    # An interrupt is the parent's: it ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    theirs.send(True)
    with contextlib.suppress(EOFError):
        while True:
            item = theirs.recv()
            try:
                answer = read(item), ""
            except Exception:
                answer = None, traceback.format_exc()
            theirs.send(answer)
