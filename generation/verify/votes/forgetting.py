"""Removal of one annotator's identity: the votes get a random name, which no key leads back from, or go as well.

What stays of a person: answers, seconds per image, and one day for all of them in place of their times.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Table, delete, func, literal, select, update

from generation.verify.votes.store import Store, mark_changed
from generation.verify.votes.tables import (
    AGREEMENTS,
    ARRIVALS,
    ASSIGNED,
    EXCLUSIONS,
    HOLDERS,
    IMPORTED,
    NAMES,
    REFUSED,
    SITTINGS,
    VISITS,
    VOTES,
)
from generation.verify.votes.vote import PAGE

FORGOTTEN = "forgotten"
_DAY = 86_400.0

# Table -> what its rows are called. The first ones are deleted, the others get the random name.
DELETED = {
    HOLDERS: "browser",
    REFUSED: "count of other browsers",
    IMPORTED: "import record",
    AGREEMENTS: "agreement",
    NAMES: "display name",
}
RENAMED = {VOTES: "answer", SITTINGS: "assignment", VISITS: "", ASSIGNED: "", ARRIVALS: "", EXCLUSIONS: "decision"}


@dataclass(frozen=True)
class Forgotten:
    """What was removed: (number, what), and the random id that the votes have now (None: they are removed too)."""

    worker: str | None
    removed: list[tuple[int, str]]
    kept: list[tuple[int, str]] = field(default_factory=list)


def forget(store: Store, worker: str, names: Sequence[str], *, votes: bool = False) -> Forgotten:
    """Remove an annotator's identity from the database, and from its file (`Store.scrub`).

    Args:
        store: the votes.
        worker: id of the annotator.
        names: all names of this person, which are removed from the reasons of exclusions.
        votes: remove the votes, too.
    """
    with store.transaction() as base:
        mark_changed(base)
        comments = _count(base, SITTINGS, SITTINGS.c.worker == worker, SITTINGS.c.comment != "")
        addresses = _count(base, VISITS, VISITS.c.worker == worker, VISITS.c.address != "")
        removed = [(comments, "comment"), (addresses, "address digest")]
        removed += [(_count(base, each, each.c.worker == worker), what) for each, what in DELETED.items()]
        found = [(_count(base, each, each.c.worker == worker), what) for each, what in RENAMED.items() if what]
        for table in DELETED:
            base.execute(delete(table).where(table.c.worker == worker))
        random = None if votes else f"{FORGOTTEN}:{secrets.token_hex(16)}"
        if random is None:
            for table in RENAMED:
                base.execute(delete(table).where(table.c.worker == worker))
        else:
            _rename(base, worker, random, names)
    store.scrub()
    return Forgotten(random, removed + found, []) if votes else Forgotten(random, removed, found)


def _rename(base: Connection, worker: str, random: str, names: Sequence[str]) -> None:
    last = base.execute(select(func.max(VOTES.c.at)).where(VOTES.c.worker == worker)).scalar() or 0.0
    day = last // _DAY * _DAY
    own = (update(each).where(each.c.worker == worker) for each in RENAMED)
    votes, sittings, visits, assigned, arrivals, _ = own
    base.execute(votes.where(VOTES.c.source != PAGE).values(source=FORGOTTEN))
    base.execute(votes.values(worker=random, at=day))
    base.execute(sittings.where(SITTINGS.c.finished.is_not(None)).values(finished=day))
    session = literal(f"{random}:").concat(SITTINGS.c.task)
    base.execute(sittings.values(worker=random, session=session, begun=day, comment=""))
    base.execute(visits.values(worker=random, address="", holder=""))
    base.execute(assigned.values(worker=random))
    base.execute(arrivals.values(worker=random))
    for row in base.execute(select(EXCLUSIONS).where(EXCLUSIONS.c.worker == worker)).all():
        one = update(EXCLUSIONS).where(EXCLUSIONS.c.worker == worker, EXCLUSIONS.c.number == row.number)
        base.execute(one.values(worker=random, reason=without(names, row.reason)))


def without(names: Sequence[str], text: str) -> str:
    """Return a text in which names are replaced, as whole words and in any case of letters."""
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"(?i)(?<!\w){re.escape(name)}(?!\w)", FORGOTTEN, text)
    return text


def _count(base: Connection, table: Table, *which: object) -> int:
    return base.execute(select(func.count()).select_from(table).where(*which)).scalar_one()  # pyright: ignore[reportArgumentType]
