"""View of an item for the page and exports, without anything that identifies gold questions."""

from typing import Any

from d3s_dataset.taxonomy import classes
from generation.verify.prepare.questions import QUESTIONS
from generation.verify.prepare.tasks import Item, Tasks, thing


def shown_items(tasks: Tasks, task: str, images: str) -> list[dict[str, Any]]:
    """Return the views of a task's items in order; `images` is the base URL of their pictures."""
    return [shown(tasks, tasks.by_id[name], images) for name in tasks.task_by_id[task].items]


def shown(tasks: Tasks, item: Item, images: str) -> dict[str, Any]:
    """Return one item's view: names, gloss, questions, and the URLs of its pictures."""
    label = classes()[item.foreground]
    return {
        "id": item.id,
        "image": f"{images}/{item.image}",
        "guide": f"{images}/{item.guide}" if item.guide else None,
        "examples": [f"{images}/{name}" for name in tasks.examples.get(item.foreground, [])],
        "object": thing(item),
        "names": label.name,
        "gloss": label.gloss,
        "place": tasks.place(item),
        "questions": [
            {"name": each.name, "text": each.ask(thing(item), tasks.place(item)), "hint": each.hint}
            for each in QUESTIONS
        ],
    }
