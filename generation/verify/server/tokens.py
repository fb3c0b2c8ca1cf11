"""Signed links: the link itself holds the permissions, so there is no login."""

import time
from collections.abc import Callable
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

from d3s_dataset.errors import VerifyError
from generation.verify.votes.secret import derive

_DAY = 86400.0


class BadLink(VerifyError):
    """A link that was forged or changed, or has expired."""


class Links:
    """Signer and reader of tokens. A token of one kind is not valid as another.

    Args:
        key: the secret of the tasks folder.
        days: days until a new link expires.
        now: clock, Unix time in seconds.
    """

    def __init__(self, key: bytes, days: float = 14.0, now: Callable[[], float] = time.time) -> None:
        self._key, self._days, self._now = derive(key, "links"), days, now

    def sign(self, kind: str, until: int | None = None, **what: str) -> str:
        """Return a token that holds `what`; one derived from another expires with that one (`until`)."""
        ends = int(self._now() + self._days * _DAY) if until is None else until
        return self._of(kind).dumps({**what, "until": ends})

    def read(self, kind: str, token: str) -> dict[str, Any]:
        """Return a token's content, with its expiry `until` (Unix time).

        Raises:
            BadLink: forged, changed, of another kind, or expired.
        """
        try:
            what = self._of(kind).loads(token)
        except BadData:
            raise BadLink("this link is not valid") from None
        if what["until"] < self._now():
            raise BadLink("this link has expired: request a new one from its sender")
        return what

    def _of(self, kind: str) -> URLSafeSerializer:
        return URLSafeSerializer(self._key, salt=f"d3s.verify.{kind}")
