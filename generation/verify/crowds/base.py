"""What a crowd is: who its people are on our page, which files it takes and gives, and how people go back to it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from d3s_dataset.errors import VerifyError
from generation.verify.crowds.answers import Ballot
from generation.verify.prepare.tasks import Tasks
from generation.verify.votes.store import Vote

_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")


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


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """One crowd: an entry of the table `CROWDS`. What it has no use for is None.

    Attributes:
        visitor: (parameters that the crowd adds to the page's address) to who comes; raises VerifyError.
        way_back: (session, back, completion code or None) to what a page needs to send somebody back who has handed a
            task in: `submit` and `assignment`, or `code` and `return`, or nothing.
        export: (tasks, votes, address of the pictures) to the contents of files, by name.
        pictures: whether the files that it exports show pictures, so that `--images-url` is needed.
        private: whether they hold workers' own ids.
        comes_back: what its files with answers are called, for messages.
        recognises: whether a file is one of them; opens it at most.
        ballots: such a file to its ballots, and to what was left out of it, a line each; raises VerifyError.
    """

    visitor: Callable[[Mapping[str, str]], Visitor] | None = None
    way_back: Callable[[str, str, str | None], dict[str, str]] | None = None
    export: Callable[[Tasks, list[Vote], str], dict[str, bytes]] | None = None
    pictures: bool = True
    private: bool = False
    comes_back: str = ""
    recognises: Callable[[Path], bool] | None = None
    ballots: Callable[[Path], tuple[list[Ballot], list[str]]] | None = None


def checked(what: str, value: str) -> str:
    """Return a name that a stranger gave, of at most 64 letters, digits or any of _ . @ -; raises VerifyError."""
    if not _NAME.fullmatch(value):
        raise VerifyError(f"{what}: expected 1 to 64 letters, digits or any of _ . @ -")
    return value
