"""Signed links: what a person may open is in the link itself, so nobody logs in and the page needs no cookies."""

import time
from collections.abc import Callable
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

from d3s_dataset.errors import VerifyError
from generation.verify.votes.secret import derive

_DAY = 86400.0


class BadLink(VerifyError):
    """A link that was not made here, was changed, or has expired."""


class Links:
    """Makes and reads tokens. A token of one kind is none of another.

    Args:
        key: the secret of the folder of tasks.
        days: how long a new link is good.
        now: the clock.
    """

    def __init__(self, key: bytes, days: float = 14.0, now: Callable[[], float] = time.time) -> None:
        self._key, self._days, self._now = derive(key, "links"), days, now

    def sign(self, kind: str, until: int | None = None, **what: str) -> str:
        """Return a token that holds `what`; one that follows from another is good `until` that one ends, no longer."""
        ends = int(self._now() + self._days * _DAY) if until is None else until
        return self._of(kind).dumps({**what, "until": ends})

    def read(self, kind: str, token: str) -> dict[str, Any]:
        """Return what a token holds, and `until` when it is good (Unix time).

        Raises:
            BadLink: forged, changed, of another kind, or expired.
        """
        try:
            what = self._of(kind).loads(token)
        except BadData:
            raise BadLink("this link is not one of ours") from None
        if what["until"] < self._now():
            raise BadLink("this link has expired: ask whoever sent it for a new one")
        return what

    def _of(self, kind: str) -> URLSafeSerializer:
        return URLSafeSerializer(self._key, salt=f"d3s.verify.{kind}")
