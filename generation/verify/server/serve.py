"""Serve the annotation page until Ctrl-C: one process, no access log (it would hold addresses and tokens)."""

import signal
import socket
from collections import Counter as Counted
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import uvicorn

from d3s_dataset.errors import VerifyError
from d3s_dataset.utils.cli import say
from generation.verify.crowds.colleagues import named, person, shown_name
from generation.verify.prepare import tasks
from generation.verify.rounds.assigner import AdaptiveAssigner
from generation.verify.server.app import create
from generation.verify.server.connections import BACKLOG, most_connections, protocol
from generation.verify.server.consent import read_text
from generation.verify.server.office import Gate, Office
from generation.verify.server.security import Guard
from generation.verify.server.tokens import Links
from generation.verify.votes import annotators
from generation.verify.votes.assignments import Desk
from generation.verify.votes.secret import secret
from generation.verify.votes.sittings import Bounds
from generation.verify.votes.store import Store

_GRACE = 5  # seconds for incomplete requests at shutdown
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Counter:
    """Settings of `serve`.

    Attributes:
        host: address to bind.
        port: port to bind; 0 for any free port.
        url: public URL, where it differs (a name, a TLS proxy).
        people: colleagues; one link each. `anna=Anna Müller` is shown as Anna Müller.
        days: days until links expire.
        mturk: print the ExternalQuestion for Mechanical Turk.
        code: Prolific's completion code; with it the study URL is printed.
        bounds: limits for crowd workers.
        per_address: connections per client address.
        consent: file with the text that annotators agree to.
        minimum_age: age in years that crowd workers confirm.
        database: URL of the votes' database; None for the SQLite file in the tasks folder.
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
    consent: Path | None = None
    minimum_age: int | None = None
    database: str | None = None


def serve(folder: Path, counter: Counter) -> None:
    """Serve a tasks folder.

    Raises:
        VerifyError: no tasks folder, an invalid address, or a port in use.
    """
    held = tasks.read(folder)
    _check(counter)
    gate = Gate(read_text(counter.consent) if counter.consent else "", counter.minimum_age)
    lost = [name for name in held.all_pictures() if not _holds(folder / tasks.IMAGES / name)]
    if lost:
        raise VerifyError(f"{folder} lacks {len(lost)} pictures, such as {lost[0]}: run prepare again")
    if odd := [name for name in held.all_pictures() if Path(name).suffix not in tasks.MEDIA]:
        raise VerifyError(
            f"{folder}: expected pictures that end in {' or '.join(tasks.MEDIA)}, got {odd[0]}: run prepare again"
        )
    key = secret(folder)
    with _listen(counter) as listener:
        base = (counter.url or f"http://{counter.host}:{listener.getsockname()[1]}").rstrip("/")
        store, links = Store(folder, counter.database), Links(key, counter.days)
        _name_people(store, key, counter.people)
        https, assigner = base.startswith("https:"), AdaptiveAssigner(held, store) if held.stops else None
        desk = Desk(held, store, counter.bounds, assigner=assigner)
        app = Guard(create(Office(desk, folder, links, key, counter.code, https, gate)), base)
        for line in addresses(base, links, counter):
            say(line)
        before = signal.signal(signal.SIGTERM, _stop)
        try:
            uvicorn.Server(_config(app, counter)).run(sockets=[listener])
        finally:
            store.close()
            signal.signal(signal.SIGTERM, before)


def _stop(*_: object) -> NoReturn:
    """Exit in order: uvicorn re-raises the signal at its end, and the votes must still be flushed."""
    raise SystemExit(143)


def _config(app: Guard, counter: Counter) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # pyright: ignore[reportArgumentType]
        http=protocol(most_connections(), counter.per_address),  # pyright: ignore[reportArgumentType]
        ws="none",
        backlog=BACKLOG,
        log_level="critical",  # its lines contain visitors' addresses
        access_log=False,
        timeout_graceful_shutdown=_GRACE,
    )


def _listen(counter: Counter) -> socket.socket:
    """Return a listening socket, so that early clients wait for the server."""
    family = socket.AF_INET6 if ":" in counter.host else socket.AF_INET
    try:
        return socket.create_server((counter.host, counter.port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        raise VerifyError(
            f"cannot bind {counter.host}:{counter.port} ({error}): expected another --port or --host"
        ) from None


def _check(counter: Counter) -> None:
    """Raise VerifyError for unusable settings, before anything is opened."""
    for each in counter.people:
        named(each)
    if counter.url is None and counter.host not in _LOOPBACK:
        raise VerifyError(f"--host {counter.host}: expected --url as well, the public URL of this machine")
    parts = urlsplit((counter.url or "http://unused").rstrip("/"))
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path:
        raise VerifyError(f"--url: expected a URL such as https://verify.example.org, got {counter.url}")


def _name_people(store: Store, key: bytes, people: Sequence[str]) -> None:
    """Record the display names of colleagues; raises VerifyError where two people would be shown by the same one."""
    given = {person(name).worker: shown for name, shown in map(named, people)}
    names = {**annotators.names(store), **given}
    everybody = annotators.everybody(store) | given.keys()
    counts = Counted(shown_name(key, worker, names) for worker in everybody)
    if twice := [shown for shown, count in counts.items() if count > 1]:
        store.close()
        raise VerifyError(f"--people: expected a name of its own for each person, got {min(twice)} twice")
    annotators.name(store, given)


def _holds(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def addresses(base: str, links: Links, counter: Counter) -> list[str]:
    """Return the links to distribute, one per line."""
    people = dict(map(named, counter.people))
    lines = [f"{shown}: {base}/p/{links.sign('person', name=name)}" for name, shown in people.items()]
    if counter.code:
        names = ("PROLIFIC_PID", "STUDY_ID", "SESSION_ID")
        query = "&".join(f"{name}={{{{%{name}%}}}}" for name in names)
        lines.append(f"prolific: {base}/prolific/{links.sign('prolific')}?{query}")
    if counter.mturk:
        address = f"{base}/mturk/{links.sign('mturk')}"
        lines.append(f"mturk: {_EXTERNAL.format(url=address)}")
    lines.append(f"review (private): {base}/review/{links.sign('review')}")
    return [*lines, f"links expire after {counter.days:g} days; Ctrl-C stops the server, and every vote is kept"]


_EXTERNAL = (
    '<ExternalQuestion xmlns="http://mechanicalturk.amazonaws.com/AWSMechanicalTurkDataSchemas/2006-07-14/'
    'ExternalQuestion.xsd"><ExternalURL>{url}</ExternalURL><FrameHeight>0</FrameHeight></ExternalQuestion>'
)
