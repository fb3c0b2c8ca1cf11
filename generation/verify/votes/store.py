"""Votes in SQLite, append-only: a changed answer is a new revision, and the last one counts.

A vote is synced to disk before it is confirmed (WAL with synchronous FULL), and the table's key prevents duplicates: a
vote that is sent again is recognised.
"""

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from d3s_dataset.errors import VerifyError, one_line

FILE_NAME = "votes.sqlite"
PAGE = "page"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS votes (
    worker TEXT NOT NULL, item TEXT NOT NULL, question TEXT NOT NULL, revision INTEGER NOT NULL,
    answer TEXT NOT NULL, seconds REAL, source TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (worker, item, question, revision)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sittings (
    task TEXT NOT NULL, worker TEXT NOT NULL, session TEXT NOT NULL UNIQUE,
    begun REAL NOT NULL, finished REAL, comment TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (task, worker)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS imported (
    worker TEXT NOT NULL, item TEXT NOT NULL, question TEXT NOT NULL, source TEXT NOT NULL,
    PRIMARY KEY (worker, item, question, source)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS visits (
    task TEXT NOT NULL, worker TEXT NOT NULL, address TEXT NOT NULL, holder TEXT NOT NULL,
    answered INTEGER NOT NULL DEFAULT 0, fast REAL, PRIMARY KEY (task, worker)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS holders (worker TEXT PRIMARY KEY, holder TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused (worker TEXT PRIMARY KEY, times INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""
_LAST = """
SELECT worker, item, question, answer, revision, seconds, source, at FROM votes AS v
WHERE revision = (SELECT max(revision) FROM votes WHERE (worker, item, question) = (v.worker, v.item, v.question))
"""


@dataclass(frozen=True)
class Vote:
    """One worker's answer to one question about one item; revision 1 is the first answer, a change the next.

    `seconds` is the time since the item was shown, `source` the origin of the vote, `at` its Unix time.
    """

    worker: str
    item: str
    question: str
    answer: str
    revision: int = 1
    seconds: float | None = None
    source: str = PAGE
    at: float = 0.0


@dataclass(frozen=True)
class Kept:
    """Result of recording a vote: `new`, `there` (sent before) or `conflict`, and the current answer and revision."""

    how: str
    answer: str
    revision: int


class Store:
    """Votes of a tasks folder: one connection for writing, one for concurrent reads.

    The file contains workers' own ids, so only its owner may read it; SQLite gives its -wal and -shm files that mode.

    Raises:
        VerifyError: the file is damaged, or not a file of votes.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        try:
            private(self._path)
            self._base = sqlite3.connect(folder / FILE_NAME, timeout=30, check_same_thread=False, isolation_level=None)
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=FULL")
            self._base.executescript(_SCHEMA)
            self._check_whole()
            self._reader = sqlite3.connect(folder / FILE_NAME, timeout=30, check_same_thread=False)
        except (sqlite3.Error, OSError) as error:
            raise _unusable(self._path, error) from None
        self._lock, self._read_lock = threading.Lock(), threading.Lock()

    def _check_whole(self) -> None:
        """Raise DatabaseError for a damaged file: its votes would be counted in part."""
        (first,) = self._base.execute("PRAGMA quick_check(1)").fetchone()
        if first != "ok":
            raise sqlite3.DatabaseError(" ".join(first.split()))

    def close(self) -> None:
        """Checkpoint the write-ahead log into the file, so that a copy is complete; close it."""
        with self._lock, self._read_lock:
            self._reader.close()
            try:
                self._base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.Error as error:
                raise _unusable(self._path, error) from None
            finally:
                self._base.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection inside a transaction, which is synced to disk as a whole or rolled back."""
        with self._lock:
            try:
                self._base.execute("BEGIN IMMEDIATE")
                try:
                    yield self._base
                    self._base.execute("COMMIT")
                except BaseException:
                    if self._base.in_transaction:
                        self._base.execute("ROLLBACK")
                    raise
            except sqlite3.DatabaseError as error:
                raise _unusable(self._path, error) from None

    def record(self, votes: Iterable[Vote]) -> list[Kept]:
        """Add votes in one transaction; return the result of each."""
        with self.transaction() as base:
            return [keep(base, vote) for vote in votes]

    def add_all(self, votes: Iterable[Vote]) -> tuple[int, int]:
        """Add imported votes, each as the next revision; return the numbers of new and of known ones.

        A vote imported from the same source before is known, whatever its later revisions.
        """
        new = there = 0
        with self.transaction() as base:
            for vote in votes:
                key = (vote.worker, vote.item, vote.question)
                seen = base.execute("INSERT OR IGNORE INTO imported VALUES (?, ?, ?, ?)", (*key, vote.source))
                rows = _revisions(base, key)
                if not seen.rowcount or (rows and rows[-1][1] == vote.answer):
                    there += 1
                    continue
                revision = rows[-1][0] + 1 if rows else 1
                _insert(base, Vote(*key, vote.answer, revision, vote.seconds, vote.source, vote.at))
                new += 1
        return new, there

    def last(self, worker: str | None = None) -> list[Vote]:
        """Return the final votes, of one worker where given, in a fixed order."""
        chosen, given = (" AND worker = ?", (worker,)) if worker is not None else ("", ())
        rows = self._read(_LAST + chosen + " ORDER BY item, question, worker", given)
        return [Vote(*row) for row in rows]

    def revisions(self) -> int:
        """Return the number of all votes, changed ones included."""
        return self._read("SELECT count(*) FROM votes")[0][0]

    def fast(self) -> dict[str, float]:
        """Return submissions faster than the floor: worker -> minimum seconds per image, by the server's clock."""
        return dict(self._read("SELECT worker, min(fast) FROM visits WHERE fast IS NOT NULL GROUP BY worker"))

    def refused(self) -> dict[str, int]:
        """Return the rejected claims of a worker id by another browser: worker -> count."""
        return dict(self._read("SELECT worker, times FROM refused"))

    def _read(self, query: str, given: tuple[str, ...] = ()) -> list[tuple]:
        with self._read_lock:
            try:
                return self._reader.execute(query, given).fetchall()
            except sqlite3.DatabaseError as error:
                raise _unusable(self._path, error) from None


def private(path: Path) -> None:
    """Create a file, or change an existing one, to be accessible by its owner only; raises OSError."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    for each in (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))):
        if each.exists():
            each.chmod(0o600)


def _unusable(path: Path, error: Exception) -> VerifyError:
    return VerifyError(f"{path} cannot be used as a file of votes: {one_line(error)}")


def keep(base: sqlite3.Connection, vote: Vote) -> Kept:
    """Add one vote inside a transaction; return the result."""
    key = (vote.worker, vote.item, vote.question)
    rows = _revisions(base, key)
    there = dict(rows).get(vote.revision)
    if there is not None:
        return Kept("there" if there == vote.answer else "conflict", rows[-1][1], rows[-1][0])
    if rows and vote.revision < rows[-1][0]:
        return Kept("conflict", rows[-1][1], rows[-1][0])
    _insert(base, vote)
    return Kept("new", vote.answer, vote.revision)


def _revisions(base: sqlite3.Connection, key: tuple[str, str, str]) -> list[tuple[int, str]]:
    """Return one worker's answers to one question about one item: (revision, answer) in ascending order."""
    given = "SELECT revision, answer FROM votes WHERE (worker, item, question) = (?, ?, ?) ORDER BY revision"
    return base.execute(given, key).fetchall()


def _insert(base: sqlite3.Connection, vote: Vote) -> None:
    base.execute(
        "INSERT INTO votes (worker, item, question, answer, revision, seconds, source, at) VALUES (?,?,?,?,?,?,?,?)",
        (vote.worker, vote.item, vote.question, vote.answer, vote.revision, vote.seconds, vote.source, vote.at),
    )
