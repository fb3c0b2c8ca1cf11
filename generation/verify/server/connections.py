"""Connection limits: number of connections, time for a request to arrive; idle ones are closed first."""

import asyncio
import resource
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from generation.verify.server.security import policy

BACKLOG = 32  # connections that wait to be accepted
HEAD_SECONDS = 15.0  # for a request's line and headers to arrive
_OTHER_FILES = 64  # descriptors for votes, pictures and the interpreter
_MOST = 1024


def most_connections() -> int:
    """Return the maximum number of connections within this process's descriptor limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = _MOST if soft == resource.RLIM_INFINITY else soft - _OTHER_FILES - BACKLOG
    return max(8, min(_MOST, free))


def protocol(most: int, per_address: int, head_seconds: float = HEAD_SECONDS) -> Callable[..., asyncio.Protocol]:
    """Return a factory for the protocol of each connection.

    Args:
        most: maximum number of connections.
        per_address: maximum per client address.
        head_seconds: time for a request's line and headers to arrive.
    """

    def made(*given: Any, **named: Any) -> asyncio.Protocol:
        found = _Bounded(*given, **named)
        found.most, found.per_address, found.head_seconds = most, per_address, head_seconds
        return found

    return made


class _Bounded(H11Protocol):
    """uvicorn's HTTP protocol with limits; at a limit the connection that has been idle longest is closed."""

    most = per_address = 0
    head_seconds = HEAD_SECONDS
    _timer: asyncio.TimerHandle | None = None
    _since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection, closing an idle one if necessary; refuse it if none is idle."""
        super().connection_made(transport)
        self._since = self.loop.time()
        self._timer = self.loop.call_later(self.head_seconds, self._drop)
        own = [each for each in self._others() if each.client and self.client and each.client[0] == self.client[0]]
        for others, limit in ((own, self.per_address), (self._others(), self.most)):
            if len(others) < limit:
                continue
            idle = [each for each in others if each._idle()]
            (min(idle, key=lambda each: each._since) if idle else self)._drop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop a closed connection."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Receive bytes; the timeout for a request's head starts at its first byte."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._disarm()
        elif self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(self.head_seconds, self._drop)

    def on_response_complete(self) -> None:
        """Record the time at which the connection became idle."""
        self._since = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Reject invalid HTTP, with the same security headers as every response."""
        text = msg.encode("ascii", "replace")
        more = [(name.encode(), value.encode()) for name, value in policy(framed=False).items()]
        plain = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
        for event in (h11.Response(status_code=400, headers=[*plain, *more]), h11.Data(data=text), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _others(self) -> list["_Bounded"]:
        found = [each for each in self.connections if isinstance(each, _Bounded) and each is not self]
        return [each for each in found if not each.transport.is_closing()]

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _drop(self) -> None:
        self._disarm()
        self.transport.abort()
