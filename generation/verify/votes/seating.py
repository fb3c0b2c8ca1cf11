"""Assignment of tasks: annotators who arrive in the same moment are looked at in turn, in one transaction.

Each of them sees what those before got. The database is asked and written once for all, and no further than needed:
whoever continues a task costs one query.
"""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from sqlalchemy import Connection, insert, select

from generation.verify.prepare.tasks import Tasks
from generation.verify.votes import drawn
from generation.verify.votes.annotators import excluded_in
from generation.verify.votes.drawn import Drawn
from generation.verify.votes.sittings import ALL, Bounds, Client, Closed, Sitting, Taken
from generation.verify.votes.tables import HOLDERS, REFUSED, SITTINGS, VISITS
from generation.verify.votes.tables import insert as insert_or

Draw = Callable[[str, set[str]], list[str]]
# Built once: a crowd waits for less.
_ADD = {table: insert(table) for table in (SITTINGS, VISITS)}
_FIELDS = {SITTINGS: ("task", "worker", "session", "begun"), VISITS: ("task", "worker", "address", "holder")}
OWNED = "this was started in another browser: continue there, or contact the requester"


@dataclass(frozen=True)
class Arrival:
    """A worker who asks for a task.

    Attributes:
        worker: worker id.
        session: the crowd's id of this assignment; the same id always gets the same task. None: a colleague, who
            continues the open task.
        client: origin of a crowd worker, whose id is not authenticated; the first client with an id owns it. None: the
            signed link holds the name.
    """

    worker: str
    session: str | None = None
    client: Client | None = None


class Assigner(Protocol):
    """Source of the assignments of a study with rounds."""

    def draws(self, base: Connection, under_way: list[tuple[str, str]]) -> Draw:
        """Return what draws assignments, one after the other, in a transaction.

        Args:
            base: the transaction in which they are recorded.
            under_way: (worker, item) of the assignments in progress.

        Returns:
            a function of a worker id and the items that this worker was assigned before. It returns the items of the
            next assignment in display order, none where nothing is open for them, and counts them as in progress.
        """
        ...


class Seats:
    """Assignments inside one transaction.

    Args:
        tasks: all tasks.
        bounds: limits for crowd workers.
        base: the transaction.
        assigner: with rounds: makes up the assignments; None: they are those of `tasks`.
        made_up: the items of those that were made up.
    """

    def __init__(
        self, tasks: Tasks, bounds: Bounds, base: Connection, assigner: Assigner | None, made_up: Drawn
    ) -> None:
        self._tasks, self._bounds, self._base = tasks, bounds, base
        self._assigner, self._made_up = assigner, made_up
        self._known = [Sitting(*row) for row in base.execute(ALL)]
        self._new: list[tuple[Sitting, list[str]]] = []
        self._now = time.time()

    def assign(self, arrivals: Sequence[Arrival]) -> list[Sitting | Closed | None]:
        """Return the assignment of each arrival; None where no task is left for them, or the owner excluded them.

        An error is the answer to its own arrival: Taken where another browser owns the id; Closed where the session is
        another worker's, or too many tasks are open for this address or browser.
        """
        owners, answers = owned(self._base, arrivals), []
        for each in arrivals:
            try:
                if each.client and owners[each.worker] != each.client.holder:
                    raise Taken(OWNED)
                answers.append(self._present(each) or self._next(each))
            except Closed as error:
                answers.append(error)
        self._write()
        return answers

    def _present(self, who: Arrival) -> Sitting | None:
        """Return the assignment that an arrival continues; raise Closed where its session is another worker's."""
        for each in self._known:
            if each.session == who.session and each.worker != who.worker:
                raise Closed("this session belongs to another worker")
            if each.worker == who.worker and (
                each.session == who.session or (who.session is None and not each.finished)
            ):
                return each
        return None

    def _next(self, who: Arrival) -> Sitting | None:
        if who.worker in self._excluded:
            return None
        if who.client:
            self._check_open(who.client)
        task, items = (self._free(who.worker), []) if self._assigner is None else self._made(who.worker)
        if task is None:
            return None
        address, holder = (who.client.address, who.client.holder) if who.client else ("", "")
        session = who.session or f"{who.worker}:{task}"
        seat = Sitting(task, who.worker, session, self._now, None, "", address=address, holder=holder)
        self._known.append(seat)
        self._new.append((seat, items))
        return seat

    @cached_property
    def _excluded(self) -> Collection[str]:
        return excluded_in(self._base)

    def _check_open(self, client: Client) -> None:
        """Raise Closed where a browser has an open task, or an address too many."""
        under_way = self._under_way()
        if any(each.holder == client.holder for each in under_way):
            raise Closed("another task is open in this browser: submit it first")
        if sum(each.address == client.address for each in under_way) >= self._bounds.per_address:
            raise Closed("too many open tasks from your network address: try again in a few minutes")

    def _under_way(self) -> list[Sitting]:
        return [each for each in self._known if not each.finished and each.holds(self._now)]

    def _free(self, worker: str) -> str | None:
        taken = Counter(each.task for each in self._known if each.holds(self._now))
        done = {each.task for each in self._known if each.worker == worker}
        most = self._tasks.workers
        free = [task.id for task in self._tasks.tasks if taken[task.id] < most and task.id not in done]
        return min(free, key=lambda task: taken[task], default=None)

    def _made(self, worker: str) -> tuple[str | None, list[str]]:
        had = drawn.had(self._base, worker)
        items = self._draw(worker, had.union(*(items for seat, items in self._new if seat.worker == worker)))
        # By chance: an id made of the worker's would give away somebody who is forgotten.
        return (secrets.token_hex(6), items) if items else (None, [])

    @cached_property
    def _draw(self) -> Draw:
        assert self._assigner is not None
        names = [(each.task, each.worker) for each in self._under_way()]
        return self._assigner.draws(self._base, self._made_up.among(self._base, names))

    def _write(self) -> None:
        if not self._new:
            return
        seats = [vars(seat) for seat, _ in self._new]
        drawn.write(self._base, [(seat.task, seat.worker, items) for seat, items in self._new])
        for table in (SITTINGS, VISITS):
            self._base.execute(_ADD[table], [{name: each[name] for name in _FIELDS[table]} for each in seats])


def owned(base: Connection, arrivals: Sequence[Arrival]) -> dict[str, str]:
    """Return the owner of each crowd worker's id: the first client that came with it, ever or now.

    Other clients that come with it are counted.
    """
    strangers = [(each.worker, each.client.holder) for each in arrivals if each.client]
    if not strangers:
        return {}
    claim = insert_or(HOLDERS, base.dialect.name).on_conflict_do_nothing()
    base.execute(claim, [{"worker": worker, "holder": holder} for worker, holder in strangers])
    named = {worker for worker, _ in strangers}
    owners = dict(map(tuple, base.execute(select(HOLDERS).where(HOLDERS.c.worker.in_(named)))))
    for worker, holder in strangers:
        if holder != owners[worker]:
            count = insert_or(REFUSED, base.dialect.name).values(worker=worker, times=1)
            again = {"times": REFUSED.c.times + 1}
            base.execute(count.on_conflict_do_update(index_elements=["worker"], set_=again))
    return owners
