"""Errors of a database as one line."""

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from d3s_dataset.errors import VerifyError, one_line


class Unavailable(VerifyError):
    """A database that cannot be used at the moment: not reachable, locked or full; a vote may be sent again later."""


def unusable(what: str, error: Exception, hidden: str | None = None) -> VerifyError:
    """Return an error of a database as one line, without SQL.

    Args:
        what: the database and its use, for the message.
        error: of SQLAlchemy or the operating system.
        hidden: a password, which is replaced wherever the message holds it.
    """
    why = error.orig if isinstance(error, DBAPIError) and error.orig else error
    text = one_line(why)
    kind = Unavailable if isinstance(error, OperationalError | InterfaceError | NoConnection) else VerifyError
    return kind(f"{what}: {text.replace(hidden, '***') if hidden else text}")
