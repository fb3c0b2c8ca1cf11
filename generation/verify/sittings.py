"""Sittings: who does which task, and whether it was handed in. One person does a task once."""

import sqlite3
import time
from collections import Counter
from dataclasses import dataclass

from d3s_dataset.errors import VerifyError
from generation.verify.questions import QUESTIONS
from generation.verify.tasks import Tasks
from generation.verify.votes import Kept, Store, Vote, keep

_PATIENCE = 2 * 3600.0  # seconds after which a sitting that was begun and left gives its place to somebody else


class Closed(VerifyError):
    """A task that was handed in, or was never begun by this person."""


@dataclass(frozen=True)
class Sitting:
    """One person's go at one task; `session` is the crowd's own name for it."""

    task: str
    worker: str
    session: str
    begun: float
    finished: float | None
    comment: str


class Desk:
    """Hands out tasks and takes votes for those that are open.

    Args:
        tasks: what there is to do.
        store: where votes go.
    """

    def __init__(self, tasks: Tasks, store: Store) -> None:
        self.tasks, self.store = tasks, store

    def sittings(self) -> list[Sitting]:
        """Return every sitting."""
        with self.store.transaction() as base:
            return _sittings(base)

    def sitting(self, task: str, worker: str) -> Sitting | None:
        """Return one person's sitting at a task."""
        return next((each for each in self.sittings() if (each.task, each.worker) == (task, worker)), None)

    def seat(self, worker: str, session: str | None = None) -> Sitting | None:
        """Give a person a task: the one that they have begun, else the one that most people are missing for.

        Args:
            worker: who.
            session: the crowd's name for this sitting; whoever comes again with it gets the same task. None: a
                colleague, who goes on with what is open.

        Returns:
            the sitting; None where nothing is left for this person.

        Raises:
            Closed: the session is another person's.
        """
        with self.store.transaction() as base:
            known = _sittings(base)
            for each in known:
                if each.session == session and each.worker != worker:
                    raise Closed("this session belongs to somebody else")
                if each.worker == worker and (each.session == session or (session is None and not each.finished)):
                    return each
            task = self._free(known, worker)
            if task is None:
                return None
            named, now = session or f"{worker}:{task}", time.time()
            base.execute(
                "INSERT INTO sittings (task, worker, session, begun) VALUES (?, ?, ?, ?)", (task, worker, named, now)
            )
            return Sitting(task, worker, named, now, None, "")

    def _free(self, known: list[Sitting], worker: str) -> str | None:
        fresh = time.time() - _PATIENCE
        taken = Counter(each.task for each in known if each.finished or each.begun > fresh)
        done = {each.task for each in known if each.worker == worker}
        free = [task.id for task in self.tasks.tasks if taken[task.id] < self.tasks.workers and task.id not in done]
        return min(free, key=lambda task: taken[task], default=None)

    def vote(self, votes: list[Vote]) -> list[Kept | Closed]:
        """Record votes in one transaction, each only if its task is open for its worker."""
        found: list[Kept | Closed] = []
        with self.store.transaction() as base:
            for vote in votes:
                task = self.tasks.task_of[vote.item]
                found.append(keep(base, vote) if _is_open(base, task, vote.worker) else _closed())
        return found

    def finish(self, task: str, worker: str, comment: str) -> int:
        """Hand a task in; return 0, or how many answers are missing (then it stays open).

        Raises:
            Closed: it was handed in already.
        """
        answered = {(vote.item, vote.question) for vote in self.store.last(worker)}
        missing = sum((item, q.name) not in answered for item in self.tasks.task_by_id[task].items for q in QUESTIONS)
        if missing:
            return missing
        with self.store.transaction() as base:
            if not _is_open(base, task, worker):
                raise _closed()
            base.execute(
                "UPDATE sittings SET finished = ?, comment = ? WHERE task = ? AND worker = ?",
                (time.time(), comment, task, worker),
            )
        return 0


def _closed() -> Closed:
    return Closed("this task was handed in")


def _is_open(base: sqlite3.Connection, task: str, worker: str) -> bool:
    row = base.execute("SELECT finished FROM sittings WHERE task = ? AND worker = ?", (task, worker)).fetchone()
    return row is not None and row[0] is None


def _sittings(base: sqlite3.Connection) -> list[Sitting]:
    rows = base.execute("SELECT task, worker, session, begun, finished, comment FROM sittings ORDER BY begun")
    return [Sitting(*row) for row in rows]
