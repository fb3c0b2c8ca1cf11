"""Votes in a SQLite file of the tasks folder: synced to disk before they are confirmed (WAL, synchronous FULL)."""

import os
import sqlite3
from pathlib import Path

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from d3s_dataset.errors import VerifyError
from generation.verify.votes.errors import unusable
from generation.verify.votes.tables import METADATA, POOL

_PATIENCE = 30  # seconds that a transaction waits for another process


class File:
    """A SQLite file of votes.

    The file contains workers' own ids, so only its owner may read it; SQLite gives its -wal and -shm files that mode.

    Args:
        path: the file; created where it is missing.

    Raises:
        VerifyError: the file is damaged, or not a file of votes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.engine = create_engine("sqlite://", creator=self._connect, poolclass=QueuePool, **POOL)
        event.listen(self.engine, "begin", _begin)
        try:
            private(path)
            with self.engine.execution_options(writing=True).begin() as base:
                METADATA.create_all(base)
                _check_whole(base)
        except (SQLAlchemyError, OSError) as error:
            self.engine.dispose()
            raise self.error(error) from None

    def _connect(self) -> sqlite3.Connection:
        # Without an isolation level the driver begins no transactions by itself: _begin does.
        base = sqlite3.connect(self._path, timeout=_PATIENCE, check_same_thread=False, isolation_level=None)
        base.execute("PRAGMA journal_mode=WAL")
        base.execute("PRAGMA synchronous=FULL")
        return base

    def error(self, error: Exception) -> VerifyError:
        """Return an error of the database as one line."""
        return unusable(f"{self._path} cannot be used as a file of votes", error)

    def close(self) -> None:
        """Checkpoint the write-ahead log into the file, so that a copy is complete; close it."""
        try:
            with self.engine.connect() as base:
                base.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self.engine.dispose()

    def scrub(self) -> None:
        """Rewrite the file, so that it holds nothing that was deleted.

        Raises:
            VerifyError: another process reads the file for too long.
        """
        with self.engine.connect() as base:
            base.exec_driver_sql("PRAGMA temp_store=MEMORY")  # the copy that VACUUM makes
            base.exec_driver_sql("VACUUM")
            busy, *_ = base.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
        if busy:
            raise VerifyError(f"{self._path} is in use: stop the server, then the last of what was deleted leaves it")


def _begin(base: Connection) -> None:
    # Not DEFERRED: a transaction that reads first could not become a writing one while another process writes.
    if base.get_execution_options().get("writing"):
        base.exec_driver_sql("BEGIN IMMEDIATE")


def _check_whole(base: Connection) -> None:
    """Raise DatabaseError for a damaged file: its votes would be counted in part."""
    first = base.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if first != "ok":
        raise SQLAlchemyError(" ".join(first.split()))


def private(path: Path) -> None:
    """Create a file, or change an existing one, to be accessible by its owner only; raises OSError."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    for each in (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))):
        if each.exists():
            each.chmod(0o600)
