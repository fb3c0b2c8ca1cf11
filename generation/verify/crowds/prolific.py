"""Prolific: participants come to our page, as an external study, or answer in Prolific's own AI Task Builder.

The page gets them by query parameters of the study URL and sends them back with a completion code. For the AI Task
Builder `prolific.csv` is the dataset, a row per image, and `prolific_questions.json` the three multiple-choice
questions. Its results were not seen on a real account: this relies on what its description promises, that they are a
CSV with the participant's id and the dataset's columns, and accepts both ways of writing answers:

    wide    a column per question, named by its text or its name (`foreground`, ...)
    long    a row per answer, with the question's text or name in `instruction` and the answer in `response` or `answer`

Columns are found whatever their case and the blanks, dashes or underscores between their words; further ones are
ignored. Columns that begin with META_ are not shown to participants, as its description says.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

from d3s_dataset.errors import VerifyError
from d3s_dataset.utils.tables import csv_bytes
from generation.verify.crowds.answers import Ballot, named
from generation.verify.crowds.base import Crowd, Visitor, checked
from generation.verify.crowds.csv_votes import header, read_rows
from generation.verify.prepare.questions import ANSWERS, QUESTIONS
from generation.verify.prepare.tasks import Tasks, shown
from generation.verify.votes.vote import Vote

PROLIFIC = "prolific"
NEEDED = ("participant id", "META_release", "META_item")
_DONE = "https://app.prolific.com/submissions/complete"
_SHOWN = ("image", "guide", "object", "gloss", "place")
_UNPAID = ("returned", "rejected", "timed out")  # statuses of submissions that do not count


def visitor(query: Mapping[str, str]) -> Visitor:
    """Return a participant from the query parameters of the study URL; raises VerifyError."""
    worker, session = (checked(name, query.get(name, "")) for name in ("PROLIFIC_PID", "SESSION_ID"))
    return Visitor(f"{PROLIFIC}:{worker}", f"{PROLIFIC}:{session}")


def way_back(session: str, back: str, code: str | None) -> dict[str, str]:
    """Return the completion code and the URL that accepts it."""
    return {"code": code, "return": f"{_DONE}?{urlencode({'cc': code})}"} if code else {}


def dataset(tasks: Tasks, images: str) -> bytes:
    """Return the dataset for the AI Task Builder; `images` is the base URL of the uploaded folder `images/`."""
    rows: list[tuple[str, ...]] = [("META_release", "META_task", "META_item", *_SHOWN)]
    for task in tasks.tasks:
        for name in task.items:
            seen = shown(tasks, tasks.by_id[name], images)
            rows.append((tasks.release, task.id, name, *(seen[each] or "" for each in _SHOWN)))
    return csv_bytes(rows)


def questions() -> bytes:
    """Return the questions as JSON: text, and options with the label that is shown and the value."""
    options = [{"label": label, "value": value} for value, label in ANSWERS.items()]
    found = [{"type": "multiple_choice", "description": each, "answer_limit": 1, "options": options} for each in _TEXTS]
    return (json.dumps(found, indent=1) + "\n").encode()


def ballots(path: Path) -> tuple[list[Ballot], list[str]]:
    """Return the ballots of the AI Task Builder's results, and one line per kind of skipped submission.

    Raises:
        VerifyError: another file, a truncated one, or no column of answers.
    """
    found, unpaid = [], 0
    if not _asked(names := [_plain(each) for each in header(path)]):
        raise VerifyError(f"{path}: expected a column for each question, or instruction and response: got none")
    for number, cells in enumerate(read_rows(path, ()), 2):
        row = dict(zip(names, cells.values(), strict=True))
        if _plain(row.get("status", "")) in _UNPAID:
            unpaid += 1
            continue
        worker, item = named(PROLIFIC, row[_plain(NEEDED[0])]), row[_plain(NEEDED[2])]
        source = f"{PROLIFIC}-task:{row.get('submission id') or worker}:{item}"
        answers = [(item, question, _answer(given)) for question, given in _given(row) if given]
        found.append(Ballot(worker, source, row[_plain(NEEDED[1])], answers, None, f"line {number}"))
    return found, [f"{unpaid} returned, rejected or timed-out submissions were skipped"] if unpaid else []


def _plain(text: str) -> str:
    """Return text in one spelling: lower case, a blank between words."""
    return " ".join(re.split(r"[\s_-]+", text.casefold().replace("\u2019", "'").strip()))


_TEXTS = tuple(each.ask("the one under `object`", "the one under `place`") for each in QUESTIONS)
_NAMED = {_plain(name): each.name for each, text in zip(QUESTIONS, _TEXTS, strict=True) for name in (text, each.name)}
_VALUES = {_plain(text): value for value, label in ANSWERS.items() for text in (value, label)}


def _asked(names: list[str]) -> bool:
    return ("instruction" in names and bool({"response", "answer"} & set(names))) or bool(_NAMED.keys() & set(names))


def _given(row: dict[str, str]) -> list[tuple[str, str]]:
    if "instruction" in row:
        asked = row["instruction"]
        return [(_NAMED.get(_plain(asked), asked), row.get("response") or row.get("answer", ""))]
    return [(_NAMED[name], given) for name, given in row.items() if name in _NAMED]


def _answer(given: str) -> str:
    return _VALUES.get(_plain(given), given)


def _export(tasks: Tasks, votes: list[Vote], images: str) -> dict[str, bytes]:
    return {"prolific.csv": dataset(tasks, images), "prolific_questions.json": questions()}


CROWD = Crowd(
    visitor=visitor,
    way_back=way_back,
    export=_export,
    comes_back=f"the results of Prolific's AI Task Builder ({', '.join(NEEDED)})",
    recognises=lambda path: {_plain(each) for each in NEEDED} <= {_plain(each) for each in header(path)},
    ballots=ballots,
)
