"""Assignments as the database holds them (tables `sittings`, `visits`), and what may go wrong with one."""

from dataclasses import dataclass

from sqlalchemy import func, select

from d3s_dataset.errors import VerifyError
from generation.verify.votes.tables import SITTINGS, VISITS

PLACE = (SITTINGS.c.task, SITTINGS.c.worker)
VISIT = (VISITS.c.task == SITTINGS.c.task) & (VISITS.c.worker == SITTINGS.c.worker)
MARK = func.coalesce(VISITS.c.answered, 1)  # assignments of older versions have no visit: they count as answered
# All assignments, oldest first, with the fields of `Sitting` in order.
ALL = (
    select(
        *(*PLACE, SITTINGS.c.session, SITTINGS.c.begun, SITTINGS.c.finished, SITTINGS.c.comment, MARK),
        *(VISITS.c.fast, func.coalesce(VISITS.c.address, ""), func.coalesce(VISITS.c.holder, "")),
    )
    .outerjoin(VISITS, VISIT)
    .order_by(SITTINGS.c.begun)
)
_PATIENCE = 2 * 3600.0  # seconds after which an unfinished assignment is released
_LEASE = 300.0  # seconds after which one without any answer is released


class Closed(VerifyError):
    """A task that was submitted, or never started by this worker."""


class Taken(Closed):
    """A worker id that another browser owns."""


@dataclass(frozen=True)
class Client:
    """Origin of a request: a digest of its address, and the signed cookie's content."""

    address: str
    holder: str


@dataclass(frozen=True)
class Bounds:
    """Limits for crowd workers.

    Attributes:
        per_address: open tasks per client address.
        floor: minimum seconds per image; a faster submission is held for review.
    """

    per_address: int = 10
    floor: float = 1.0


@dataclass(frozen=True)
class Sitting:
    """One worker's assignment to one task; `session` is the crowd's id of it."""

    task: str
    worker: str
    session: str
    begun: float
    finished: float | None
    comment: str
    answered: bool = False
    fast: float | None = None
    address: str = ""
    holder: str = ""

    def holds(self, now: float) -> bool:
        """Return whether it occupies a place in its task: submitted and not too fast, or in progress."""
        if self.finished:
            return self.fast is None
        return self.begun > now - (_PATIENCE if self.answered else min(_LEASE, _PATIENCE))
