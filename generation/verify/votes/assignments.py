"""Assignments (table `sittings`): which worker does which task, and whether it was submitted; one each per task."""

import secrets
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from sqlalchemy import Connection, Table, Update, func, select, update

from d3s_dataset.errors import VerifyError
from generation.verify.prepare.questions import QUESTIONS
from generation.verify.prepare.tasks import Tasks
from generation.verify.votes import drawn
from generation.verify.votes.annotators import excluded_in
from generation.verify.votes.drawn import Drawn
from generation.verify.votes.store import Store, keep
from generation.verify.votes.tables import HOLDERS, REFUSED, SITTINGS, VISITS, among, insert
from generation.verify.votes.vote import Kept, Vote

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


class Assigner(Protocol):
    """Source of the assignments of a study with rounds."""

    def draw(self, base: Connection, worker: str, under_way: list[tuple[str, str]], without: set[str]) -> list[str]:
        """Return the items of a worker's next assignment in display order; none where nothing is open for them.

        Args:
            base: the transaction in which the assignment is recorded.
            worker: worker id.
            under_way: (worker, item) of the assignments in progress.
            without: items that this worker was assigned before.
        """
        ...


class Desk:
    """Assigns tasks and records votes for open ones.

    Args:
        tasks: all tasks.
        store: the votes.
        bounds: limits for crowd workers.
        assigner: with rounds: makes up the assignments; without, they are those of `tasks`.
    """

    def __init__(
        self, tasks: Tasks, store: Store, bounds: Bounds | None = None, assigner: Assigner | None = None
    ) -> None:
        self.tasks, self.store, self.bounds = tasks, store, bounds or Bounds()
        if tasks.stops and assigner is None:
            raise TypeError("expected an assigner for a study with rounds")
        self.assigner, self._drawn = assigner if tasks.stops else None, Drawn(store)

    def items(self, task: str) -> Sequence[str]:
        """Return the items of an assignment, in display order."""
        return self._drawn.items(task) if self.assigner else self.tasks.task_by_id[task].items

    def sittings(self) -> list[Sitting]:
        """Return all assignments."""
        return [Sitting(*row) for row in self.store.read(_SITTINGS)]

    def sitting(self, task: str, worker: str) -> Sitting | None:
        """Return one worker's assignment to a task."""
        found = self.store.read(_SITTINGS.where(SITTINGS.c.task == task, SITTINGS.c.worker == worker))
        return Sitting(*found[0]) if found else None

    def seat(self, worker: str, session: str | None = None, client: Client | None = None) -> Sitting | None:
        """Assign a task to a worker: the one in progress, else the one with the fewest assignments.

        Args:
            worker: worker id.
            session: the crowd's id of this assignment; the same id always gets the same task. None: a colleague, who
                continues the open task.
            client: origin of a crowd worker, whose id is not authenticated; the first client with an id owns it.
                None: the signed link holds the name.

        Returns:
            the assignment; None where no task is left for this worker, or the owner excluded them.

        Raises:
            Closed: the session is another worker's, or too many tasks are open for this address or browser.
            Taken: another browser owns the id.
        """
        if client:
            self.claim(worker, client)
        with self.store.transaction() as base:
            known = [Sitting(*row) for row in base.execute(_SITTINGS)]
            for each in known:
                if each.session == session and each.worker != worker:
                    raise Closed("this session belongs to another worker")
                if each.worker == worker and (each.session == session or (session is None and not each.finished)):
                    return each
            task, items = (None, []) if worker in excluded_in(base) else self._next(base, known, worker)
            if task is None:
                return None
            if client:
                self._check_open(known, client)
            named, now = session or f"{worker}:{task}", time.time()
            if items:
                drawn.write(base, task, worker, items)
            base.execute(SITTINGS.insert().values(task=task, worker=worker, session=named, begun=now))
            address, holder = (client.address, client.holder) if client else ("", "")
            base.execute(VISITS.insert().values(task=task, worker=worker, address=address, holder=holder))
            return Sitting(task, worker, named, now, None, "")

    def claim(self, worker: str, client: Client) -> None:
        """Record the first client with a worker id; raise Taken for any other, after counting it."""
        with self.store.transaction() as base:
            claim = insert(HOLDERS, base.dialect.name).values(worker=worker, holder=client.holder)
            base.execute(claim.on_conflict_do_nothing())
            holder = base.execute(select(HOLDERS.c.holder).where(HOLDERS.c.worker == worker)).scalar_one()
            if holder != client.holder:
                count = insert(REFUSED, base.dialect.name).values(worker=worker, times=1)
                again = {"times": REFUSED.c.times + 1}
                base.execute(count.on_conflict_do_update(index_elements=["worker"], set_=again))
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

    def _next(self, base: Connection, known: list[Sitting], worker: str) -> tuple[str | None, list[str]]:
        """Return a worker's next task, None where nothing is left, and its items where they were made up for it."""
        if self.assigner is None:
            return self._free(known, worker), []
        now = time.time()
        under_way = [(each.task, each.worker) for each in known if not each.finished and each.holds(now)]
        given = self._drawn.among(base, under_way)
        items = self.assigner.draw(base, worker, given, drawn.had(base, worker))
        # By chance: an id made of the worker's would give away somebody who is forgotten.
        return secrets.token_hex(6) if items else None, items

    def _free(self, known: list[Sitting], worker: str) -> str | None:
        now = time.time()
        taken = Counter(each.task for each in known if each.holds(now))
        done = {each.task for each in known if each.worker == worker}
        free = [task.id for task in self.tasks.tasks if taken[task.id] < self.tasks.workers and task.id not in done]
        return min(free, key=lambda task: taken[task], default=None)

    def vote(self, votes: list[Vote]) -> list[Kept | Closed]:
        """Record votes in one transaction, each only if its task is open for its worker."""
        with self.store.transaction() as base:
            of = drawn.task_of(base, votes) if self.assigner else {}
            named = [(of.get((v.worker, v.item), self.tasks.task_of[v.item]), v.worker) for v in votes]
            opened, now = base.execute(_OPEN, {"keys": list(set(named))}).all(), time.time()
            begun = {(task, worker): since for task, worker, since, _ in opened}
            # The client's clock is not trusted: at most the time elapsed on the server.
            timed = [_timed(vote, now - begun[each]) for vote, each in zip(votes, named, strict=True) if each in begun]
            kept = iter(keep(base, timed))
            if first := {(task, worker) for task, worker, _, answered in opened if not answered}:
                base.execute(_ANSWERED, {"keys": list(first)})
        return [next(kept) if each in begun else _closed() for each in named]

    def finish(self, task: str, worker: str, comment: str) -> int:
        """Submit a task; return 0, or the number of missing answers (then it stays open).

        Raises:
            Closed: it was submitted already.
        """
        answered = {(vote.item, vote.question) for vote in self.store.last(worker)}
        missing = sum((item, q.name) not in answered for item in self.items(task) for q in QUESTIONS)
        if missing:
            return missing
        with self.store.transaction() as base:
            opened, now = base.execute(_OPEN, {"keys": [(task, worker)]}).first(), time.time()
            if opened is None:
                raise _closed()
            pace = (now - opened.begun) / len(self.items(task))
            if pace < self.bounds.floor:
                base.execute(_one(VISITS, task, worker).values(fast=pace))
            base.execute(_one(SITTINGS, task, worker).values(finished=now, comment=comment))
        return 0


def _closed() -> Closed:
    return Closed("this task was submitted already")


def _timed(vote: Vote, most: float) -> Vote:
    return vote if vote.seconds is None else replace(vote, seconds=min(vote.seconds, max(0.0, most)))


def _one(table: Table, task: str, worker: str) -> Update:
    return update(table).where(table.c.task == task, table.c.worker == worker)


_PLACE = (SITTINGS.c.task, SITTINGS.c.worker)
_VISIT = (VISITS.c.task == SITTINGS.c.task) & (VISITS.c.worker == SITTINGS.c.worker)
_MARK = func.coalesce(VISITS.c.answered, 1)  # assignments of older versions have no visit: they count as answered
_OPEN = (
    select(*_PLACE, SITTINGS.c.begun, _MARK)
    .outerjoin(VISITS, _VISIT)
    .where(among(*_PLACE), SITTINGS.c.finished.is_(None))
)
_ANSWERED = update(VISITS).where(among(VISITS.c.task, VISITS.c.worker)).values(answered=1)
# All assignments, oldest first, with the fields of `Sitting` in order.
_SITTINGS = (
    select(
        *(*_PLACE, SITTINGS.c.session, SITTINGS.c.begun, SITTINGS.c.finished, SITTINGS.c.comment, _MARK),
        *(VISITS.c.fast, func.coalesce(VISITS.c.address, ""), func.coalesce(VISITS.c.holder, "")),
    )
    .outerjoin(VISITS, _VISIT)
    .order_by(SITTINGS.c.begun)
)
