"""Colleagues: one personal link per name, by which the study's own pages show them."""

from generation.verify.crowds.base import Crowd, Visitor, checked
from generation.verify.votes.secret import anonymous

PERSON = "person"


def person(name: str) -> Visitor:
    """Return a colleague as a visitor; raises VerifyError for an invalid name."""
    return Visitor(f"{PERSON}:{checked('name', name)}")


def shown_name(key: bytes, worker: str) -> str:
    """Return what the monitor and the report call an annotator: a colleague's name, a crowd worker's pseudonym.

    Args:
        key: the secret of the tasks folder.
        worker: id such as `person:anna` or `prolific:5f...`.
    """
    crowd, _, name = worker.partition(":")
    return name if crowd == PERSON and name else anonymous(key, worker)


CROWD = Crowd()  # the link holds the name, and the page continues with the next task
