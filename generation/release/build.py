"""Plan -> release on disk: resume, generate, finish. The library calls behind `generation.run`."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from d3s_dataset import manifest as manifests
from d3s_dataset.errors import D3SError, GenerationError, RecipeError, ReleaseError
from d3s_dataset.manifest import Manifest
from d3s_dataset.sheet import shard_sheet
from generation.execution.options import How, open_engine
from generation.execution.progress import Watch
from generation.execution.scheduler import Engine
from generation.execution.signals import in_order
from generation.planning.plan import Plan
from generation.release.finalize import check_whole, finish, mark_duplicates
from generation.release.lock import one_at_a_time, sole_run
from generation.release.shard_loop import make_all, pending
from generation.release.shards import Task, Wanted, part_of, tasks
from generation.release.state import Begun, Entry, State


@dataclass(frozen=True)
class Summary:
    """Result of a run.

    Attributes:
        rows: rows of the release (or of a part's shards) by config and split, without failed ones.
        failures: number of failed rows.
        already_finished: whether the release was complete before.
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
    """Make or resume a release, or a part of one.

    Args:
        plan: the rows.
        out: folder of the release.
        how: execution options.
        limit: make only the first rows of the plan.
        order: reorders the shards to make; the release does not depend on it.

    Raises:
        ReleaseError: the folder holds something else, is in use by another run, or cannot be written.
        ModelError: the generator cannot be loaded.
        Interrupted: SIGTERM or Ctrl-C; finished images are kept.
    """
    how = how or How()
    state, begun = State(out, how.verify), _begun(plan, how, limit)
    manifest = state.check(begun)
    if manifest and (how.part or not manifest.failures):
        state.close()
        for shard in manifest.shards:
            _draw_sheet(how.sheets, out / shard.path)
        return _summary(manifest, True)
    with sole_run(out, state.work, how.part), ExitStack() as held:
        # A finished release is reopened only when the engine has started.
        engine = held.enter_context(_opened(plan, state, how)) if manifests.is_finished(out) else None
        with one_at_a_time(state.work):
            begun = state.begin(begun)
            state.rename(wanted := tasks(plan, begun.limit, how.shard_rows))
        own = wanted if how.part is None else part_of(wanted, *how.part)
        if pending(plan, state, own, Wanted(begun.resample)):
            engine = engine or held.enter_context(_opened(plan, state, how))
            _make(plan, state, engine, own, begun.resample, order, how)
        if how.part:
            return _part_summary(own, state.entries(own))
        return _summary(finish(plan, state, begun, wanted), False)


def finish_parts(plan: Plan, out: Path, how: How, limit: int | None = None) -> Summary:
    """Finish a release whose shards were made in parts: near-duplicates, card, manifest.

    Args:
        plan: the rows.
        out: the release's folder.
        how: execution options (shard size).
        limit: rows; None is the limit of its first run.

    Raises:
        ReleaseError: a shard is missing, or the folder holds something else.
    """
    state = State(out, how.verify)
    begun = _held(state, _begun(plan, how, limit), limit)
    if manifest := state.check(begun):
        return _summary(manifest, True)
    wanted = tasks(plan, begun.limit, how.shard_rows)
    _check_made(plan, state, wanted, begun)
    with sole_run(out, state.work, None):
        return _summary(finish(plan, state, state.begin(begun), wanted), False)


def make_again(plan: Plan, out: Path, how: How, limit: int | None, key: str) -> list[Path]:
    """Regenerate the images of one key in every config; return their shards.

    Args:
        plan: the rows.
        out: the release's folder.
        how: where and how.
        limit: rows; None is the release's own limit.
        key: a row's key.

    Raises:
        RecipeError: the plan has no such row.
        ReleaseError: the release is not complete yet.
        GenerationError: the row failed this time; its old image is kept.
    """
    state = State(out, how.verify)
    begun = _held(state, _begun(plan, how, limit), limit)
    wanted = tasks(plan, begun.limit, how.shard_rows)
    own = _tasks_of(plan, wanted, key)
    if state.check(begun) is None:
        _check_made(plan, state, wanted, begun)
    tries = Wanted(again=frozenset([key]), first=False)
    with sole_run(out, state.work, None), _opened(plan, state, how) as engine, in_order(engine):
        begun = state.begin(begun)
        make_all(plan, state, engine, own, tries)
        finish(plan, state, begun, wanted)
    if key in tries.lost:
        raise GenerationError(f"--only {key}: {tries.lost[key]}; the old image is kept")
    return [out / task.path for task in own]


def _held(state: State, begun: Begun, limit: int | None) -> Begun:
    """Return a release's own limit and resample count where the command line sets none."""
    held = state.held()
    if held is None:
        return begun
    return begun.model_copy(update={"resample": held.resample, **({} if limit else {"limit": held.limit})})


def _check_made(plan: Plan, state: State, wanted: list[Task], begun: Begun) -> None:
    """Raise ReleaseError where a shard is not finished, further seeds included."""
    check_whole(state, wanted)
    left = pending(plan, state, wanted, Wanted(begun.resample, first=False))
    if left:
        raise ReleaseError(
            f"{state.out}: {len(left)} shards have images left for --resample {begun.resample}, such as "
            f"{left[0].path}: run the command with --resample first"
        )


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
    plan: Plan, state: State, engine: Engine, own: list[Task], resample: int,
    order: Callable[[list[Task]], list[Task]], how: How,
) -> None:  # fmt: skip
    """Make pending shards of `own`; then resample near-duplicates that have seeds left."""
    wanted = Wanted(resample)
    todo = pending(plan, state, own, wanted)
    total, left = (sum(task.stop - task.start for task in each) for each in (own, todo))
    with in_order(engine), Watch(total, total - left) as watch:
        while True:
            make_all(plan, state, engine, own, wanted, order=order, done=watch.step,
                     wrote=lambda path: _draw_sheet(how.sheets, path))  # fmt: skip
            if how.part or not resample:
                return
            mark_duplicates(plan, state, own)
            if not pending(plan, state, own, wanted):
                return


def _opened(plan: Plan, state: State, how: How) -> Engine:
    try:
        return open_engine(plan, how)
    except D3SError:
        state.abandon()
        raise


def _draw_sheet(folder: Path | None, shard: Path) -> None:
    if folder is not None:
        shard_sheet(shard, folder / f"{shard.parent.name}-{shard.stem}.jpg")


def _part_summary(own: list[Task], entries: dict[Task, Entry]) -> Summary:
    rows = {(task.config, task.split): 0 for task in own}
    for task in own:
        rows[task.config, task.split] += entries[task].shard.rows
    return Summary(rows, sum(len(each.failures) for each in entries.values()), False)


def _summary(manifest: Manifest, already_finished: bool) -> Summary:
    rows = {(c, split): manifest.rows(c, split) for c in manifest.configs() for split in manifest.splits(c)}
    return Summary(rows, len(manifest.failures), already_finished)
