"""Assignments (table `sittings`): which worker does which task, and whether it was submitted; one each per task."""

import time
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Table, Update, select, update

from generation.verify.prepare.questions import QUESTIONS
from generation.verify.prepare.tasks import Tasks
from generation.verify.votes import drawn
from generation.verify.votes.drawn import Drawn
from generation.verify.votes.seating import OWNED, Arrival, Assigner, Seats, owned
from generation.verify.votes.sittings import ALL, MARK, PLACE, VISIT, Bounds, Client, Closed, Sitting, Taken
from generation.verify.votes.store import Store, keep
from generation.verify.votes.tables import SITTINGS, VISITS, among
from generation.verify.votes.vote import Kept, Vote


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
        return [Sitting(*row) for row in self.store.read(ALL)]

    def sitting(self, task: str, worker: str) -> Sitting | None:
        """Return one worker's assignment to a task."""
        found = self.store.read(ALL.where(SITTINGS.c.task == task, SITTINGS.c.worker == worker))
        return Sitting(*found[0]) if found else None

    def seat(self, worker: str, session: str | None = None, client: Client | None = None) -> Sitting | None:
        """Assign a task to a worker: the one in progress, else the one with the fewest assignments.

        Args:
            worker: worker id.
            session: as in `Arrival`.
            client: as in `Arrival`.

        Returns:
            the assignment; None where no task is left for this worker, or the owner excluded them.

        Raises:
            Closed: the session is another worker's, or too many tasks are open for this address or browser.
            Taken: another browser owns the id.
        """
        (found,) = self.seat_all([Arrival(worker, session, client)])
        if isinstance(found, Closed):
            raise found
        return found

    def seat_all(self, arrivals: Sequence[Arrival]) -> list[Sitting | Closed | None]:
        """Assign a task to each of some workers, as `seat`, in one transaction; return the errors, too."""
        with self.store.transaction() as base:
            return Seats(self.tasks, self.bounds, base, self.assigner, self._drawn).assign(arrivals)

    def claim(self, worker: str, client: Client) -> None:
        """Record the first client with a worker id; raise Taken for any other, after counting it."""
        with self.store.transaction() as base:
            owner = owned(base, [Arrival(worker, client=client)])[worker]
        if owner != client.holder:
            raise Taken(OWNED)

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


_OPEN = (
    select(*PLACE, SITTINGS.c.begun, MARK).outerjoin(VISITS, VISIT).where(among(*PLACE), SITTINGS.c.finished.is_(None))
)
_ANSWERED = update(VISITS).where(among(VISITS.c.task, VISITS.c.worker)).values(answered=1)
