"""State of the annotation server, and the identity of its visitors: a digest of the address and a signed cookie."""

import ipaddress
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import Request
from fastapi.responses import FileResponse, Response

from generation.verify.prepare.tasks import IMAGES, MEDIA
from generation.verify.server.tokens import BadLink, Links
from generation.verify.votes.assignments import Desk
from generation.verify.votes.secret import anonymous
from generation.verify.votes.sittings import Client

_COOKIE = "d3s_holder"
_LASTING = {"cache-control": "private, max-age=86400, immutable"}


@dataclass(frozen=True)
class Gate:
    """Terms that a visitor agrees to before the first task.

    Attributes:
        text: consent text, shown as it is; empty for none.
        minimum_age: age that crowd workers confirm; None to ask nobody.
    """

    text: str = ""
    minimum_age: int | None = None


@dataclass(frozen=True)
class Office:
    """State of the app.

    Attributes:
        desk: tasks and votes.
        folder: tasks folder, with the pictures.
        links: signer of links.
        key: the folder's secret.
        code: Prolific's completion code.
        https: whether the public URL is HTTPS.
        gate: consent text and minimum age.
    """

    desk: Desk
    folder: Path
    links: Links
    key: bytes
    code: str | None = None
    https: bool = False
    gate: Gate = field(default_factory=Gate)

    def picture(self, name: str) -> Response:
        """Return a picture of the tasks; raises BadLink for another file."""
        if Path(name).suffix not in MEDIA:
            raise BadLink("this link is for another task")
        return FileResponse(self.folder / IMAGES / name, media_type=MEDIA[Path(name).suffix], headers=_LASTING)

    def client(self, request: Request) -> Client:
        """Return a crowd worker's client; for a new one the caller sets the cookie (`keep_holder`)."""
        try:
            holder = str(self.links.read("holder", request.cookies.get(_COOKIE, ""))["id"])
        except BadLink:
            holder = secrets.token_hex(16)
        host = request.client.host if request.client else ""
        with suppress(ValueError):
            if (parsed := ipaddress.ip_address(host)).version == 6:
                host = str(ipaddress.ip_network((parsed, 64), strict=False))  # one household has a whole /64
        return Client(anonymous(self.key, f"address:{host}"), holder)

    def keep_holder(self, response: Response, client: Client, until: int) -> None:
        """Set the cookie; Mechanical Turk frames the page, where browsers accept cookies over HTTPS only."""
        rest = "Secure; SameSite=None; Partitioned" if self.https else "SameSite=Lax"
        token = self.links.sign("holder", until, id=client.holder)
        response.headers.append("set-cookie", f"{_COOKIE}={token}; Path=/; HttpOnly; {rest}")
