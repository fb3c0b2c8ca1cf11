"""Where people come from: colleagues with a link of their own, Prolific, Mechanical Turk; and how each goes back."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from d3s_dataset.errors import VerifyError

MTURK = ("https://www.mturk.com", "https://workersandbox.mturk.com")  # where a finished task may be sent back to
PERSON, PROLIFIC, TURK = "person", "prolific", "mturk"
_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_PREVIEW = "ASSIGNMENT_ID_NOT_AVAILABLE"
_PROLIFIC_DONE = "https://app.prolific.com/submissions/complete"


@dataclass(frozen=True)
class Visitor:
    """Who asks for a task.

    Attributes:
        worker: unique over all crowds, such as `prolific:5f...`.
        session: the crowd's name of this sitting; None for a colleague.
        back: where a finished task is sent, for Mechanical Turk.
        preview: somebody who only looks at what the task is like.
    """

    worker: str
    session: str | None = None
    back: str = ""
    preview: bool = False


def person(name: str) -> Visitor:
    """Return a colleague; raises VerifyError for a name that is none."""
    return Visitor(f"{PERSON}:{_checked('name', name)}")


def from_prolific(query: Mapping[str, str]) -> Visitor:
    """Return a participant of Prolific from the parameters that it adds to a study's address; raises VerifyError."""
    worker, session = (_checked(name, query.get(name, "")) for name in ("PROLIFIC_PID", "SESSION_ID"))
    return Visitor(f"{PROLIFIC}:{worker}", f"{PROLIFIC}:{session}")


def from_mturk(query: Mapping[str, str]) -> Visitor:
    """Return a worker of Mechanical Turk from the parameters of an ExternalQuestion; raises VerifyError."""
    assignment = _checked("assignmentId", query.get("assignmentId", ""))
    if assignment == _PREVIEW:
        return Visitor("", preview=True)
    worker, back = _checked("workerId", query.get("workerId", "")), query.get("turkSubmitTo", "").rstrip("/")
    if back not in MTURK:
        raise VerifyError(f"turkSubmitTo: expected {' or '.join(MTURK)}")
    return Visitor(f"{TURK}:{worker}", f"{TURK}:{assignment}", back)


def way_back(worker: str, session: str, back: str, code: str | None) -> dict[str, str]:
    """Return what a page needs to send somebody back who has handed a task in.

    Args:
        worker: tells the crowd.
        session: of the sitting.
        back: where Mechanical Turk wants the answer.
        code: Prolific's completion code.
    """
    crowd = worker.partition(":")[0]
    if crowd == TURK:
        return {"submit": f"{back}/mturk/externalSubmit", "assignment": session.partition(":")[2]}
    if crowd == PROLIFIC and code:
        return {"code": code, "return": f"{_PROLIFIC_DONE}?{urlencode({'cc': code})}"}
    return {}


def _checked(what: str, value: str) -> str:
    if not _NAME.fullmatch(value):
        raise VerifyError(f"{what}: expected 1 to 64 letters, digits or any of _ . @ -")
    return value
