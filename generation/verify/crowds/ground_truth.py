"""SageMaker Ground Truth: export an input manifest and a custom template, import the output manifest.

One item is one data object, a line of JSON. An output manifest repeats the input's line and adds the job's label: under
`annotationsFromAllWorkers` each worker's id and form, the form as JSON in `annotationData.content`, where a question's
answer is text, `{"label": text}`, or `{option: true or false}`. A consolidated label of a built-in task has no worker
ids and is rejected.
"""

import json
from pathlib import Path
from typing import Any

from d3s_dataset.utils.nested import parse_json
from generation.verify.crowds.answers import Ballot, named, plain_text, reading
from generation.verify.crowds.base import Crowd
from generation.verify.crowds.csv_votes import check_regular
from generation.verify.prepare.questions import ANSWERS, NAMES, QUESTIONS
from generation.verify.prepare.tasks import Tasks, shown
from generation.verify.votes.vote import Vote

SUFFIXES = (".manifest", ".jsonl")
_METADATA = "-metadata"
_WORKERS = "annotationsFromAllWorkers"
_EXPECTED = f"the output manifest of a custom job, with {_WORKERS} (truncated? consolidated labels have no worker ids)"


def manifest(tasks: Tasks, images: str) -> bytes:
    """Return the input manifest; `images` is the URL (`s3://...`) of the uploaded folder `images/`."""
    lines = []
    for task in tasks.tasks:
        for name in task.items:
            seen = shown(tasks, tasks.by_id[name], images)
            about = {"object": seen["object"], "gloss": seen["gloss"], "place": seen["place"], "guide": seen["guide"]}
            about |= {question["name"]: question["text"] for question in seen["questions"]}
            row = {"source-ref": seen["image"], "release": tasks.release, "task": task.id, "item": name, **about}
            lines.append(json.dumps(row, ensure_ascii=False))
    return ("\n".join(lines) + "\n").encode()


def template() -> bytes:
    """Return the worker task template of a custom job, in Ground Truth's Liquid."""
    lines = [
        '<script src="https://assets.crowd.aws/crowd-html-elements.js"></script>',
        "<crowd-form>",
        "  <h2>{{ task.input.object }}, {{ task.input.place }}?</h2>",
        "  <p>{{ task.input.gloss }}</p>",
        '  <img src="{{ task.input.source-ref | grant_read_access }}" alt="" style="max-width: 100%">',
    ]
    for question in QUESTIONS:
        lines.append(f"  <fieldset><legend>{{{{ task.input.{question.name} }}}}</legend>")
        lines += [
            f'    <label><input type="radio" name="{question.name}" value="{value}" required> {text}</label>'
            for value, text in ANSWERS.items()
        ]
        lines.append("  </fieldset>")
    return ("\n".join([*lines, "</crowd-form>"]) + "\n").encode()


def ballots(path: Path) -> tuple[list[Ballot], list[str]]:
    """Return the ballots of an output manifest, and one line per kind of skipped object.

    Raises:
        VerifyError: another file, no worker ids, or a truncated file.
    """
    check_regular(path)
    found, failed = [], 0
    with reading(path, _EXPECTED):
        for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
            if not line.strip():
                continue
            row = parse_json(line)
            job = next((name.removesuffix(_METADATA) for name in row if name.endswith(_METADATA)), None)
            if job is None or "failure-reason" in row[job + _METADATA]:
                failed += 1
                continue
            found += [_ballot(row, job, each, f"line {number}") for each in row[job][_WORKERS]]
    return found, [f"{failed} objects without a label were skipped"] if failed else []


def _ballot(row: dict[str, Any], job: str, by: dict[str, Any], where: str) -> Ballot:
    form = parse_json(by["annotationData"]["content"])
    item, worker = plain_text(row["item"]), named("ground-truth", by["workerId"])
    answers = [(item, question, _answer(form[question])) for question in NAMES if question in form]
    return Ballot(worker, f"ground-truth:{job}:{item}:{worker}", plain_text(row["release"]), answers, None, where)


def _answer(given: Any) -> str:
    if isinstance(given, dict):
        given = given["label"] if "label" in given else next(option for option, on in given.items() if on is True)
    return plain_text(given)


def _export(tasks: Tasks, votes: list[Vote], images: str) -> dict[str, bytes]:
    return {"ground_truth.manifest": manifest(tasks, images), "ground_truth.liquid.html": template()}


CROWD = Crowd(
    export=_export,
    comes_back=f"SageMaker Ground Truth's output manifest ({' or '.join(SUFFIXES)})",
    recognises=lambda path: path.suffix.lower() in SUFFIXES,
    ballots=ballots,
)
