"""Consent before the first task: the owner's text and an age gate, an agreement on disk, and what is stored.

Nothing of a visitor is stored before the agreement. A changed text asks again, at the next page that is opened.
"""

from pathlib import Path
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from fastapi.templating import Jinja2Templates
from pydantic import BaseModel, ConfigDict

from d3s_dataset.errors import VerifyError
from generation.verify.crowds.base import Visitor
from generation.verify.crowds.colleagues import is_colleague
from generation.verify.server.office import Office
from generation.verify.server.security import policy
from generation.verify.votes import annotators

_MOST = 65_536  # bytes of a consent text
_SUFFIXES = (".txt", ".md")


class Agreement(BaseModel):
    """Request body: the agreement."""

    model_config = ConfigDict(extra="forbid")
    agreed: Literal[True]
    of_age: bool = False


def read_text(path: Path) -> str:
    """Return a consent text, which is shown as plain text.

    Raises:
        VerifyError: another kind of file, unreadable, empty or too long.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise VerifyError(f"--consent: expected a file ending in {' or '.join(_SUFFIXES)}, got {path}")
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        raise VerifyError(f"--consent: {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise VerifyError(f"--consent: {path} is not UTF-8: expected plain text") from None
    if not text or len(text.encode()) > _MOST:
        raise VerifyError(f"--consent: expected a text of 1 to {_MOST:,} bytes, got {len(text.encode()):,} in {path}")
    return text


class Door:
    """The consent page, in front of every page that shows a task.

    Args:
        office: state of the app.
        templates: of the pages.
    """

    def __init__(self, office: Office, templates: Jinja2Templates) -> None:
        self.office, self.templates, self.router = office, templates, APIRouter()
        self.router.get("/privacy")(self.privacy)
        self.router.post("/consent/{token}")(self.agree)

    def age(self, worker: str) -> int:
        """Return the age that a worker confirms: 0 for colleagues, and where none is asked."""
        return 0 if is_colleague(worker) else self.office.gate.minimum_age or 0

    def closed(self, request: Request, visitor: Visitor, until: int) -> Response | None:
        """Return the consent page, or None for those who have agreed and where there is nothing to agree to."""
        gate, age = self.office.gate, self.age(visitor.worker)
        if not gate.text and not age:
            return None
        if annotators.agreed(self.office.desk.store, visitor.worker, gate.text, age):
            return None
        stranger = "yes" if visitor.session is not None else ""
        token = self.office.links.sign("consent", until, worker=visitor.worker, stranger=stranger)
        shown = {"title": "Before you begin", "text": gate.text, "age": age, "post": f"/consent/{token}"}
        response = self.templates.TemplateResponse(request, "consent.html", shown)
        response.headers.update({**policy(bool(visitor.back)), "cache-control": "no-store"})
        return response

    def agree(self, request: Request, token: str, given: Agreement) -> Response:
        """Record an agreement; a crowd worker's id belongs to the browser that agrees first."""
        what = self.office.links.read("consent", token)
        age = self.age(what["worker"])
        if age and not given.of_age:
            raise VerifyError(f"expected the confirmation of an age of at least {age}")
        response = JSONResponse({})
        if what["stranger"]:
            client = self.office.client(request)
            self.office.desk.claim(what["worker"], client)
            self.office.keep_holder(response, client, what["until"])
        annotators.agree(self.office.desk.store, what["worker"], self.office.gate.text, age)
        return response

    def privacy(self, request: Request) -> Response:
        """Return the page that says what is stored."""
        shown = {"title": "What is stored", "gate": self.office.gate}
        return self.templates.TemplateResponse(request, "privacy.html", shown)
