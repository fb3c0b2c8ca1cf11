"""Interface and table of crowds: visitors of the page, export and import files, and the link after submission."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from d3s_dataset.errors import VerifyError
from d3s_dataset.utils.plugins import PluginTable
from generation.verify.crowds.answers import Ballot
from generation.verify.prepare.tasks import Tasks
from generation.verify.votes.vote import Vote

_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")


@dataclass(frozen=True)
class Visitor:
    """A visitor of the annotation page.

    Attributes:
        worker: id unique over all crowds, such as `prolific:5f...`.
        session: the crowd's id of this assignment; None for a colleague.
        back: URL that a finished task is submitted to, for Mechanical Turk.
        preview: whether the visitor only previews the task.
    """

    worker: str
    session: str | None = None
    back: str = ""
    preview: bool = False


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """One crowd: an entry of the table `CROWDS`. Unused fields are None.

    Attributes:
        visitor: (query parameters that the crowd adds to the page's URL) -> visitor; raises VerifyError.
        way_back: (session, back, completion code or None) -> template variables of the page after submission:
            `submit` and `assignment`, or `code` and `return`, or nothing.
        export: (tasks, votes, base URL of the pictures) -> file name -> content.
        pictures: whether the exported files show pictures, so that `--images-url` is required.
        private: whether they contain workers' own ids.
        comes_back: name of its answer files, for messages.
        recognises: path -> whether a file is one of them.
        ballots: path -> (ballots, one line per kind of skipped answer); raises VerifyError.
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
    """Return an untrusted name of at most 64 letters, digits or any of _ . @ -; raises VerifyError."""
    if not _NAME.fullmatch(value):
        raise VerifyError(f"{what}: expected 1 to 64 letters, digits or any of _ . @ -")
    return value


CROWDS: PluginTable[Crowd] = PluginTable(
    "d3s.crowds",
    "crowd",
    {
        "person": "generation.verify.crowds.colleagues:CROWD",
        "prolific": "generation.verify.crowds.prolific:CROWD",
        "mturk": "generation.verify.crowds.mturk:CROWD",
        "label-studio": "generation.verify.crowds.label_studio:CROWD",
        "ground-truth": "generation.verify.crowds.ground_truth:CROWD",
        "csv": "generation.verify.crowds.csv_votes:CROWD",
    },
    Crowd,
)


def exporting() -> list[str]:
    """Return the names of the crowds that tasks or votes can be exported to."""
    return [name for name, each in CROWDS.items() if each.export]
