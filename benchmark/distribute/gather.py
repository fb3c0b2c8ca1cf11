"""Parts brought together: blocks of other machines' caches, what is missing, and the record of one finished run."""

from collections.abc import Sequence
from pathlib import Path

from benchmark.cache.blocks import SETTINGS, Finished, Made, Span, Store, spans
from benchmark.distribute.task import Task
from benchmark.distribute.units import share
from benchmark.inference.features import HEAD
from benchmark.schemas.result import Run
from d3s_dataset.errors import ResultError
from d3s_dataset.utils.atomic import write_atomic
from d3s_dataset.utils.cli import warn

_NAMED = 3  # models or parts that an error names


def bring(tasks: Sequence[Task], folders: Sequence[Path]) -> int:
    """Copy the blocks that other caches have and this one lacks; return how many.

    A damaged block is reported, and counts as missing.

    Args:
        tasks: the tasks of the evaluation.
        folders: cache folders (`D3S_CACHE`) of other machines.

    Raises:
        ResultError: a folder without a block of any task, or with blocks that were made with other settings.
        WriteError: this cache cannot be written.
    """
    copied = 0
    for folder in folders:
        found = [(task, _there(task, folder)) for task in tasks]
        if not any(other.run for _, other in found):
            raise ResultError(
                f"{folder} holds no block of these models on these images: expected the cache folder ($D3S_CACHE) of a "
                "part, made with the same arguments"
            )
        for task, other in found:
            copied += _copy(task, other, folder)
    return copied


def _there(task: Task, folder: Path) -> Store[object]:
    own = task.store.folder
    assert own is not None  # a task has a cache
    return Store(task.store.kind, folder / own.parent.name / own.name)


def _copy(task: Task, other: Store[object], folder: Path) -> int:
    settings = other.run
    if settings is None:
        return 0
    kept = task.store.begin(settings)
    check_settings(task, kept, settings, str(folder))
    lacking, copied = task.store.missing(task.images.n), 0
    for span in lacking:
        path = other.path(span)
        if not path.is_file():
            continue
        if other.read(span) is None:
            warn(f"{path} is damaged, so rows {span[0]} to {span[1] - 1} of {task.subject.label} count as missing")
            continue
        write_atomic(task.store.path(span), path.read_bytes())
        copied += 1
    head = other.kept(HEAD, "weight", "bias") if task.features else None
    if head is not None:
        task.store.keep(HEAD, **head)
    return copied


def check_settings(task: Task, kept: Run, other: Run, where: str) -> None:
    """Raise ResultError where blocks of a task were made with other settings than the cache's.

    Args:
        task: the task.
        kept: the cache's settings.
        other: those of the blocks.
        where: where the blocks are from, for the error.
    """
    for name in SETTINGS:
        if getattr(kept, name) != getattr(other, name):
            raise ResultError(
                f"{where}: {task.subject.label} was run with {name} {getattr(other, name)} there, "
                f"{getattr(kept, name)} in this cache: expected the same settings; type one --precision, and "
                "--no-compile, for all parts"
            )


def finish(tasks: Sequence[Task]) -> None:
    """Record every task as finished, as a run on one machine would.

    Raises:
        ResultError: blocks are missing: of which models and parts, and what to type; or made with different settings.
    """
    lacking = {at: gaps for at, task in enumerate(tasks) if (gaps := task.missing)}
    if lacking:
        raise ResultError(_lacks(tasks, lacking))
    for task in tasks:
        if not task.finished():
            task.store.finish(task.images.n, _gathered(task))


def _gathered(task: Task) -> Finished:
    """Return the record of a task: its settings, its machines, and its blocks' seconds together."""
    settings = task.store.run
    assert settings is not None  # nothing is missing
    made = [each for span in spans(task.images.n) if (each := task.store.made(span)) is not None]
    for each in made:
        check_settings(task, settings, each.run, "a block of this cache")
    devices = list(dict.fromkeys(device for each in made for device in each.run.devices))
    run = settings.model_copy(
        update={
            "devices": devices or settings.devices,
            "batch_size": min([each.run.batch_size for each in made], default=settings.batch_size),
        }
    )
    return Finished(run=run, environment=_environment(made), seconds=sum(each.seconds for each in made))


def _environment(made: Sequence[Made]) -> dict[str, str]:
    """Return the environment of all blocks; what differs among machines is joined by `; `."""
    names = dict.fromkeys(name for each in made for name in each.environment)
    return {
        name: "; ".join(sorted({each.environment[name] for each in made if name in each.environment})) for name in names
    }


def _lacks(tasks: Sequence[Task], lacking: dict[int, list[Span]]) -> str:
    counts = [f"{len(gaps)} of {len(spans(tasks[at].images.n))} of {tasks[at].subject.label}"
              for at, gaps in lacking.items()]  # fmt: skip
    parts = _parts(tasks, lacking)
    whose = f" (part {_some(parts)})" if parts else ""
    typed = f"--part {parts[0]}" if len(parts) == 1 else "--part of each"
    return (
        f"blocks are missing: {_some(counts)}{whose}: type the same command with {typed} in place of --finish, or "
        "without --finish to compute the rest here; parts made elsewhere go after --finish, as their cache folders"
    )


def _parts(tasks: Sequence[Task], lacking: dict[int, list[Span]]) -> list[str]:
    """Return the parts that lack blocks, I/N; none where the blocks that are there were not made by parts of one N."""
    made = (task.store.made(span) for task in tasks for span in set(spans(task.images.n)).difference(task.missing))
    numbers = {each.of for each in made if each is not None}
    if len(numbers) != 1 or (of := numbers.pop()) is None:
        return []
    sizes = [task.images.n for task in tasks]
    return [
        f"{part}/{of}"
        for part in range(1, of + 1)
        if any(set(wanted) & set(lacking.get(at, ())) for at, wanted in share(sizes, part, of))
    ]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
