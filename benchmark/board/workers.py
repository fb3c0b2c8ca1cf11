"""Process pool for untrusted input: one process per item, and the caller survives a crash of any.

A process that dies, or takes longer than it may, costs its own item and is started anew; the others keep theirs.
"""

import gc
import multiprocessing
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from d3s_dataset.errors import D3SError, one_line
from d3s_dataset.utils.processes import begin_worker

_GARBAGE = 1 << 17  # objects that wait for a collection: those of a few pages with figures, 30 MB


@dataclass(frozen=True)
class Lost:
    """An item without a result, and why: the process died, took too long, or raised an unexpected error."""

    reason: str


Outcome = Any  # what the function returned, a D3SError that it raised, or Lost


def in_processes(
    function: Callable[..., Any], shared: tuple[Any, ...], items: Sequence[Any], count: int, seconds: float
) -> Iterator[tuple[int, Outcome]]:
    """Yield the number of an item and `function(*shared, item)`, as they come.

    Args:
        function: of a module, so that another process finds it.
        shared: its first arguments, sent to each process once.
        items: its last argument.
        count: how many processes.
        seconds: the most that one item may take.
    """
    pending, busy = deque(enumerate(items)), {}
    workers = [_Worker(function, shared) for _ in range(min(count, len(items)))]
    idle = list(workers)
    try:
        while pending or busy:
            while pending and idle:
                worker, (index, item) = idle.pop(), pending.popleft()
                worker.begin(item, seconds)
                busy[worker.connection] = worker, index
            for connection in _ready([worker for worker, _ in busy.values()]):
                worker, index = busy.pop(connection)
                outcome = worker.outcome(seconds)
                if isinstance(outcome, Lost) and not worker.alive:
                    workers.remove(worker)
                    worker = _Worker(function, shared) if pending else None
                    workers += [worker] if worker else []
                idle += [worker] if worker else []
                yield index, outcome
    finally:
        for each in workers:
            each.end()


def alone(function: Callable[..., Any], item: Any, seconds: float) -> Any:
    """Return `function(item)` from a process of its own, or Lost.

    Raises:
        D3SError: as the function raised it.
    """
    ((_, outcome),) = in_processes(function, (), [item], 1, seconds)
    if isinstance(outcome, D3SError):
        raise outcome
    return outcome


class _Worker:
    def __init__(self, function: Callable[..., Any], shared: tuple[Any, ...]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, function, shared), daemon=True)
        self._process.start()
        other.close()
        self.deadline = 0.0
        self.alive = True

    def begin(self, item: Any, seconds: float) -> None:
        self.deadline = time.monotonic() + seconds
        with suppress(OSError):  # it has died: `outcome` finds that
            self.connection.send(item)

    def outcome(self, seconds: float) -> Outcome:
        if not self.connection.poll():
            self.end()
            return Lost(f"took more than {seconds:.0f} s")
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self._process.join(1)
            code = self._process.exitcode
            self.end()
            return Lost(f"ended the process (exit code {code})")

    def end(self) -> None:
        self.alive = False
        self._process.kill()
        self._process.join()
        self.connection.close()


def _ready(workers: Sequence[_Worker]) -> list[Connection]:
    """Return the connections that have a result, are closed, or have no time left."""
    first = min(each.deadline for each in workers) - time.monotonic()
    found: list[Any] = wait([each.connection for each in workers], max(first, 0))
    now = time.monotonic()
    return found or [each.connection for each in workers if each.deadline <= now]


def _serve(connection: Connection, function: Callable[..., Any], shared: tuple[Any, ...]) -> None:
    begin_worker()
    # Figures are full of cycles: at Python's threshold each page has 30 collections, some of all that is imported.
    gc.set_threshold(_GARBAGE)
    # What a library prints about a stranger's file would reach the owner's terminal unescaped.
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    while True:
        try:
            item = connection.recv()
        except EOFError:
            return
        try:
            outcome: Outcome = function(*shared, item)
        except D3SError as error:
            outcome = error
        except Exception as error:  # noqa: BLE001 - the border of the process: the caller turns it into a refusal
            outcome = Lost(f"failed: {type(error).__name__}: {one_line(error)}")
        connection.send(outcome)
