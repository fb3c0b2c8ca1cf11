"""Assignments (table `sittings`): which worker does which task, and whether it was submitted; one each per task."""

import sqlite3
import time
from collections import Counter
from dataclasses import dataclass, replace

from d3s_dataset.errors import VerifyError
from generation.verify.prepare.questions import QUESTIONS
from generation.verify.prepare.tasks import Tasks
from generation.verify.votes.store import Kept, Store, Vote, keep

_PATIENCE = 2 * 3600.0  # seconds after which an unfinished assignment is released
_LEASE = 300.0  # seconds after which one without any answer is released


class Closed(VerifyError):
    """A task that was submitted, or never started by this worker."""


class Taken(Closed):
    """A worker id that another browser owns."""


@dataclass(frozen=True)
class Client:
    """Origin of a request: a digest of its address, and the signed cookie's content."""

    address: str
    holder: str


@dataclass(frozen=True)
class Bounds:
    """Limits for crowd workers.

    Attributes:
        per_address: open tasks per client address.
        floor: minimum seconds per image; a faster submission is held for review.
    """

    per_address: int = 10
    floor: float = 1.0


@dataclass(frozen=True)
class Sitting:
    """One worker's assignment to one task; `session` is the crowd's id of it."""

    task: str
    worker: str
    session: str
    begun: float
    finished: float | None
    comment: str
    answered: bool = False
    fast: float | None = None
    address: str = ""
    holder: str = ""

    def holds(self, now: float) -> bool:
        """Return whether it occupies a place in its task: submitted and not too fast, or in progress."""
        if self.finished:
            return self.fast is None
        return self.begun > now - (_PATIENCE if self.answered else min(_LEASE, _PATIENCE))


class Desk:
    """Assigns tasks and records votes for open ones.

    Args:
        tasks: all tasks.
        store: the votes.
        bounds: limits for crowd workers.
    """

    def __init__(self, tasks: Tasks, store: Store, bounds: Bounds | None = None) -> None:
        self.tasks, self.store, self.bounds = tasks, store, bounds or Bounds()

    def sittings(self) -> list[Sitting]:
        """Return all assignments."""
        with self.store.transaction() as base:
            return _sittings(base)

    def sitting(self, task: str, worker: str) -> Sitting | None:
        """Return one worker's assignment to a task."""
        return next((each for each in self.sittings() if (each.task, each.worker) == (task, worker)), None)

    def seat(self, worker: str, session: str | None = None, client: Client | None = None) -> Sitting | None:
        """Assign a task to a worker: the one in progress, else the one with the fewest assignments.

        Args:
            worker: worker id.
            session: the crowd's id of this assignment; the same id always gets the same task. None: a colleague, who
                continues the open task.
            client: origin of a crowd worker, whose id is not authenticated; the first client with an id owns it.
                None: the signed link holds the name.

        Returns:
            the assignment; None where no task is left for this worker.

        Raises:
            Closed: the session is another worker's, or too many tasks are open for this address or browser.
            Taken: another browser owns the id.
        """
        if client:
            self._claim(worker, client)
        with self.store.transaction() as base:
            known = _sittings(base)
            for each in known:
                if each.session == session and each.worker != worker:
                    raise Closed("this session belongs to another worker")
                if each.worker == worker and (each.session == session or (session is None and not each.finished)):
                    return each
            task = self._free(known, worker)
            if task is None:
                return None
            if client:
                self._check_open(known, client)
            named, now = session or f"{worker}:{task}", time.time()
            base.execute(
                "INSERT INTO sittings (task, worker, session, begun) VALUES (?, ?, ?, ?)", (task, worker, named, now)
            )
            given = (client.address, client.holder) if client else ("", "")
            base.execute(
                "INSERT INTO visits (task, worker, address, holder) VALUES (?, ?, ?, ?)", (task, worker, *given)
            )
            return Sitting(task, worker, named, now, None, "")

    def _claim(self, worker: str, client: Client) -> None:
        """Record the first client with a worker id; raise Taken for any other, after counting it."""
        with self.store.transaction() as base:
            base.execute("INSERT OR IGNORE INTO holders VALUES (?, ?)", (worker, client.holder))
            (holder,) = base.execute("SELECT holder FROM holders WHERE worker = ?", (worker,)).fetchone()
            if holder != client.holder:
                count = "INSERT INTO refused VALUES (?, 1) ON CONFLICT (worker) DO UPDATE SET times = times + 1"
                base.execute(count, (worker,))
        if holder != client.holder:
            raise Taken("this was started in another browser: continue there, or contact the requester")

    def _check_open(self, known: list[Sitting], client: Client) -> None:
        """Raise Closed where a browser has an open task, or an address too many."""
        now = time.time()
        under_way = [each for each in known if not each.finished and each.holds(now)]
        if any(each.holder == client.holder for each in under_way):
            raise Closed("another task is open in this browser: submit it first")
        if sum(each.address == client.address for each in under_way) >= self.bounds.per_address:
            raise Closed("too many open tasks from your network address: try again in a few minutes")

    def _free(self, known: list[Sitting], worker: str) -> str | None:
        now = time.time()
        taken = Counter(each.task for each in known if each.holds(now))
        done = {each.task for each in known if each.worker == worker}
        free = [task.id for task in self.tasks.tasks if taken[task.id] < self.tasks.workers and task.id not in done]
        return min(free, key=lambda task: taken[task], default=None)

    def vote(self, votes: list[Vote]) -> list[Kept | Closed]:
        """Record votes in one transaction, each only if its task is open for its worker."""
        found: list[Kept | Closed] = []
        with self.store.transaction() as base:
            for vote in votes:
                task = self.tasks.task_of[vote.item]
                begun = _open_since(base, task, vote.worker)
                if begun is None:
                    found.append(_closed())
                    continue
                # The client's clock is not trusted: at most the time elapsed on the server.
                seconds = None if vote.seconds is None else min(vote.seconds, max(0.0, time.time() - begun))
                found.append(keep(base, replace(vote, seconds=seconds)))
                named = (task, vote.worker)
                base.execute("UPDATE visits SET answered = 1 WHERE task = ? AND worker = ? AND answered = 0", named)
        return found

    def finish(self, task: str, worker: str, comment: str) -> int:
        """Submit a task; return 0, or the number of missing answers (then it stays open).

        Raises:
            Closed: it was submitted already.
        """
        answered = {(vote.item, vote.question) for vote in self.store.last(worker)}
        missing = sum((item, q.name) not in answered for item in self.tasks.task_by_id[task].items for q in QUESTIONS)
        if missing:
            return missing
        with self.store.transaction() as base:
            begun, now = _open_since(base, task, worker), time.time()
            if begun is None:
                raise _closed()
            pace = (now - begun) / len(self.tasks.task_by_id[task].items)
            if pace < self.bounds.floor:
                base.execute("UPDATE visits SET fast = ? WHERE task = ? AND worker = ?", (pace, task, worker))
            base.execute(
                "UPDATE sittings SET finished = ?, comment = ? WHERE task = ? AND worker = ?",
                (now, comment, task, worker),
            )
        return 0


def _closed() -> Closed:
    return Closed("this task was submitted already")


def _open_since(base: sqlite3.Connection, task: str, worker: str) -> float | None:
    """Return the start of an assignment by the server's clock; None where it is not open."""
    given = "SELECT begun FROM sittings WHERE task = ? AND worker = ? AND finished IS NULL"
    row = base.execute(given, (task, worker)).fetchone()
    return None if row is None else row[0]


def _sittings(base: sqlite3.Connection) -> list[Sitting]:
    rows = base.execute(
        "SELECT s.task, s.worker, session, begun, finished, comment, coalesce(answered, 1), fast, "
        "coalesce(address, ''), coalesce(holder, '') FROM sittings AS s "
        "LEFT JOIN visits AS v ON v.task = s.task AND v.worker = s.worker ORDER BY begun"
    )  # assignments of older versions have no visit: they count as answered
    return [Sitting(*row) for row in rows]
