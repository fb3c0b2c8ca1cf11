"""Open images of a tasks folder, and the tasks of the present round, for other tools than the page."""

from dataclasses import dataclass

from d3s_dataset.errors import VerifyError
from d3s_dataset.identity import digest
from d3s_dataset.utils.cli import note
from generation.verify.aggregate.worker_quality import Limits
from generation.verify.prepare.rounds import room
from generation.verify.prepare.sampling import deal, shuffled
from generation.verify.prepare.tasks import Task, Tasks
from generation.verify.rounds.assigner import AdaptiveAssigner
from generation.verify.votes.store import Store


@dataclass(frozen=True)
class OpenItems:
    """Images whose verdict can still change.

    Attributes:
        votes: id -> annotators whose votes count.
        annotators: how many may annotate each of them now: as many as the round needs, and more than no image may have.
    """

    votes: dict[str, int]
    annotators: int


def open_items(tasks: Tasks, store: Store, limits: Limits | None = None) -> OpenItems:
    """Return the images that are open by the votes that count; with a single round those with too few votes.

    Args:
        tasks: all tasks.
        store: the votes.
        limits: exclusion thresholds.
    """
    votes = AdaptiveAssigner(tasks, store, limits).standing.open()
    plan = tasks.rounds or [tasks.workers]
    needed = max((room(plan, complete) - complete for complete in votes.values()), default=0)
    left = min((tasks.workers - complete for complete in votes.values()), default=0)
    return OpenItems(votes, min(needed, left))


def present_round(tasks: Tasks, store: Store) -> Tasks:
    """Return the tasks to export: all of them at first and without rounds, else new ones of the open images.

    Raises:
        VerifyError: no image is open.
    """
    if not tasks.stops:
        return tasks
    found = open_items(tasks, store)
    if not found.votes:
        raise VerifyError("no image is open: further votes cannot change a verdict; expected `aggregate` as the next")
    note(f"{len(found.votes):,} of {len(tasks.images):,} images are open: set {found.annotators} annotators per image")
    if len(found.votes) == len(tasks.images) and not any(found.votes.values()):
        return tasks
    return tasks.model_copy(update={"tasks": _tasks(tasks, list(found.votes))})


def _tasks(tasks: Tasks, images: list[str]) -> list[Task]:
    gold = [item.id for item in tasks.items if item.key is None]
    made = []
    for own in deal(shuffled(sorted(images), 0, "round", tasks.release), tasks.per_task):
        name = digest([tasks.release, "round", own])[:10]
        mixed = own + shuffled(gold, 0, "gold", name)[: tasks.gold]
        made.append(Task(id=name, items=shuffled(mixed, 0, "show", name)))
    return made
