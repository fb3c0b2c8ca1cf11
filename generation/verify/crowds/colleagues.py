"""Colleagues: each has a link of their own, which holds their name."""

from generation.verify.crowds.base import Crowd, Visitor, checked

PERSON = "person"


def person(name: str) -> Visitor:
    """Return a colleague; raises VerifyError for a name that is none."""
    return Visitor(f"{PERSON}:{checked('name', name)}")


CROWD = Crowd()  # the link itself says who comes, and a colleague goes on with the next task
