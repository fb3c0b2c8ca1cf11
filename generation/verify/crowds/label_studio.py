"""Label Studio: export tasks and a labelling config, import its JSON export.

One item is one Label Studio task; the number of annotators per task is set in its project (overlap).
"""

import json
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from d3s_dataset.utils.nested import parse_json
from generation.verify.crowds.answers import Ballot, duration, named, plain_text, reading
from generation.verify.crowds.base import Crowd
from generation.verify.crowds.csv_votes import check_regular
from generation.verify.prepare.questions import ANSWERS, QUESTIONS
from generation.verify.prepare.tasks import Tasks, shown
from generation.verify.votes.vote import Vote


def tasks_json(tasks: Tasks, images: str) -> bytes:
    """Return the tasks to import; `images` is the base URL of the uploaded folder `images/`."""
    found = []
    for task in tasks.tasks:
        for name in task.items:
            seen = shown(tasks, tasks.by_id[name], images)
            questions = {each["name"]: each["text"] for each in seen["questions"]}
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
            f'  <Header value="${question.name}" size="4"/>',
            f'  <Choices name="{question.name}" toName="image" choice="single" required="true" showInline="true">',
            *(f"    <Choice value={quoteattr(value)} alias={quoteattr(value)}/>" for value in ANSWERS),
            "  </Choices>",
        ]
    return ("\n".join([*lines, "</View>"]) + "\n").encode()


def ballots(path: Path) -> tuple[list[Ballot], list[str]]:
    """Return the ballots of a JSON export, and one line per kind of skipped annotation.

    Raises:
        VerifyError: another file, or a truncated one.
    """
    check_regular(path)
    with reading(path, "Label Studio's JSON export (not JSON-MIN; truncated?)"):
        content = parse_json(path.read_text(encoding="utf-8-sig"))
        found, skipped = [], 0
        for number, task in enumerate(content, 1):
            for annotation in task["annotations"]:
                if annotation.get("was_cancelled"):
                    skipped += 1
                    continue
                found.append(_ballot(task["data"], annotation, f"task {number}"))
    return found, [f"{skipped} cancelled annotations were skipped"] if skipped else []


def _ballot(data: dict[str, Any], annotation: dict[str, Any], where: str) -> Ballot:
    by = annotation["completed_by"]
    worker = by.get("id") if isinstance(by, dict) else by
    answers = [
        (plain_text(data["item"]), plain_text(result["from_name"]), plain_text(answer))
        for result in annotation["result"]
        if result["type"] == "choices"
        for answer in result["value"]["choices"]
    ]
    source, seconds = f"label-studio:{plain_text(annotation['id'])}", duration(annotation.get("lead_time"))
    return Ballot(named("label-studio", worker), source, plain_text(data["release"]), answers, seconds, where)


def _export(tasks: Tasks, votes: list[Vote], images: str) -> dict[str, bytes]:
    return {"label_studio.json": tasks_json(tasks, images), "label_studio.xml": config()}


CROWD = Crowd(
    export=_export,
    comes_back="Label Studio's .json",
    recognises=lambda path: path.suffix.lower() == ".json",
    ballots=ballots,
)
