"""CPU worker processes that compose and encode: restarted when one dies, ended with their parent."""

import multiprocessing
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from d3s_dataset.errors import GenerationError
from d3s_dataset.utils.processes import begin_worker
from generation.images.rows import Failed, Maker

_LIVES = 3  # consecutive deaths of workers after which the run fails


class Workers:
    """Worker processes that hold a maker; a pool that lost one (out of memory, a signal) is restarted.

    Rows whose worker dies twice are made one by one, each in its own process; a row that kills even that one fails.
    """

    def __init__(self, maker: Maker, count: int) -> None:
        self._maker, self._count = maker, count
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._alone = threading.Lock()
        self._deaths = 0

    def call(self, stage: str, *arguments: Any) -> list[Any]:
        """Return the result of a method of the maker."""
        if self._count == 0:
            return getattr(self._maker, stage)(*arguments)
        for _ in range(2):
            pool = self._started()
            try:
                return pool.submit(_call, stage, *arguments).result()
            except BrokenProcessPool:
                self._replace(pool)
        with self._alone:
            return self._one_by_one(stage, arguments)

    def _one_by_one(self, stage: str, arguments: tuple[Any, ...]) -> list[Any]:
        """Make rows one at a time in a separate process, to identify the row that kills it."""
        made, pool = list[Any](), None
        for row in zip(*arguments, strict=True):
            pool = pool or self._new(1)
            try:
                made += pool.submit(_call, stage, *([each] for each in row)).result()
                self._deaths = 0
            except BrokenProcessPool:
                pool = None
                self._count_death()
                made.append(Failed("encode" if stage == "records" else "guide", "making it ends its process"))
        if pool:
            pool.shutdown()
        return made

    def _count_death(self) -> None:
        self._deaths += 1
        if self._deaths >= _LIVES:
            raise GenerationError(
                f"worker processes died {_LIVES} times in a row, possibly out of memory: expected memory for "
                f"{self._count} of them; type the same command again with fewer --workers"
            )

    def _new(self, count: int) -> ProcessPoolExecutor:
        # Not fork: torch's threads do not survive it.
        return ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _hold, (self._maker,))

    def _started(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = self._new(self._count)
            return self._pool

    def _replace(self, broken: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is broken:
                self._pool = None

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


_held: list[Maker] = []  # in a worker process: its maker, sent once rather than with every batch


def _hold(maker: Maker) -> None:
    _held.append(maker)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a device worker ignores it, and its CPU workers would inherit that
    begin_worker()


def _call(stage: str, *arguments: Any) -> list[Any]:
    return getattr(_held[0], stage)(*arguments)
