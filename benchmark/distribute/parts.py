"""One part of an evaluation: its blocks, into the cache."""

from collections.abc import Sequence
from dataclasses import replace

from benchmark.cache.decoded import Decoded
from benchmark.distribute.task import Task
from benchmark.distribute.units import Share, share
from d3s_dataset.errors import ModelError
from d3s_dataset.utils.cli import warn


def run_part(tasks: Sequence[Task], part: tuple[int, int]) -> tuple[int, int]:
    """Compute one part's blocks that the cache lacks.

    Args:
        tasks: all tasks of the evaluation, the same for every part.
        part: which, from 1, and of how many.

    Returns:
        How many blocks the part has, and how many of them were computed now.

    Raises:
        ModelError: models that failed: each is reported at once, the others go on.
    """
    mine, done, failed = share([each.images.n for each in tasks], *part), 0, []
    task, decoded = None, Decoded() if len(mine) > 1 else None
    for at, wanted in mine:
        task = tasks[at].fresh(task)
        task = replace(task, options=replace(task.options, decoded=decoded))
        try:
            done += _run(task, wanted, part[1])
        except ModelError as error:
            if len(tasks) == 1:
                raise
            if task.subject.label not in failed:
                warn(str(error))
                failed.append(task.subject.label)
    if failed:
        raise ModelError(f"{len(failed)} models could not be run in this part: {', '.join(failed)}")
    return _count(mine), done


def _run(task: Task, wanted: list[tuple[int, int]], of: int) -> int:
    lacking = set(task.missing)
    left = [span for span in wanted if span in lacking]
    if left:
        task.compute(task.begun(left), of=of)
    return len(left)


def _count(mine: Share) -> int:
    return sum(len(wanted) for _, wanted in mine)
