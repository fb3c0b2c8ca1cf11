"""Tasks folder: `tasks.json` with all items and tasks, the pictures in `images/`, and the view that annotators get.

An item is an image of the release, or a gold question with its right answers in `expected`. Annotators must not see
this file: pages and exports show items by their id, which does not reveal the kind.
"""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from d3s_dataset.errors import VerifyError
from d3s_dataset.manifest import load_model, to_json
from d3s_dataset.taxonomy import BACKGROUNDS, classes
from d3s_dataset.utils.atomic import write_atomic
from generation.verify.prepare.questions import QUESTIONS
from generation.verify.prepare.rounds import Rule

FILE_NAME = "tasks.json"
IMAGES = "images"
MEDIA = {".jpg": "image/jpeg", ".png": "image/png"}  # written by prepare, served by the page


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Item(_Strict):
    """One item to annotate.

    Attributes:
        id: opaque id.
        key: its row in the release; None for a gold question.
        image: the picture to annotate, a file in `images/`.
        guide: the picture that it was redrawn from; None where the image is a guide itself.
        foreground: the class in the question.
        background: the background in the question.
        expected: question -> right answer; empty for an image of the release.
    """

    id: str
    key: str | None
    image: str
    guide: str | None
    foreground: int
    background: int
    expected: dict[str, str] = {}


class Task(_Strict):
    """One assignment's items, by id, in display order."""

    id: str
    items: list[str]


class Tasks(_Strict):
    """All tasks of a release.

    Attributes:
        release: digest of the release.
        name: name of the release.
        drawn: description of the sample, copied into the rows.
        workers: annotators per image.
        pay: payment per task, in any currency; None where it was not given. `fee` comes on top, in percent.
        rounds: annotators per round; empty for a single round of `workers`.
        rule: decision rule, which the rounds stop for; None in older versions.
        per_task: images of a task that is made up during the rounds; `gold` more are gold questions.
        backgrounds: names of the labels.
        examples: class -> example photos, files in `images/`.
    """

    schema_version: Literal[1] = 1
    release: str
    name: str
    drawn: str
    workers: int
    pay: float | None = None
    fee: float | None = None
    rounds: list[int] = []
    rule: Rule | None = None
    per_task: int = 25
    gold: int = 3
    backgrounds: list[str]
    examples: dict[int, list[str]]
    items: list[Item]
    tasks: list[Task]

    @cached_property
    def by_id(self) -> dict[str, Item]:
        """Every item by its id."""
        return {item.id: item for item in self.items}

    @cached_property
    def task_by_id(self) -> dict[str, Task]:
        """Every task by its id."""
        return {task.id: task for task in self.tasks}

    @cached_property
    def task_of(self) -> dict[str, str]:
        """Item id -> task id."""
        return {item: task.id for task in self.tasks for item in task.items}

    @property
    def stops(self) -> bool:
        """True where images that further votes cannot change get none."""
        return len(self.rounds) > 1

    @property
    def images(self) -> list[Item]:
        """The items that are images of the release."""
        return [item for item in self.items if item.key is not None]

    def place(self, item: Item) -> str:
        """Return the background as a phrase: `on a road`."""
        name = self.backgrounds[item.background]
        return next((each.phrase for each in BACKGROUNDS if each.name == name), f"in this setting: {name}")

    def pictures(self, items: Iterable[str]) -> set[str]:
        """Return the files that an assignment of some items may show."""
        found = [self.by_id[each] for each in items]
        shown = {name for item in found for name in (item.image, item.guide) if name}
        return shown.union(*(self.examples.get(item.foreground, []) for item in found))

    def all_pictures(self) -> list[str]:
        """Return all files that the tasks show, sorted."""
        return sorted(self.pictures(item for task in self.tasks for item in task.items))


def read(folder: Path) -> Tasks:
    """Read a tasks folder.

    Raises:
        VerifyError: the folder holds none.
        ReleaseError: `tasks.json` cannot be read.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise VerifyError(f"{folder} has no {FILE_NAME}: expected the output of `python -m generation.verify prepare`")
    return load_model(Tasks, path)


def check_release(folder: Path, tasks: Tasks, release: Path, digest: str) -> None:
    """Raise VerifyError where the tasks of a folder were made from another release than the one of this digest."""
    if digest != tasks.release:
        raise VerifyError(
            f"{folder} was prepared from release {tasks.release[:16]}: expected that one, got {release}, which is "
            f"{digest[:16]}"
        )


def write(folder: Path, tasks: Tasks) -> None:
    """Write `tasks.json`, atomically."""
    write_atomic(folder / FILE_NAME, to_json(tasks))


def thing(item: Item) -> str:
    """Return the first synonym of the item's class."""
    return classes()[item.foreground].synonym


def shown_items(tasks: Tasks, items: Iterable[str], images: str) -> list[dict[str, Any]]:
    """Return the views of some items in order; `images` is the base URL of their pictures."""
    return [shown(tasks, tasks.by_id[name], images) for name in items]


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
