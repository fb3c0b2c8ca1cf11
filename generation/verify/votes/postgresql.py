"""Votes in PostgreSQL: one database holds the votes of one tasks folder, and several servers may use it at once."""

import re
from pathlib import Path

from sqlalchemy import URL, Column, Connection, MetaData, Table, Text, create_engine, event, make_url, select
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from d3s_dataset.errors import VerifyError
from d3s_dataset.identity import digest
from d3s_dataset.utils import extras
from generation.verify.prepare import tasks
from generation.verify.votes.errors import unusable
from generation.verify.votes.secret import derive, secret
from generation.verify.votes.tables import METADATA, POOL

_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
_EXPECTED = "--database: expected postgresql://USER@HOST/DATABASE"
_STUDY = Table("study", MetaData(), *(Column(name, Text, primary_key=True) for name in ("release", "tasks", "secret")))
# Writers wait for each other as in SQLite, so that the rules of assignments hold over all servers. An advisory lock
# does it without retries, which serialisable transactions would need: each statement of READ COMMITTED that follows the
# lock reads what its last holder wrote. It is released after the commit is on disk, and when a connection is lost.
_BEGIN = """
SELECT set_config('synchronous_commit', 'on', true), set_config('lock_timeout', '30s', true),
       set_config('idle_in_transaction_session_timeout', '60s', true), pg_advisory_xact_lock(3352)
"""
_CONNECT_SECONDS = 10


class Server:
    """A PostgreSQL database of votes.

    Args:
        folder: tasks folder.
        url: `postgresql://user@host/database`; what it leaves out is taken as libpq does (PGPASSWORD, ~/.pgpass).

    Raises:
        VerifyError: another URL, a database that cannot be used, or one that holds another folder's votes.
        MissingExtra: no driver.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self._url = parsed(url)
        extras.late("psycopg", extra="postgresql")
        patience = {} if "connect_timeout" in self._url.query else {"connect_timeout": _CONNECT_SECONDS}
        self.engine = create_engine(
            self._url, isolation_level="READ COMMITTED", pool_pre_ping=True, connect_args=patience, **POOL
        )
        event.listen(self.engine, "begin", _begin)
        given = _study(folder)
        try:
            with self.engine.execution_options(writing=True).begin() as base:
                METADATA.create_all(base)
                _STUDY.create(base, checkfirst=True)
                _check_study(base, f"{folder} and {shown(self._url)}", given)
        except (SQLAlchemyError, VerifyError) as error:
            self.engine.dispose()
            raise self.error(error) if isinstance(error, SQLAlchemyError) else error from None

    def error(self, error: Exception) -> VerifyError:
        """Return an error of the database as one line, without the password."""
        password = self._url.password or self._url.query.get("password")
        return unusable(f"{shown(self._url)} cannot be used for votes", error, str(password) if password else None)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def scrub(self) -> None:
        """Rewrite the tables, so that they hold nothing that was deleted; logs and backups of the server may."""
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as base:
            for table in METADATA.tables:
                base.exec_driver_sql(f"VACUUM (FULL) {table}")


def _begin(base: Connection) -> None:
    if base.get_execution_options().get("writing"):
        base.exec_driver_sql(_BEGIN)


def parsed(text: str) -> URL:
    """Return the URL of a PostgreSQL database; raises VerifyError, which shows no part that may hold a password."""
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", text)
    if scheme is None or scheme[1] not in _SCHEMES:
        raise VerifyError(f"{_EXPECTED}, got {f'{scheme[1]}://...' if scheme else 'no URL'}")
    try:
        url = make_url(text).set(drivername="postgresql+psycopg")
    except (ArgumentError, ValueError):
        url = None
    if url is None or "@" in (url.host or ""):
        raise VerifyError(f"{_EXPECTED}, with a whole number as port and %40 for an @ in a password, got another form")
    return url


def shown(url: URL) -> str:
    """Return a URL without password and parameters."""
    plain = URL.create("postgresql", url.username, None, url.host, url.port, url.database)
    return plain.render_as_string()


def _study(folder: Path) -> dict[str, str]:
    """Return what identifies a tasks folder: release, tasks (votes and assignments refer to them) and secret."""
    held = tasks.read(folder)
    drawn = [[task.id, *task.items] for task in held.tasks]
    return {"release": held.release, "tasks": digest(drawn), "secret": derive(secret(folder), "study").hex()}


def _check_study(base: Connection, where: str, given: dict[str, str]) -> None:
    """Record the first tasks folder of a database; raise VerifyError for any other."""
    row = base.execute(select(_STUDY)).first()
    if row is None:
        base.execute(_STUDY.insert().values(given))
        return
    if (row.release, row.tasks) != (given["release"], given["tasks"]):
        raise VerifyError(
            f"{where}: expected the tasks folder whose votes this database holds (release {row.release[:16]}, tasks "
            f"{row.tasks[:16]}), got release {given['release'][:16]}, tasks {given['tasks'][:16]}: create a database "
            "of its own (createdb NAME)"
        )
    if row.secret != given["secret"]:
        raise VerifyError(
            f"{where}: expected the file 'secret' of the first server, which signs links and names annotators, "
            "got another one: copy it from there"
        )
