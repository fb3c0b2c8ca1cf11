"""Label Studio: export tasks and a labelling config; import its JSON, JSON-MIN or CSV export.

One item is one Label Studio task; the number of annotators per task is set in its project (overlap). JSON has a task's
annotations, cancelled ones included, and predictions, which are no votes. JSON-MIN and CSV have a row per annotation
that was not cancelled: the task's data, `annotator`, `annotation_id`, `lead_time`, and a choice under its question's
name. An annotator may be a number, an e-mail address or an object with an `id`; JSON-MIN may name by e-mail address who
has a number in JSON, so import one of the two.
"""

import json
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from d3s_dataset.utils.nested import parse_json
from generation.verify.crowds.answers import Ballot, duration, named, plain_text, reading
from generation.verify.crowds.base import Crowd
from generation.verify.crowds.csv_votes import check_regular, has_columns, read_rows
from generation.verify.prepare.questions import ANSWERS, NAMES, QUESTIONS
from generation.verify.prepare.tasks import Tasks, shown
from generation.verify.votes.vote import Vote

NEEDED = ("release", "item", "annotator", "annotation_id")  # columns of its CSV


def tasks_json(tasks: Tasks, images: str) -> bytes:
    """Return the tasks to import; `images` is the base URL of the uploaded folder `images/`."""
    found = []
    for task in tasks.tasks:
        for name in task.items:
            seen = shown(tasks, tasks.by_id[name], images)
            # Not under the question's name, where JSON-MIN and CSV put the answer.
            questions = {f"{each['name']}_text": each["text"] for each in seen["questions"]}
            about = {"title": f"{seen['object']}, {seen['place']}?", "gloss": f"{seen['object']}: {seen['gloss']}"}
            # Label Studio fails on a missing picture, so the image replaces a missing guide.
            pictures = {"image": seen["image"], "guide": seen["guide"] or seen["image"], "examples": seen["examples"]}
            ours = {"release": tasks.release, "task": task.id, "item": name}
            found.append({"data": {**ours, **about, **pictures, **questions}})
    return (json.dumps(found, indent=1) + "\n").encode()


def config() -> bytes:
    """Return the labelling config."""
    lines = [
        "<View>",
        '  <Header value="$title"/>',
        '  <Text name="about" value="$gloss"/>',
        '  <View style="display: flex; gap: 1em">',
        '    <Image name="image" value="$image"/>',
        '    <Image name="guide" value="$guide"/>',
        '    <Image name="examples" valueList="$examples"/>',
        "  </View>",
    ]
    for question in QUESTIONS:
        lines += [
            f'  <Header value="${question.name}_text" size="4"/>',
            f'  <Choices name="{question.name}" toName="image" choice="single" required="true" showInline="true">',
            *(f"    <Choice value={quoteattr(value)} alias={quoteattr(value)}/>" for value in ANSWERS),
            "  </Choices>",
        ]
    return ("\n".join([*lines, "</View>"]) + "\n").encode()


def ballots(path: Path) -> tuple[list[Ballot], list[str]]:
    """Return the ballots of an export, and one line per kind of skipped annotation.

    Raises:
        VerifyError: another file, or a truncated one.
    """
    check_regular(path)
    with reading(path, "Label Studio's JSON, JSON-MIN or CSV export (truncated?)"):
        if path.suffix.lower() != ".json":
            content: Any = read_rows(path, NEEDED)
        else:
            content = parse_json(path.read_text(encoding="utf-8-sig"))
        found, skipped, nobody = [], 0, 0
        for number, task in enumerate(content, 1):
            where = f"task {number}"
            if "annotations" not in task:
                row = _flat(task, where)
                nobody += row is None
                found += [row] if row else []
                continue
            nobody += not task["annotations"]
            for annotation in task["annotations"]:
                if annotation.get("was_cancelled") or annotation.get("skipped"):
                    skipped += 1
                    continue
                found.append(_ballot(task["data"], annotation, where))
    told = ((skipped, "cancelled annotations were skipped"), (nobody, "tasks without an annotation were skipped"))
    return found, [f"{count} {what}" for count, what in told if count]


def _flat(row: dict[str, Any], where: str) -> Ballot | None:
    """Return the ballot of a row of JSON-MIN or CSV; None for a task that nobody annotated."""
    if not plain_text(row.get("annotation_id")):
        return None
    answers = []
    for question in NAMES:
        given = row.get(question)
        for answer in given["choices"] if isinstance(given, dict) else [given]:
            if text := plain_text(answer):
                answers.append((plain_text(row["item"]), question, text))
    source = f"label-studio:{plain_text(row['annotation_id'])}"
    worker, seconds = _worker(row["annotator"]), duration(row.get("lead_time"))
    return Ballot(worker, source, plain_text(row["release"]), answers, seconds, where)


def _worker(by: Any) -> str:
    return named("label-studio", by.get("id", by.get("email")) if isinstance(by, dict) else by)


def _ballot(data: dict[str, Any], annotation: dict[str, Any], where: str) -> Ballot:
    worker = _worker(annotation["completed_by"])
    answers = [
        (plain_text(data["item"]), plain_text(result["from_name"]), plain_text(answer))
        for result in annotation["result"]
        if result["type"] == "choices"
        for answer in result["value"]["choices"]
    ]
    source, seconds = f"label-studio:{plain_text(annotation['id'])}", duration(annotation.get("lead_time"))
    return Ballot(worker, source, plain_text(data["release"]), answers, seconds, where)


def _export(tasks: Tasks, votes: list[Vote], images: str) -> dict[str, bytes]:
    return {"label_studio.json": tasks_json(tasks, images), "label_studio.xml": config()}


CROWD = Crowd(
    export=_export,
    comes_back=f"Label Studio's .json or .csv ({', '.join(NEEDED)})",
    recognises=lambda path: path.suffix.lower() == ".json" or has_columns(path, NEEDED),
    ballots=ballots,
)
