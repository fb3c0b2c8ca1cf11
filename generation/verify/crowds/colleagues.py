"""Colleagues: one personal link per name, by which the study's own pages show them."""

from collections.abc import Iterable, Mapping

from d3s_dataset.errors import VerifyError
from generation.verify.crowds.base import Crowd, Visitor, checked
from generation.verify.votes.secret import anonymous

PERSON = "person"
_LONGEST = 80  # characters of a display name


def is_colleague(worker: str) -> bool:
    """Return whether an id is that of a colleague."""
    return worker.startswith(f"{PERSON}:")


def person(name: str) -> Visitor:
    """Return a colleague as a visitor; raises VerifyError for an invalid name."""
    return Visitor(f"{PERSON}:{checked('name', name)}")


def named(text: str) -> tuple[str, str]:
    """Return the id and the display name of `anna` or `anna=Anna Müller`; raises VerifyError."""
    name, equals, shown = text.partition("=")
    person(name)
    if equals and not (0 < len(shown.strip()) <= _LONGEST and shown.isprintable()):
        raise VerifyError(f"--people {name}: expected a display name of 1 to {_LONGEST} characters after =")
    return name, shown.strip() or name


def shown_name(key: bytes, worker: str, names: Mapping[str, str] | None = None) -> str:
    """Return what the monitor and the report call an annotator: a colleague's name, a crowd worker's pseudonym.

    Args:
        key: the secret of the tasks folder.
        worker: id such as `person:anna` or `prolific:5f...`.
        names: display names: worker -> name.
    """
    crowd, _, name = worker.partition(":")
    return (names or {}).get(worker, name) if crowd == PERSON and name else anonymous(key, worker)


def worker_of(key: bytes, workers: Iterable[str], name: str, names: Mapping[str, str]) -> str:
    """Return the annotator that a person types: an id, a pseudonym of the report, or a colleague's name.

    Args:
        key: the secret of the tasks folder.
        workers: ids of all annotators.
        name: what was typed.
        names: display names: worker -> name.

    Raises:
        VerifyError: nobody, or several.
    """
    everybody = sorted(set(workers))
    if name in everybody:
        return name
    called = [each for each in everybody if name in (anonymous(key, each), shown_name(key, each, names))]
    called = called or [each for each in everybody if each == f"{PERSON}:{name}"]
    if len(called) != 1:
        found = f"{len(called)} annotators are" if called else "no annotator is"
        raise VerifyError(f"{found} called {name}: expected an id, or a name as the monitor and the report show it")
    return called[0]


CROWD = Crowd()  # the link holds the name, and the page continues with the next task
