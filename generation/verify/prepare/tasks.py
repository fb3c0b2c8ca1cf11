"""A folder of tasks: `tasks.json`, which names every item and every task, and the pictures in `images/`.

An item is one thing to look at: an image of the release, or a known pair, whose right answers are `expected`. Nobody
who votes may see this file: pages and exports show items by their id, which does not tell the two apart.
"""

from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from d3s_dataset.errors import VerifyError
from d3s_dataset.manifest import load_model, to_json
from d3s_dataset.taxonomy import BACKGROUNDS, classes
from d3s_dataset.utils.atomic import write_atomic

FILE_NAME = "tasks.json"
IMAGES = "images"
MEDIA = {".jpg": "image/jpeg", ".png": "image/png"}  # what prepare writes, and the page serves


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Item(_Strict):
    """One thing to look at.

    Attributes:
        id: says nothing about it.
        key: its row in the release; None for a known pair.
        image: the picture that is asked about, a file in `images/`.
        guide: the picture that it was redrawn from; None where the image is a guide itself.
        foreground: the class that is asked for.
        background: the background that is asked for.
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
    """What one person does in one sitting: items, by id, in the order in which they are shown."""

    id: str
    items: list[str]


class Tasks(_Strict):
    """All tasks of a release.

    Attributes:
        release: digest of the release.
        name: what the release calls itself.
        drawn: how its images were chosen, in words that go into the rows.
        workers: people an image.
        backgrounds: names of the labels.
        examples: class -> pictures of it, files in `images/`.
    """

    schema_version: Literal[1] = 1
    release: str
    name: str
    drawn: str
    workers: int
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
        """The task that each item stands in."""
        return {item: task.id for task in self.tasks for item in task.items}

    @property
    def images(self) -> list[Item]:
        """The items that are images of the release."""
        return [item for item in self.items if item.key is not None]

    def place(self, item: Item) -> str:
        """Return the background that is asked for, as a sentence has it: `on a road`."""
        name = self.backgrounds[item.background]
        return next((each.phrase for each in BACKGROUNDS if each.name == name), f"in this setting: {name}")

    def pictures(self, task: str) -> set[str]:
        """Return the files that somebody who does a task may see."""
        items = [self.by_id[each] for each in self.task_by_id[task].items]
        shown = {name for item in items for name in (item.image, item.guide) if name}
        return shown.union(*(self.examples.get(item.foreground, []) for item in items))

    def all_pictures(self) -> list[str]:
        """Return all files that the tasks show, in order."""
        return sorted(set().union(*(self.pictures(task.id) for task in self.tasks)))


def read(folder: Path) -> Tasks:
    """Read a folder of tasks.

    Raises:
        VerifyError: the folder holds none.
        ReleaseError: `tasks.json` cannot be read.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise VerifyError(f"{folder} holds no {FILE_NAME}: expected what `python -m generation.verify prepare` wrote")
    return load_model(Tasks, path)


def write(folder: Path, tasks: Tasks) -> None:
    """Write `tasks.json`, atomically."""
    write_atomic(folder / FILE_NAME, to_json(tasks))


def thing(item: Item) -> str:
    """Return the class that is asked for, in one word or two."""
    return classes()[item.foreground].synonym
