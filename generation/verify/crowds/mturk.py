"""Mechanical Turk: the annotation page as an ExternalQuestion; or export a batch CSV and an HTML layout (crowd-form)
and import a results CSV.

A row of the batch is a task; slot k of the layout shows its k-th item. Results come with the batch's columns as
`Input.*` and the form's as `Answer.*`: `Answer.q1_foreground` = yes, or `Answer.q1_foreground.yes` = true, or all of
them as JSON in `Answer.taskAnswers`, depending on how the batch was published; each is read.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from d3s_dataset.errors import VerifyError
from d3s_dataset.utils.nested import parse_json
from d3s_dataset.utils.pages import environment
from d3s_dataset.utils.tables import csv_bytes
from generation.verify.crowds.answers import Ballot, duration, named, plain_text
from generation.verify.crowds.base import Crowd, Visitor, checked
from generation.verify.crowds.csv_votes import has_columns, read_rows
from generation.verify.prepare.questions import ANSWERS, INSTRUCTIONS, NAMES, QUESTIONS
from generation.verify.prepare.tasks import Tasks, shown
from generation.verify.votes.vote import Vote

ORIGINS = ("https://www.mturk.com", "https://workersandbox.mturk.com")  # allowed submission origins
TURK = "mturk"
NEEDED = ("AssignmentId", "WorkerId", "AssignmentStatus", "Input.release", "Input.task")
_EXAMPLES = 4
_PREVIEW = "ASSIGNMENT_ID_NOT_AVAILABLE"
_FIELDS = ("item", "image", "guide", "object", "gloss", "place")


def visitor(query: Mapping[str, str]) -> Visitor:
    """Return a worker from the parameters of an ExternalQuestion; raises VerifyError."""
    assignment = checked("assignmentId", query.get("assignmentId", ""))
    if assignment == _PREVIEW:
        return Visitor("", preview=True)
    worker, back = checked("workerId", query.get("workerId", "")), query.get("turkSubmitTo", "").rstrip("/")
    if back not in ORIGINS:
        raise VerifyError(f"turkSubmitTo: expected {' or '.join(ORIGINS)}")
    return Visitor(f"{TURK}:{worker}", f"{TURK}:{assignment}", back)


def way_back(session: str, back: str, code: str | None) -> dict[str, str]:
    """Return the form action and assignment id for the page's submit button."""
    return {"submit": f"{back}/mturk/externalSubmit", "assignment": session.partition(":")[2]}


def slots(tasks: Tasks) -> int:
    """Return the number of items of the longest task."""
    return max(len(task.items) for task in tasks.tasks)


def batch(tasks: Tasks, images: str) -> bytes:
    """Return the batch CSV; `images` is the base URL of the uploaded folder `images/`."""
    examples = [f"example{number}" for number in range(1, _EXAMPLES + 1)]
    numbered = [f"{name}_{slot}" for slot in range(1, slots(tasks) + 1) for name in (*_FIELDS, *examples)]
    columns = ["release", "task", *numbered]
    rows = [columns]
    for task in tasks.tasks:
        row = {"release": tasks.release, "task": task.id}
        for slot, name in enumerate(task.items, 1):
            seen = shown(tasks, tasks.by_id[name], images)
            row |= {f"{field}_{slot}": seen["id" if field == "item" else field] or "" for field in _FIELDS}
            row |= {f"{field}_{slot}": url for field, url in zip(examples, seen["examples"], strict=False)}
        rows.append([row.get(name, "") for name in columns])
    return csv_bytes(rows)


def layout(tasks: Tasks) -> bytes:
    """Return the HTML layout for the batch's project."""
    template = environment([Path(__file__).parent, INSTRUCTIONS], "verify").get_template("mturk.html")
    return template.render(slots=range(1, slots(tasks) + 1), questions=QUESTIONS, answers=ANSWERS).encode()


def ballots(path: Path) -> tuple[list[Ballot], list[str]]:
    """Return the ballots of a results CSV, and one line per kind of skipped assignment.

    Raises:
        VerifyError: another file, or a truncated one.
    """
    found, rejected = [], 0
    for number, row in enumerate(read_rows(path, NEEDED), 2):
        if row["AssignmentStatus"] == "Rejected":
            rejected += 1
            continue
        where = f"line {number}"
        items = {name[len("Input.item_") :]: value for name, value in row.items() if name.startswith("Input.item_")}
        items = {slot: item for slot, item in items.items() if item}
        given = dict(_answers(path, where, row))
        answers = []
        for slot, item in items.items():
            for question in NAMES:
                name = f"q{slot}_{question}"
                if name in given:
                    answers.append((item, question, given[name]))
        spent = row.get("WorkTimeInSeconds", "")
        seconds = total / len(items) if (total := duration(spent)) is not None and items else None
        worker, source = named("mturk", row["WorkerId"]), f"mturk:{row['AssignmentId']}"
        found.append(Ballot(worker, source, row["Input.release"], answers, seconds, where))
    return found, [f"{rejected} rejected assignments were skipped"] if rejected else []


def _answers(path: Path, where: str, row: dict[str, str]) -> Iterator[tuple[str, str]]:
    for column, value in row.items():
        if not column.startswith("Answer.") or value == "":
            continue
        name = column.removeprefix("Answer.")
        if name == "taskAnswers":
            yield from _json_answers(path, where, value)
        elif "." in name:
            if value.lower() == "true":
                yield name.partition(".")[0], name.partition(".")[2]
        else:
            yield name, value


def _json_answers(path: Path, where: str, text: str) -> Iterator[tuple[str, str]]:
    try:
        forms: Any = parse_json(text)
        for name, value in (pair for form in forms for pair in form.items()):
            chosen = [option for option, on in value.items() if on] if isinstance(value, dict) else [value]
            yield from ((name, plain_text(option)) for option in chosen)
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise VerifyError(f"{path}, {where}: Answer.taskAnswers is not the JSON of a form (truncated?)") from None


def _export(tasks: Tasks, votes: list[Vote], images: str) -> dict[str, bytes]:
    return {"mturk.csv": batch(tasks, images), "mturk.html": layout(tasks)}


CROWD = Crowd(
    visitor=visitor,
    way_back=way_back,
    export=_export,
    comes_back=f"Mechanical Turk's results ({', '.join(NEEDED)})",
    recognises=lambda path: has_columns(path, NEEDED),
    ballots=ballots,
)
