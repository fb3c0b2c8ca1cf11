"""Prolific: participants arrive with query parameters of the study URL, and return with a completion code."""

from collections.abc import Mapping
from urllib.parse import urlencode

from generation.verify.crowds.base import Crowd, Visitor, checked

PROLIFIC = "prolific"
_DONE = "https://app.prolific.com/submissions/complete"


def visitor(query: Mapping[str, str]) -> Visitor:
    """Return a participant from the query parameters of the study URL; raises VerifyError."""
    worker, session = (checked(name, query.get(name, "")) for name in ("PROLIFIC_PID", "SESSION_ID"))
    return Visitor(f"{PROLIFIC}:{worker}", f"{PROLIFIC}:{session}")


def way_back(session: str, back: str, code: str | None) -> dict[str, str]:
    """Return the completion code and the URL that accepts it."""
    return {"code": code, "return": f"{_DONE}?{urlencode({'cc': code})}"} if code else {}


CROWD = Crowd(visitor=visitor, way_back=way_back)
