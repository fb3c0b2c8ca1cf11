"""Records about annotators beside their votes: display names, agreements, exclusions with their reasons.

Exclusions are append-only: an undo is a row of its own, and the last row of an annotator counts.
"""

import hashlib
import time
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select

from d3s_dataset.errors import VerifyError
from generation.verify.votes import tables
from generation.verify.votes.store import Store
from generation.verify.votes.tables import AGREEMENTS, EXCLUSIONS, METADATA, NAMES, TEXTS

# Built once, as it is asked at every arrival: the last decision on each annotator, where it is an exclusion.
_NEWEST = (
    select(EXCLUSIONS.c.worker, func.max(EXCLUSIONS.c.number).label("number")).group_by(EXCLUSIONS.c.worker).subquery()
)
_EXCLUDED = (
    select(EXCLUSIONS.c.worker, EXCLUSIONS.c.reason)
    .join(_NEWEST, (EXCLUSIONS.c.worker == _NEWEST.c.worker) & (EXCLUSIONS.c.number == _NEWEST.c.number))
    .where(EXCLUSIONS.c.undone == 0)
)


@dataclass(frozen=True)
class Exclusion:
    """One entry of an annotator's record: excluded, or (`undone`) counted again; `at` is its Unix time."""

    undone: bool
    reason: str
    at: float


def everybody(store: Store) -> set[str]:
    """Return the ids of all annotators of whom anything is stored."""
    tables_of = [each for each in METADATA.tables.values() if "worker" in each.c]
    return {row.worker for each in tables_of for row in store.read(select(each.c.worker).distinct())}


def excluded(store: Store) -> dict[str, str]:
    """Return the annotators whose votes count nowhere, by the owner's decision: worker -> reason."""
    return {row.worker: row.reason for row in store.read(_EXCLUDED)}


def excluded_in(base: Connection) -> dict[str, str]:
    """Return the excluded annotators inside a transaction, as `excluded`."""
    return {row.worker: row.reason for row in base.execute(_EXCLUDED)}


def history(store: Store, worker: str) -> list[Exclusion]:
    """Return an annotator's exclusions and undos, in order."""
    query = select(EXCLUSIONS.c.undone, EXCLUSIONS.c.reason, EXCLUSIONS.c.at).where(EXCLUSIONS.c.worker == worker)
    return [Exclusion(bool(row.undone), row.reason, row.at) for row in store.read(query.order_by(EXCLUSIONS.c.number))]


def exclude(store: Store, worker: str, reason: str, *, undo: bool = False) -> None:
    """Record an exclusion, or its undo.

    Raises:
        VerifyError: excluded already, or, for an undo, not excluded.
    """
    with store.transaction() as base:
        if (worker in excluded_in(base)) != undo:
            raise VerifyError("this annotator is " + ("not excluded" if undo else "excluded already"))
        own = select(func.max(EXCLUSIONS.c.number)).where(EXCLUSIONS.c.worker == worker)
        number = (base.execute(own).scalar() or 0) + 1
        row = {"worker": worker, "number": number, "undone": int(undo), "reason": reason, "at": time.time()}
        base.execute(insert(EXCLUSIONS), row)


def agree(store: Store, worker: str, text: str, age: int) -> None:
    """Record an agreement to a text and, unless 0, the confirmation of an age in years; a known one stays as it is."""
    with store.transaction() as base:
        named = {"worker": worker, "text": text_digest(text), "age": age, "at": time.time()}
        base.execute(tables.insert(AGREEMENTS, base.dialect.name).values(**named).on_conflict_do_nothing())
        kept = tables.insert(TEXTS, base.dialect.name).values(digest=text_digest(text), text=text)
        base.execute(kept.on_conflict_do_nothing())


def agreed(store: Store, worker: str, text: str, age: int) -> bool:
    """Return whether an annotator agreed to this very text, and confirmed at least this age."""
    named = (AGREEMENTS.c.worker == worker) & (AGREEMENTS.c.text == text_digest(text)) & (AGREEMENTS.c.age >= age)
    return bool(store.read(select(AGREEMENTS.c.at).where(named)))


def text_digest(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8, which anybody can compute of the file."""
    return hashlib.sha256(text.encode()).hexdigest()


def agreements(store: Store, worker: str) -> list[tuple[str, int, float]]:
    """Return an annotator's agreements, oldest first: (digest of the text, confirmed age or 0, Unix time)."""
    query = select(AGREEMENTS.c.text, AGREEMENTS.c.age, AGREEMENTS.c.at).where(AGREEMENTS.c.worker == worker)
    return [(row.text, row.age, row.at) for row in store.read(query.order_by(AGREEMENTS.c.at))]


def name(store: Store, names: dict[str, str]) -> None:
    """Record display names: worker -> name; an earlier one is replaced."""
    with store.transaction() as base:
        for worker, shown in names.items():
            row = tables.insert(NAMES, base.dialect.name).values(worker=worker, name=shown)
            base.execute(row.on_conflict_do_update(index_elements=["worker"], set_={"name": shown}))


def names(store: Store) -> dict[str, str]:
    """Return the display names: worker -> name."""
    return {row.worker: row.name for row in store.read(select(NAMES.c.worker, NAMES.c.name))}
