"""Annotation page: one FastAPI app for all crowds. The signed link holds a visitor's permissions.

A crowd worker's id is not authenticated, so the first browser that uses it gets a signed cookie and owns the id.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from pydantic import BaseModel, ConfigDict, Field

from d3s_dataset.errors import VerifyError
from d3s_dataset.utils.cli import warn
from d3s_dataset.utils.pages import environment
from generation.verify.crowds.base import CROWDS, Visitor
from generation.verify.crowds.colleagues import PERSON, is_colleague, person
from generation.verify.prepare.questions import INSTRUCTIONS
from generation.verify.prepare.tasks import shown_items
from generation.verify.server import owner
from generation.verify.server.consent import Door
from generation.verify.server.office import Office
from generation.verify.server.security import policy
from generation.verify.server.tokens import BadLink
from generation.verify.votes.errors import Unavailable
from generation.verify.votes.seating import Arrival
from generation.verify.votes.sittings import Closed, Taken
from generation.verify.votes.vote import Vote
from generation.verify.votes.writer import Writer

_HERE = Path(__file__).parent
_NO_BUTTON = dict.fromkeys(("code", "submit", "next"))  # names of message.html, of which a page passes one at most


class Answer(BaseModel):
    """Request body: one answer."""

    model_config = ConfigDict(extra="forbid")
    item: Annotated[str, Field(max_length=40)]
    question: Literal["foreground", "background", "unsafe"]
    answer: Literal["yes", "no", "unsure"]
    revision: Annotated[int, Field(ge=1, le=10_000)]
    seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]


class HandIn(BaseModel):
    """Request body: submission of a task."""

    model_config = ConfigDict(extra="forbid")
    comment: Annotated[str, Field(max_length=1000, pattern=r"^[^\x00]*$")] = ""  # PostgreSQL stores no NUL


def create(office: Office) -> FastAPI:
    """Return the app."""
    votes, arrivals = Writer("votes", office.desk.vote), Writer("arrivals", office.desk.seat_all)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        votes.close()
        arrivals.close()

    app = FastAPI(lifespan=life, docs_url=None, redoc_url=None, openapi_url=None)
    app.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")
    templates = Jinja2Templates(env=environment([_HERE / "templates", INSTRUCTIONS], "verify"))
    links, desk, tasks = office.links, office.desk, office.desk.tasks
    door = Door(office, templates)
    app.include_router(door.router)
    app.include_router(owner.routes(office, templates))

    def say(request: Request, title: str, text: str, status: int, **more: Any) -> Response:
        if "application/json" in request.headers.get("content-type", ""):
            return JSONResponse({"error": text}, status)
        shown = {"title": title, "text": text}
        return templates.TemplateResponse(request, "message.html", _NO_BUTTON | shown | more, status)

    @app.exception_handler(VerifyError)
    def refused(request: Request, error: Exception) -> Response:
        status = {BadLink: 403, Closed: 410, Taken: 409}.get(type(error), 400)
        if isinstance(error, Unavailable):  # the page sends again what was answered with 5xx; the cause is the owner's
            warn(str(error))
            return say(request, "Not now", "Votes cannot be saved at the moment: try again in a minute.", 503)
        return say(request, "This does not work", f"{str(error)[:1].upper()}{str(error)[1:]}.", status)

    @app.exception_handler(RequestValidationError)
    def malformed(_: Request, error: RequestValidationError) -> Response:
        # The input is not echoed: JSON may not be able to represent it (NaN, a lone surrogate).
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        text = f"{where}: {first['msg']}".encode("ascii", "replace").decode()
        return JSONResponse({"error": " ".join(text.split())[:300]}, 422)

    def enter(request: Request, visitor: Visitor, until: int) -> Response:
        if (first := door.closed(request, visitor, until)) is not None:
            return first
        client = None if visitor.session is None else office.client(request)
        seat = arrivals.put(Arrival(visitor.worker, visitor.session, client)).result()
        if seat is None:
            return say(request, "All done", "There are no more tasks for you. Thank you!", 200)
        what = {"worker": visitor.worker, "task": seat.task, "session": seat.session, "back": visitor.back}
        token = links.sign("task", until, **what)
        response = RedirectResponse(f"/t/{token}", 303)
        if client:
            office.keep_holder(response, client, until)
        return response

    @app.get("/")
    def root(request: Request) -> Response:
        return say(request, "Hello", "To take part, open the link that you received.", 200)

    @app.get("/p/{token}")
    def colleague(request: Request, token: str) -> Response:
        what = links.read("person", token)
        return enter(request, person(what["name"]), what["until"])

    def arrival(crowd: str, arrive: Callable[[Mapping[str, str]], Visitor]) -> Callable[[Request, str], Response]:
        def stranger(request: Request, token: str) -> Response:
            until = links.read(crowd, token)["until"]
            visitor = arrive(request.query_params)
            if not visitor.preview:
                return enter(request, visitor, until)
            response = templates.TemplateResponse(request, "preview.html", {"title": "Preview"})
            response.headers.update(policy(framed=True))
            return response

        return stranger

    for crowd, each in CROWDS.items():
        if each.visitor:
            app.get(f"/{crowd}/{{token}}")(arrival(crowd, each.visitor))

    @app.get("/t/{token}")
    def task(request: Request, token: str) -> Response:
        what = links.read("task", token)
        seat = desk.sitting(what["task"], what["worker"])
        if seat is None:
            raise Closed("this task is not open")
        framed, back = bool(what["back"]), _way_back(what, office)
        waiting = None if seat.finished else door.closed(request, _visitor(what), what["until"])
        if waiting is not None:
            response = waiting
        elif seat.finished:
            response = say(request, "Submitted", "Thank you! This task is submitted.", 200, **back)
        else:
            mine = desk.items(what["task"])
            items = shown_items(tasks, mine, f"/t/{token}/images")
            given: dict[str, dict[str, Any]] = {}
            for vote in desk.store.last(what["worker"]):
                if vote.item in mine:
                    given.setdefault(vote.item, {})[vote.question] = [vote.answer, vote.revision]
            data = {"items": items, "given": given, "base": f"/t/{token}"}
            response = templates.TemplateResponse(request, "task.html", {"title": "Annotation task", "data": data})
        response.headers.update({**policy(framed), "cache-control": "no-store"})
        return response

    @app.post("/t/{token}/votes")
    async def vote(token: str, answer: Answer) -> Response:
        what = links.read("task", token)
        if answer.item not in desk.items(what["task"]):
            raise BadLink("this link is for another task")
        given = Vote(
            what["worker"], answer.item, answer.question, answer.answer, answer.revision, answer.seconds, at=time.time()
        )
        kept = await asyncio.wrap_future(votes.put(given))
        body = {"answer": kept.answer, "revision": kept.revision}
        return JSONResponse(body, 409 if kept.how == "conflict" else 200)

    @app.post("/t/{token}/finish")
    def finish(token: str, given: HandIn) -> Response:
        what = links.read("task", token)
        missing = desk.finish(what["task"], what["worker"], given.comment)
        return JSONResponse({"missing": missing}, 409 if missing else 200)

    @app.get("/t/{token}/images/{name}")
    def image(token: str, name: str) -> Response:
        if name not in tasks.pictures(desk.items(links.read("task", token)["task"])):
            raise BadLink("this link is for another task")
        return office.picture(name)

    return app


def _visitor(what: dict[str, Any]) -> Visitor:
    """Return the visitor of a task's link."""
    session = None if is_colleague(what["worker"]) else what["session"]
    return Visitor(what["worker"], session, what["back"])


def _way_back(what: dict[str, Any], office: Office) -> dict[str, str]:
    """Return the link after submission: back to the crowd's site, or for a colleague the next task."""
    crowd, _, name = what["worker"].partition(":")
    if crowd == PERSON:
        return {"next": f"/p/{office.links.sign('person', what['until'], name=name)}"}
    way_back = CROWDS[crowd].way_back
    return way_back(what["session"], what["back"], office.code) if way_back else {}
