"""Serve the page until Ctrl-C: links for everybody, one process, no access log (it would hold addresses and tokens)."""

import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import uvicorn

from d3s_dataset.errors import VerifyError
from d3s_dataset.utils.cli import say
from generation.verify.crowds.colleagues import person
from generation.verify.prepare import tasks
from generation.verify.server.app import Office, create
from generation.verify.server.connections import BACKLOG, most_connections, protocol
from generation.verify.server.security import Guard
from generation.verify.server.tokens import Links
from generation.verify.votes.assignments import Bounds, Desk
from generation.verify.votes.secret import secret
from generation.verify.votes.store import Store

_GRACE = 5  # seconds for requests that are not whole when the server ends
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Counter:
    """How to serve.

    Attributes:
        host: address to listen on.
        port: 0 takes a free one.
        url: the address that people use, where it is another (a name, a TLS proxy).
        people: colleagues, each of whom gets a link.
        days: how long links are good.
        mturk: print the ExternalQuestion for Mechanical Turk.
        code: Prolific's completion code; with it the study's address is printed.
        bounds: what strangers may take.
        per_address: connections that one client address may hold.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    url: str | None = None
    people: Sequence[str] = ()
    days: float = 14.0
    mturk: bool = False
    code: str | None = None
    per_address: int = 100
    bounds: Bounds = Bounds()


def serve(folder: Path, counter: Counter) -> None:
    """Serve a folder of tasks.

    Raises:
        VerifyError: no folder of tasks, an address that nobody could use, or a port that is taken.
    """
    held = tasks.read(folder)
    _check(counter)
    lost = [name for name in held.all_pictures() if not _holds(folder / tasks.IMAGES / name)]
    if lost:
        raise VerifyError(f"{folder} lacks {len(lost)} pictures, such as {lost[0]}: prepare it again")
    if odd := [name for name in held.all_pictures() if Path(name).suffix not in tasks.MEDIA]:
        raise VerifyError(
            f"{folder}: expected pictures that end in {' or '.join(tasks.MEDIA)}, got {odd[0]}: prepare it again"
        )
    key = secret(folder)
    with _listen(counter) as listener:
        base = (counter.url or f"http://{counter.host}:{listener.getsockname()[1]}").rstrip("/")
        store, links = Store(folder), Links(key, counter.days)
        app = Guard(
            create(
                Office(Desk(held, store, counter.bounds), folder, links, key, counter.code, base.startswith("https:"))
            ),
            base,
        )
        for line in addresses(base, links, counter):
            say(line)
        before = signal.signal(signal.SIGTERM, _stop)
        try:
            uvicorn.Server(_config(app, counter)).run(sockets=[listener])
        finally:
            store.close()
            signal.signal(signal.SIGTERM, before)


def _stop(*_: object) -> NoReturn:
    """End the process in order: uvicorn raises the signal again at its end, and votes are still to be put away."""
    raise SystemExit(143)


def _config(app: Guard, counter: Counter) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # pyright: ignore[reportArgumentType]
        http=protocol(most_connections(), counter.per_address),  # pyright: ignore[reportArgumentType]
        ws="none",
        backlog=BACKLOG,
        log_level="critical",  # its lines hold addresses of visitors
        access_log=False,
        timeout_graceful_shutdown=_GRACE,
    )


def _listen(counter: Counter) -> socket.socket:
    """Return a socket that listens already, so that whoever is quicker than the server waits."""
    family = socket.AF_INET6 if ":" in counter.host else socket.AF_INET
    try:
        return socket.create_server((counter.host, counter.port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        raise VerifyError(
            f"port {counter.port} of {counter.host} cannot be had ({error}): expected another --port or --host"
        ) from None


def _check(counter: Counter) -> None:
    """Refuse, before anything is opened, what nobody could use."""
    for name in counter.people:
        person(name)
    if counter.url is None and counter.host not in _LOOPBACK:
        raise VerifyError(
            f"--host {counter.host}: expected --url too, the address under which people reach this machine"
        )
    parts = urlsplit((counter.url or "http://unused").rstrip("/"))
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path:
        raise VerifyError(f"--url: expected an address such as https://verify.example.org, got {counter.url}")


def _holds(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def addresses(base: str, links: Links, counter: Counter) -> list[str]:
    """Return the links to hand out, one a line."""
    lines = [f"{name}: {base}/p/{links.sign('person', name=person(name).worker.partition(':')[2])}"
             for name in counter.people]  # fmt: skip
    if counter.code:
        names = ("PROLIFIC_PID", "STUDY_ID", "SESSION_ID")
        query = "&".join(f"{name}={{{{%{name}%}}}}" for name in names)
        lines.append(f"prolific: {base}/prolific/{links.sign('prolific')}?{query}")
    if counter.mturk:
        address = f"{base}/mturk/{links.sign('mturk')}"
        lines.append(f"mturk: {_EXTERNAL.format(url=address)}")
    lines.append(f"review (for you alone): {base}/review/{links.sign('review')}")
    return [*lines, f"links are good for {counter.days:g} days; Ctrl-C ends it, and every vote is kept"]


_EXTERNAL = (
    '<ExternalQuestion xmlns="http://mechanicalturk.amazonaws.com/AWSMechanicalTurkDataSchemas/2006-07-14/'
    'ExternalQuestion.xsd"><ExternalURL>{url}</ExternalURL><FrameHeight>0</FrameHeight></ExternalQuestion>'
)
