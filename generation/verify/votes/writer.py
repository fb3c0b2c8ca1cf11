"""Group commit: many concurrent votes, one sync to disk; a vote is confirmed when its transaction is on disk."""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from generation.verify.votes.assignments import Closed
from generation.verify.votes.vote import Kept, Vote

_MOST = 200  # votes in one transaction


class Writer:
    """A thread that writes in one batch all votes that arrived during the previous write.

    Args:
        write: records votes in one transaction, and returns the result of each.
    """

    def __init__(self, write: Callable[[list[Vote]], list[Kept | Closed]]) -> None:
        self._write = write
        self._waiting: queue.SimpleQueue[tuple[Vote, Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="votes", daemon=True)
        self._thread.start()

    async def record(self, vote: Vote) -> Kept:
        """Return the result of a vote once it is on disk; raises Closed."""
        done: Future[Kept | Closed] = Future()
        self._waiting.put((vote, done))
        kept = await asyncio.wrap_future(done)
        if isinstance(kept, Closed):
            raise kept
        return kept

    def close(self) -> None:
        """Write the queued votes and stop the thread."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch, last = [first], False
            while len(batch) < _MOST and not self._waiting.empty():
                more = self._waiting.get()
                if more is None:
                    last = True
                    break
                batch.append(more)
            self._settle(batch)
            if last:
                return

    def _settle(self, batch: list[tuple[Vote, Future[Any]]]) -> None:
        try:
            kept = self._write([vote for vote, _ in batch])
        except Exception as error:  # noqa: BLE001 - any error must reach the waiting callers
            for _, done in batch:
                done.set_exception(error)
            return
        for (_, done), each in zip(batch, kept, strict=True):
            done.set_result(each)
