"""The owner's pages behind the signed review link: monitor, one annotator, exclusion with a reason and its undo.

Requests that change something are POSTs of JSON: `Guard` refuses those of other origins, and no form can send one.
"""

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from fastapi.templating import Jinja2Templates
from pydantic import BaseModel, ConfigDict, Field

from d3s_dataset.errors import VerifyError
from generation.verify.server.annotator import annotator
from generation.verify.server.monitor import figures
from generation.verify.server.office import Office
from generation.verify.server.tokens import BadLink
from generation.verify.votes import annotators
from generation.verify.votes.secret import anonymous

_FRESH = {"cache-control": "no-store"}


class Reason(BaseModel):
    """Request body: why an annotator is excluded, or counted again."""

    model_config = ConfigDict(extra="forbid")
    reason: Annotated[str, Field(max_length=500)] = ""


def routes(office: Office, templates: Jinja2Templates) -> APIRouter:
    """Return the owner's routes."""
    router, links, desk = APIRouter(prefix="/review/{token}"), office.links, office.desk
    all_pictures = frozenset(desk.tasks.all_pictures())

    def worker_of(token: str, pseudonym: str) -> str:
        links.read("review", token)
        for worker in annotators.everybody(desk.store):
            if anonymous(office.key, worker) == pseudonym:
                return worker
        raise BadLink("no annotator has this pseudonym")

    @router.get("")
    def review(request: Request, token: str) -> Response:
        links.read("review", token)
        return templates.TemplateResponse(request, "review.html", {"title": "Progress"})

    @router.get("/figures")
    def numbers(token: str) -> Response:
        links.read("review", token)
        return JSONResponse(figures(desk, office.key), headers=_FRESH)

    @router.get("/images/{name}")
    def picture(token: str, name: str) -> Response:
        links.read("review", token)
        if name not in all_pictures:
            raise BadLink("no picture of these tasks has this name")
        return office.picture(name)

    @router.get("/people/{pseudonym}")
    def person(request: Request, token: str, pseudonym: str) -> Response:
        found = annotator(desk, office.key, worker_of(token, pseudonym))
        shown = {"title": found["person"], "base": f"/review/{token}", **found}
        return templates.TemplateResponse(request, "annotator.html", shown, headers=_FRESH)

    @router.post("/people/{pseudonym}/exclude")
    def exclude(token: str, pseudonym: str, given: Reason) -> Response:
        worker, reason = worker_of(token, pseudonym), " ".join(given.reason.split())
        if not reason:
            raise VerifyError("expected a reason")
        annotators.exclude(desk.store, worker, reason)
        return JSONResponse({})

    @router.post("/people/{pseudonym}/undo")
    def undo(token: str, pseudonym: str, given: Reason) -> Response:
        annotators.exclude(desk.store, worker_of(token, pseudonym), " ".join(given.reason.split()), undo=True)
        return JSONResponse({})

    return router
