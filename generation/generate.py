"""Plan -> release on disk: go on from what is there, make the rest, finish. What `generation.run` calls."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from d3s_dataset.command import warn
from d3s_dataset.errors import D3SError, RecipeError
from d3s_dataset.manifest import Manifest
from d3s_dataset.sheet import shard_sheet
from generation.engine import Engine
from generation.how import How, open_engine
from generation.locks import one_at_a_time, sole_run
from generation.make import make_all, pending
from generation.plan import Plan
from generation.release import check_whole, finish, mark_duplicates
from generation.state import Begun, State
from generation.tasks import Task, part_of, tasks
from generation.watch import Watch


@dataclass(frozen=True)
class Summary:
    """What a run made.

    Attributes:
        rows: rows of the release by config and split, failed ones not counted; of a part, of its shards.
        failures: rows that failed.
        already_finished: whether all was there before.
    """

    rows: dict[tuple[str, str], int]
    failures: int
    already_finished: bool


def generate(
    plan: Plan,
    out: Path,
    how: How | None = None,
    *,
    limit: int | None = None,
    order: Callable[[list[Task]], list[Task]] = list,
) -> Summary:
    """Make a release, or a part of one, or go on with it.

    Args:
        plan: the rows.
        out: the release's folder.
        how: where and how.
        limit: make only the first rows of the plan.
        order: reorders the shards to make; the release does not depend on it.

    Raises:
        ReleaseError: the folder holds something else, is being made by another run, or cannot be written.
        ModelError: the generator cannot be loaded.
        Interrupted: SIGTERM or Ctrl-C; what was made is kept.
    """
    how = how or How()
    state, begun = State(out), _begun(plan, how, limit)
    if manifest := state.check(begun):
        state.close()
        return _summary(manifest, True)
    with sole_run(out, state.work, how.part):
        with one_at_a_time(state.work):
            begun = state.begin(begun)
            state.rename(wanted := tasks(plan, begun.limit, how.shard_rows))
        own = wanted if how.part is None else part_of(wanted, *how.part)
        _make(plan, state, how, own, begun.resample, order, duplicates=how.part is None)
        if how.part:
            entries = state.entries(own)
            rows = {(task.config, task.split): 0 for task in own}
            for task in own:
                rows[task.config, task.split] += entries[task].shard.rows
            return Summary(rows, sum(len(each.failures) for each in entries.values()), False)
        return _summary(finish(plan, state, begun, wanted), False)


def finish_parts(plan: Plan, out: Path, how: How, limit: int | None = None) -> Summary:
    """Finish a release whose shards were made in parts: near-duplicates, card, manifest.

    Raises:
        ReleaseError: a shard is missing, or the folder holds something else.
    """
    state, begun = State(out), _begun(plan, how, limit)
    if manifest := state.check(begun):
        return _summary(manifest, True)
    check_whole(state, tasks(plan, begun.limit, how.shard_rows))
    with sole_run(out, state.work, None):
        begun = state.begin(begun)
        return _summary(finish(plan, state, begun, tasks(plan, begun.limit, how.shard_rows)), False)


def make_again(plan: Plan, out: Path, how: How, limit: int | None, key: str) -> list[Path]:
    """Make the images of one key again, in every config that has it; return their shards.

    Raises:
        RecipeError: the plan has no such row.
        ReleaseError: its shards have not been made yet.
    """
    state, begun = State(out), _begun(plan, how, limit)
    state.check(begun)
    wanted = tasks(plan, begun.limit, how.shard_rows)
    own = _tasks_of(plan, wanted, key)
    with sole_run(out, state.work, None):
        begun = state.begin(begun)
        check_whole(state, wanted)
        with open_engine(plan, how) as engine, _in_order(engine):
            make_all(plan, state, engine, own, again=frozenset([key]))
        finish(plan, state, begun, wanted)
    return [out / task.path for task in own]


def _tasks_of(plan: Plan, wanted: list[Task], key: str) -> list[Task]:
    place = plan.find(key)
    own = [each for each in wanted if place and each.split == place[0] and each.start <= place[1] < each.stop]
    if not own:
        raise RecipeError(f"--only {key}: expected the key of a row of this plan (see the column `key`)")
    return own


def _begun(plan: Plan, how: How, limit: int | None) -> Begun:
    return Begun(recipe=plan.recipe.name, plan_digest=plan.digest, shard_rows=how.shard_rows,
                 limit=min(limit or len(plan), len(plan)), resample=how.resample)  # fmt: skip


def _make(
    plan: Plan, state: State, how: How, own: list[Task], resample: int, order: Callable[[list[Task]], list[Task]],
    duplicates: bool,
) -> None:  # fmt: skip
    """Make what is pending of `own`; where near-duplicates are marked, those that may have another seed get it."""
    todo = pending(plan, state, own, resample, first=True)
    if not todo:
        return
    total, left = (sum(task.stop - task.start for task in each) for each in (own, todo))
    with _opened(plan, state, how) as engine, _in_order(engine), Watch(total, total - left) as watch:
        first = True
        while first or pending(plan, state, own, resample, first=False):
            make_all(plan, state, engine, own, resample=resample, order=order, first=first, done=watch.step,
                     wrote=lambda task, path: _draw_sheet(how.sheets, task, path))  # fmt: skip
            first = False
            if duplicates and resample:
                mark_duplicates(plan, state, own)


def _opened(plan: Plan, state: State, how: How) -> Engine:
    try:
        return open_engine(plan, how)
    except D3SError:
        state.abandon()
        raise


@contextmanager
def _in_order(engine: Engine) -> Iterator[None]:
    """Let SIGTERM and the first Ctrl-C end the run in order: the batch on the device is finished, all is kept."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: FrameType | None) -> None:
        if engine.stopped:
            raise KeyboardInterrupt
        warn(f"{signal.Signals(number).name}: finishing the batch; once more to stop at once")
        engine.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _draw_sheet(folder: Path | None, task: Task, path: Path) -> None:
    if folder is not None:
        shard_sheet(path, folder / f"{task.name}.jpg")


def _summary(manifest: Manifest, already_finished: bool) -> Summary:
    rows = {(c, split): manifest.rows(c, split) for c in manifest.configs() for split in manifest.splits(c)}
    return Summary(rows, len(manifest.failures), already_finished)
