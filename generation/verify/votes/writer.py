"""Group commit: many concurrent votes or arrivals, one sync to disk; each is answered when its transaction is there."""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from generation.verify.votes.sittings import Closed

_MOST = 200  # in one transaction

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class Writer(Generic[Asked, Answer]):
    """A thread that writes in one batch all that arrived during the previous write.

    Args:
        name: of the thread.
        write: writes a batch in one transaction, and returns the answer to each.
    """

    def __init__(self, name: str, write: Callable[[list[Asked]], Sequence[Answer | Closed]]) -> None:
        self._write = write
        self._waiting: queue.SimpleQueue[tuple[Asked, Future[Answer]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, asked: Asked) -> Future[Answer]:
        """Return what will be the answer once it is on disk, or raise Closed."""
        done: Future[Answer] = Future()
        self._waiting.put((asked, done))
        return done

    def close(self) -> None:
        """Write what is queued and stop the thread."""
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

    def _settle(self, batch: list[tuple[Asked, Future[Answer]]]) -> None:
        try:
            answers = self._write([asked for asked, _ in batch])
        except Exception as error:  # noqa: BLE001 - any error must reach the waiting callers
            for _, done in batch:
                done.set_exception(error)
            return
        for (_, done), each in zip(batch, answers, strict=True):
            if isinstance(each, Closed):
                done.set_exception(each)
            else:
                done.set_result(each)
