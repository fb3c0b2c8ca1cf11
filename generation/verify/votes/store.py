"""Votes in a database, append-only: a changed answer is a new revision, and the last one counts.

A vote is on disk before it is confirmed, and the table's key prevents duplicates: a vote that is sent again is
recognised. Transactions that write are serialised, those of other processes included.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, Row, Select, Table, and_, func, insert, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection

from generation.verify.votes.postgresql import Server
from generation.verify.votes.sqlite import File
from generation.verify.votes.tables import ARRIVALS, IMPORTED, REFUSED, VISITS, VOTES, among
from generation.verify.votes.vote import PAGE, Kept, Vote

__all__ = ["FILE_NAME", "PAGE", "Kept", "Store", "Vote", "keep"]

FILE_NAME = "votes.sqlite"
_AT_ONCE = 1000  # keys in one query
_T = TypeVar("_T")
# Built once: a batch of votes waits for less.
_KEY = (VOTES.c.worker, VOTES.c.item, VOTES.c.question)
_ANSWERS = select(*_KEY, VOTES.c.revision, VOTES.c.answer).where(among(*_KEY))
_SEEN = select(IMPORTED).where(among(*IMPORTED.c))
_ADD = {table: insert(table) for table in (VOTES, IMPORTED, ARRIVALS)}
_LAST_NUMBER = select(func.coalesce(func.max(ARRIVALS.c.number), 0))


class Store:
    """Votes of a tasks folder.

    Args:
        folder: tasks folder.
        url: a PostgreSQL database; None for the SQLite file in the folder.

    Raises:
        VerifyError: the database is damaged, cannot be reached, or holds something else.
        MissingExtra: no driver of PostgreSQL.
    """

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self._database = File(folder / FILE_NAME) if url is None else Server(folder, url)
        self._engine = self._database.engine
        self._writer = self._engine.execution_options(writing=True)
        self._lock = threading.Lock()  # one writer per process: others wait here, not in the database

    def close(self) -> None:
        """Close all connections; a SQLite file is complete then."""
        with self._lock, self._one_line():
            self._database.close()

    def scrub(self) -> None:
        """Rewrite the database's file, so that it holds nothing that was deleted."""
        with self._lock, self._one_line():
            self._database.scrub()

    @contextmanager
    def _one_line(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, NoConnection) as error:
            raise self._database.error(error) from None

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Yield a connection inside a transaction, which is synced to disk as a whole or rolled back."""
        with self._lock, self._one_line(), self._writer.begin() as base:
            yield base

    def read(self, query: Select) -> Sequence[Row]:
        """Return the rows of a query; concurrent writers are not waited for."""
        with self._one_line(), self._engine.connect() as base:
            return base.execute(query).all()

    def record(self, votes: Iterable[Vote]) -> list[Kept]:
        """Add votes in one transaction; return the result of each."""
        with self.transaction() as base:
            return keep(base, list(votes))

    def add_all(self, votes: Iterable[Vote]) -> tuple[int, int]:
        """Add imported votes, each as the next revision; return the numbers of new and of known ones.

        A vote imported from the same source before is known, whatever its later revisions.
        """
        new = total = 0
        with self.transaction() as base:
            for some in _batched(votes):
                new += _import(base, some)
                total += len(some)
        return new, total - new

    def last(self, worker: str | None = None) -> list[Vote]:
        """Return the final votes, of one worker where given, in a fixed order."""
        query = _final()
        if worker is not None:
            query = query.where(VOTES.c.worker == worker)
        return [Vote(*row) for row in self.read(query.order_by(VOTES.c.item, VOTES.c.question, VOTES.c.worker))]

    def revisions(self) -> int:
        """Return the number of all votes, changed ones included."""
        return self.read(select(func.count()).select_from(VOTES))[0][0]

    def fast(self) -> dict[str, float]:
        """Return submissions faster than the floor: worker -> minimum seconds per image, by the server's clock."""
        query = select(VISITS.c.worker, func.min(VISITS.c.fast)).where(VISITS.c.fast.is_not(None))
        return dict(map(tuple, self.read(query.group_by(VISITS.c.worker))))

    def refused(self) -> dict[str, int]:
        """Return the rejected claims of a worker id by another browser: worker -> count."""
        return dict(map(tuple, self.read(select(REFUSED.c.worker, REFUSED.c.times))))


def keep(base: Connection, votes: Sequence[Vote]) -> list[Kept]:
    """Add votes inside a transaction; return the result of each. Two statements, however many votes."""
    answers, kept, new = _answers(base, votes), [], []
    for vote in votes:
        given = answers[vote.key]
        last = max(given, default=0)
        if vote.revision in given or vote.revision < last:
            same = given.get(vote.revision) == vote.answer
            kept.append(Kept("there" if same else "conflict", given[last], last))
            continue
        given[vote.revision] = vote.answer
        new.append(vote)
        kept.append(Kept("new", vote.answer, vote.revision))
    _add(base, [vars(vote) for vote in new])
    return kept


def arrived(base: Connection, after: int) -> tuple[int, list[Vote] | None]:
    """Return the number of the last answer that came, and those that came after one, in order.

    The answers are None where earlier ones were removed or renamed since: all have to be read again.
    """
    same = [ARRIVALS.c[name] == VOTES.c[name] for name in ("worker", "item", "question", "revision")]
    query = select(ARRIVALS.c.number, ARRIVALS.c.worker, *_fields()).outerjoin(VOTES, and_(*same))
    rows = [list(row) for row in base.execute(query.where(ARRIVALS.c.number > after).order_by(ARRIVALS.c.number))]
    last = rows[-1][0] if rows else after
    return last, None if any(not row[1] for row in rows) else [Vote(*row[2:]) for row in rows]


def mark_changed(base: Connection) -> None:
    """Tell indexes in memory, of other servers too, that answers which they know are removed or renamed."""
    last = base.execute(_LAST_NUMBER).scalar_one()
    _insert(base, ARRIVALS, [{"number": last + 1, "worker": "", "item": "", "question": "", "revision": 0}])


def all_arrived(base: Connection) -> tuple[int, list[Vote]]:
    """Return the number of the last answer that came, and the final votes."""
    rows = base.execute(_final())
    return base.execute(_LAST_NUMBER).scalar_one(), [Vote(*r) for r in rows]


def _import(base: Connection, votes: Sequence[Vote]) -> int:
    """Add imported votes, as `Store.add_all`; return the number of new ones."""
    answers, new, sources = _answers(base, votes), [], []
    seen = {tuple(row) for row in _rows(base, _SEEN, [(*vote.key, vote.source) for vote in votes])}
    for vote in votes:
        given, named = answers[vote.key], (*vote.key, vote.source)
        last = max(given, default=0)
        if named in seen:
            continue
        seen.add(named)
        sources.append(dict(zip(IMPORTED.c.keys(), named, strict=True)))
        if given.get(last) != vote.answer:
            given[last + 1] = vote.answer
            new.append({**vars(vote), "revision": last + 1})
    _insert(base, IMPORTED, sources)
    _add(base, new)
    return len(new)


def _add(base: Connection, votes: Sequence[dict[str, Any]]) -> None:
    _insert(base, VOTES, votes)
    last = base.execute(_LAST_NUMBER).scalar_one() if votes else 0
    named = ("worker", "item", "question", "revision")
    rows = [{"number": n} | {name: vote[name] for name in named} for n, vote in enumerate(votes, last + 1)]
    _insert(base, ARRIVALS, rows)


def _fields() -> list[Column[Any]]:
    return [VOTES.c[name] for name in Vote.__dataclass_fields__]


def _final() -> Select:
    """Return the query of the final votes."""
    newer = VOTES.alias("newer")
    same = [newer.c[name] == VOTES.c[name] for name in ("worker", "item", "question")]
    most = select(func.max(newer.c.revision)).where(*same).scalar_subquery()
    return select(*_fields()).where(VOTES.c.revision == most)


def _answers(base: Connection, votes: Sequence[Vote]) -> dict[tuple[str, str, str], dict[int, str]]:
    """Return all answers to some votes' questions: (worker, item, question) -> revision -> answer."""
    found: dict[tuple[str, str, str], dict[int, str]] = defaultdict(dict)
    for worker, item, question, revision, answer in _rows(base, _ANSWERS, [vote.key for vote in votes]):
        found[worker, item, question][revision] = answer
    return found


def _rows(base: Connection, query: Select, keys: Iterable[tuple[str, ...]]) -> Iterator[Row]:
    """Yield the rows of a query that has `among` for some keys."""
    for some in _batched(dict.fromkeys(keys)):
        yield from base.execute(query, {"keys": some})


def _insert(base: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        base.execute(_ADD[table], rows)


def _batched(values: Iterable[_T]) -> Iterator[list[_T]]:
    remaining = iter(values)
    while some := list(islice(remaining, _AT_ONCE)):
        yield some
