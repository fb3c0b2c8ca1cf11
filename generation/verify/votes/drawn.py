"""Assignments that were made up during the rounds (table `assigned`): their items, each at most once per annotator."""

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import Connection, Row, Select, insert, select, tuple_

from generation.verify.votes.store import Store
from generation.verify.votes.tables import ASSIGNED
from generation.verify.votes.vote import Vote

_ADD = insert(ASSIGNED)


class Drawn:
    """Items of assignments. They never change once written, so each is read once.

    Args:
        store: the votes.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._items: dict[str, tuple[str, ...]] = {}

    def items(self, task: str) -> tuple[str, ...]:
        """Return the items of an assignment in display order; none where there is no such assignment."""
        if task not in self._items:
            self._keep(self._store.read(_query([task])))
        return self._items.get(task, ())

    def among(self, base: Connection, tasks: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return (worker, item) of all items of some (task, worker)."""
        tasks = list(tasks)
        if unknown := {task for task, _ in tasks} - self._items.keys():
            self._keep(base.execute(_query(unknown)))
        return [(worker, item) for task, worker in tasks for item in self._items.get(task, ())]

    def _keep(self, rows: Iterable[Row]) -> None:
        found: dict[str, list[str]] = {}
        for task, item in rows:
            found.setdefault(task, []).append(item)
        self._items |= {task: tuple(items) for task, items in found.items()}


def _query(tasks: Collection[str]) -> Select:
    return select(ASSIGNED.c.task, ASSIGNED.c.item).where(ASSIGNED.c.task.in_(tasks)).order_by(ASSIGNED.c.place)


def write(base: Connection, assignments: Iterable[tuple[str, str, Sequence[str]]]) -> None:
    """Record the (task, worker, items) of assignments; raises IntegrityError for an item that a worker had before."""
    rows = [
        {"task": task, "worker": worker, "item": item, "place": place}
        for task, worker, items in assignments
        for place, item in enumerate(items)
    ]
    if rows:
        base.execute(_ADD, rows)


def had(base: Connection, worker: str) -> set[str]:
    """Return the items that an annotator was ever assigned."""
    return set(base.execute(select(ASSIGNED.c.item).where(ASSIGNED.c.worker == worker)).scalars())


def task_of(base: Connection, votes: Iterable[Vote]) -> dict[tuple[str, str], str]:
    """Return the assignments that votes belong to: (worker, item) -> task."""
    keys = {(vote.worker, vote.item) for vote in votes}
    query = select(ASSIGNED.c.worker, ASSIGNED.c.item, ASSIGNED.c.task)
    rows = base.execute(query.where(tuple_(ASSIGNED.c.worker, ASSIGNED.c.item).in_(keys)))
    return {(worker, item): task for worker, item, task in rows}
