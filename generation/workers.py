"""Worker processes that compose and encode: started again where one is lost, ended with their parent."""

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any

from d3s_dataset.errors import GenerationError
from generation.maker import Maker

_LIVES = 3  # deaths of workers in a row after which something is wrong that another try will not mend


class Workers:
    """Worker processes that hold a maker; a pool that lost one (out of memory, a signal) is started again."""

    def __init__(self, maker: Maker, count: int) -> None:
        self._maker, self._count = maker, count
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._deaths = 0

    def call(self, stage: str, *arguments: Any) -> list[Any]:
        """Return what a method of the maker gives for these arguments."""
        if self._count == 0:
            return getattr(self._maker, stage)(*arguments)
        while True:
            pool = self._started()
            try:
                result = pool.submit(_call, stage, *arguments).result()
            except BrokenProcessPool:
                self._replace(pool)
                continue
            self._deaths = 0
            return result

    def _started(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._pool is None:
                # Not fork: torch's threads do not survive it.
                context = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(self._count, context, _hold, (self._maker,))
            return self._pool

    def _replace(self, broken: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is not broken:
                return
            self._pool, self._deaths = None, self._deaths + 1
            if self._deaths >= _LIVES:
                raise GenerationError(
                    f"worker processes died {_LIVES} times in a row, as when memory runs out: expected room for "
                    f"{self._count} of them; type the same command again with fewer --workers"
                )

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


_held: list[Maker] = []  # in a worker process: its maker, sent once and not with every batch


def _hold(maker: Maker) -> None:
    _held.append(maker)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a lane's process ignores it, and its workers would inherit that
    end_with_parent()


def _call(stage: str, *arguments: Any) -> list[Any]:
    return getattr(_held[0], stage)(*arguments)


def end_with_parent() -> None:
    """End this process when its parent dies, as after a kill -9; leave Ctrl-C to the parent, which stops in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
