"""Colleagues: one personal link per name."""

from generation.verify.crowds.base import Crowd, Visitor, checked

PERSON = "person"


def person(name: str) -> Visitor:
    """Return a colleague as a visitor; raises VerifyError for an invalid name."""
    return Visitor(f"{PERSON}:{checked('name', name)}")


CROWD = Crowd()  # the link holds the name, and the page continues with the next task
