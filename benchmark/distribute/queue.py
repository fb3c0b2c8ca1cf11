"""The blocks that a worker gets next: of the model that it holds, else of one that nobody runs, else the longest."""

import math
from collections.abc import Sequence
from threading import Condition

from benchmark.cache.blocks import Span

_MOST = 16  # blocks a worker is given at once; the last ones are given singly, so that all workers end together


class Queue:
    """Blocks of tasks, for workers in threads.

    A task whose settings are not known has one worker until its first block is there.

    Args:
        tasks: how many will be opened (`open`) or failed.
    """

    def __init__(self, tasks: int) -> None:
        self._changed = Condition()
        self._coming = tasks
        self._left: dict[int, list[Span]] = {}
        self._running: dict[int, int] = {}
        self._known: set[int] = set()
        self._stopped = False

    def open(self, task: int, left: Sequence[Span], known: bool) -> None:
        """Add a task's missing blocks; `known`: its settings are decided."""
        with self._changed:
            self._coming -= 1
            self._left[task], self._running[task] = list(left), 0
            if known:
                self._known.add(task)
            self._changed.notify_all()

    def take(self, held: int | None, workers: int) -> tuple[int, list[Span]] | None:
        """Return a task and blocks of it for a worker; waits for some; None when nothing is left to do.

        Args:
            held: the task whose network the worker has in memory.
            workers: how many there are.
        """
        with self._changed:
            while not self._stopped and (self._coming or any(self._left.values()) or any(self._running.values())):
                free = [at for at, left in self._left.items() if left and (at in self._known or not self._running[at])]
                if free:
                    at = held if held in free else min(free, key=lambda at: (self._running[at], -len(self._left[at])))
                    assert at is not None
                    count = min(_MOST, math.ceil(len(self._left[at]) / (2 * max(1, workers))))
                    mine, self._left[at] = self._left[at][:count], self._left[at][count:]
                    self._running[at] += 1
                    return at, mine
                self._changed.wait()
            return None

    def known(self, task: int) -> None:
        """Note that a task's settings are recorded, so that others may join."""
        with self._changed:
            self._known.add(task)
            self._changed.notify_all()

    def done(self, task: int, back: Sequence[Span] = ()) -> None:
        """End what `take` gave; blocks that the worker did not finish go `back`."""
        with self._changed:
            self._running[task] -= 1
            self._left[task] = sorted([*self._left[task], *back])
            self._changed.notify_all()

    def drop(self, task: int) -> None:
        """Give up on what is left of a task, or on one that was not opened."""
        with self._changed:
            self._coming -= task not in self._left
            self._left[task] = []
            self._running.setdefault(task, 0)
            self._changed.notify_all()

    def stop(self) -> None:
        """Give out nothing more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def finished(self) -> bool:
        """Return whether nothing is left, running or to come."""
        with self._changed:
            return self._stopped or not (self._coming or any(self._left.values()) or any(self._running.values()))
