"""Tables of votes, the same in SQLite and PostgreSQL. Names and columns never change: older files must open."""

from typing import Any

from sqlalchemy import (
    REAL,
    Column,
    ColumnElement,
    Double,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    bindparam,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite

METADATA = MetaData()
POOL = {"pool_size": 8, "max_overflow": 0}  # the server's file descriptors are for annotators
# PostgreSQL would sort by the language of the database; SQLite's REAL has 8 bytes, PostgreSQL's has 4.
_TEXT = Text().with_variant(Text(collation="C"), "postgresql")
_REAL = Double().with_variant(REAL(), "sqlite")


def _table(name: str, *parts: Column[Any] | UniqueConstraint) -> Table:
    return Table(name, METADATA, *parts, sqlite_strict=True, sqlite_with_rowid=False)


def _key(name: str) -> Column[str]:
    return Column(name, _TEXT, primary_key=True)


def _text(name: str, **more: Any) -> Column[str]:
    return Column(name, _TEXT, nullable=False, **more)


def _whole(name: str, **more: Any) -> Column[int]:
    return Column(name, Integer, nullable=False, autoincrement=False, **more)


def _real(name: str, *, nullable: bool = True) -> Column[float]:
    return Column(name, _REAL, nullable=nullable)


# All revisions of all answers; rows are never changed or deleted, but by `forget`.
VOTES = _table(
    "votes",
    *(_key("worker"), _key("item"), _key("question"), _whole("revision", primary_key=True)),
    *(_text("answer"), _real("seconds"), _text("source"), _real("at", nullable=False)),
)
# Which answers were imported: an answer that was changed since is not imported again.
IMPORTED = _table("imported", _key("worker"), _key("item"), _key("question"), _key("source"))
# Assignments, and where their annotators come from.
SITTINGS = _table(
    "sittings",
    *(_key("task"), _key("worker"), _text("session", unique=True), _real("begun", nullable=False)),
    *(_real("finished"), _text("comment", server_default="")),
)
VISITS = _table(
    "visits",
    *(_key("task"), _key("worker"), _text("address"), _text("holder")),
    *(_whole("answered", server_default="0"), _real("fast")),
)
# Items of assignments that were made up during the rounds, in display order: nobody gets an item twice.
ASSIGNED = _table(
    "assigned",
    *(_key("worker"), _key("item"), _text("task"), _whole("place")),
    UniqueConstraint("task", "place"),
)
# Answers in the order in which they came, so that an index in memory reads what is new to it.
ARRIVALS = _table(
    "arrivals",
    *(_whole("number", primary_key=True), _text("worker"), _text("item"), _text("question"), _whole("revision")),
)
# The browser that owns a worker id, and the number of other browsers' claims to it.
HOLDERS = _table("holders", _key("worker"), _text("holder"))
REFUSED = _table("refused", _key("worker"), _whole("times"))
# About annotators: display names, agreements to texts with a confirmed age in years (0: none), exclusions and undos.
NAMES = _table("names", _key("worker"), _text("name"))
TEXTS = _table("texts", _key("digest"), _text("text"))
AGREEMENTS = _table(
    "agreements", _key("worker"), _key("text"), _whole("age", primary_key=True), _real("at", nullable=False)
)
EXCLUSIONS = _table(
    "exclusions",
    *(_key("worker"), _whole("number", primary_key=True), _whole("undone")),
    *(_text("reason"), _real("at", nullable=False)),
)


def insert(table: Table, dialect: str) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT that may have ON CONFLICT, in the words of a dialect (`connection.dialect.name`)."""
    return {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[dialect](table)


def among(*columns: Column[Any]) -> ColumnElement[bool]:
    """Return the condition that some columns are one of the tuples in the parameter `keys`."""
    return tuple_(*columns).in_(bindparam("keys", expanding=True))
