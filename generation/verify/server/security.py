"""Request checks and security headers of the annotation page.

Not Starlette's TrustedHostMiddleware: it ignores the port, and another server on this host is another origin.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from generation.verify.crowds.mturk import ORIGINS

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

BODY_SECONDS = 20.0  # for a request's body to arrive
MOST_BYTES = 8192  # maximum size of a request's body; a vote has 150
_FRAMES = "https://*.mturk.com https://*.mturkcontent.com"


def policy(framed: bool) -> dict[str, str]:
    """Return the security headers of a page: same-origin resources and scripts only; frames only inside MTurk."""
    frames, forms = (_FRAMES, " ".join(ORIGINS)) if framed else ("'none'", "'none'")
    return {
        "content-security-policy": "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
        f"connect-src 'self'; base-uri 'none'; form-action {forms}; frame-ancestors {frames}",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-robots-tag": "noindex",
        "cross-origin-resource-policy": "same-origin",
    }


class Guard:
    """ASGI middleware: rejects requests that the page never sends, and adds the security headers.

    Args:
        app: the guarded app.
        base: public URL, such as `http://127.0.0.1:8000`; requests for other hosts are rejected.
    """

    def __init__(self, app: App, base: str) -> None:
        self.app, self.base = app, base.rstrip("/")
        self.host = urlsplit(base).netloc

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Forward a request, or reject it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        send = _with_headers(send)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        status = self._refuse(scope["method"], headers)
        body, whole, ends = b"", scope["method"] != "POST", time.monotonic() + BODY_SECONDS
        while status is None and not whole:
            try:
                message = await asyncio.wait_for(receive(), ends - time.monotonic())
            except TimeoutError:
                await _answer(send, 408)
                return
            if message["type"] == "http.disconnect":
                return
            body, whole = body + message.get("body", b""), not message.get("more_body", False)
            status = 413 if len(body) > MOST_BYTES else None
        if status is not None:
            await _answer(send, status)
            return
        await self.app(scope, _again(body, receive), send)

    def _refuse(self, method: str, headers: dict[str, str]) -> int | None:
        """Return the status with which a request is rejected, or None."""
        if headers.get("host") != self.host:
            return 400
        if method in ("GET", "HEAD"):
            return None
        if method != "POST":
            return 405
        if headers.get("origin", self.base) != self.base or headers.get("sec-fetch-site", "none") not in (
            "same-origin",
            "none",
        ):
            return 403
        if headers.get("content-type", "").split(";")[0] != "application/json":
            return 415
        length = headers.get("content-length", "0")
        return 413 if not length.isdecimal() or int(length) > MOST_BYTES else None


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that replays a body that was read already, then continues with the original."""
    replayed = False

    async def first() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return first


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = {name.lower() for name, _ in message["headers"]}
            more = [(name.encode(), value.encode()) for name, value in policy(framed=False).items()]
            message["headers"] = [*message["headers"], *(each for each in more if each[0] not in given)]
        await send(message)

    return sent


async def _answer(send: Send, status: int) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", b"text/plain"), (b"connection", b"close")],
        }
    )
    await send({"type": "http.response.body", "body": b"refused\n"})
