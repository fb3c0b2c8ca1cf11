"""Generation loop: pending shards -> batches -> workers -> records -> shards on disk.

A shard is the unit of work; finished shards are read from disk. A pass makes all pending rows; rows whose image was not
finite, or fails a screen with seeds left, are repeated in the next pass, until nothing is pending.
"""

import importlib.metadata
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from d3s_dataset.errors import Interrupted, WriteError
from d3s_dataset.manifest import Failure
from generation.execution.scheduler import Batch, Engine
from generation.images.rows import Failed, Made
from generation.planning.plan import Plan, Row
from generation.release.shards import RETRIES, Task, Wanted, next_try, read_records, task_rows, write_shard
from generation.release.state import Entry, State

Done = Callable[[str, int], None]
Wrote = Callable[[Path], None]


class _Open:
    """A shard in progress: kept rows and new rows."""

    def __init__(self, plan: Plan, state: State, task: Task, wanted: Wanted) -> None:
        self.task, self.rows, self.wanted = task, task_rows(plan, task), wanted
        # Rows that an earlier run wrote without recording them, or a shorter last shard of a smaller --limit; then,
        # with priority, the partial rows of a stopped run.
        held = {} if state.damaged(task) else read_records(state.out / task.path)
        self.kept = {**held, **read_records(state.partial(task))}
        self.failed = state.failures(task)
        self.made: dict[str, tuple[Row, Made]] = {}
        tries = (self._next(row) for row in self.rows)
        self.todo = [row for row in tries if row is not None]

    def _next(self, row: Row) -> Row | None:
        record, wanted = self.kept.get(row.key), self.wanted
        if row.key in wanted.again:
            return row.again(record["attempt"]) if record else row
        tried = wanted.tried.get((self.task.name, row.key), 0)
        return next_try(row, record, self.failed.get(row.key), wanted.resample, wanted.first, tried)

    @property
    def complete(self) -> bool:
        return len(self.made) == len(self.todo)

    def content(self) -> tuple[list[dict[str, Any]], list[Failure]]:
        """Return the shard's records in order, and the failures of the rows that have none."""
        records, failures = [], []
        for index, planned in enumerate(self.rows, self.task.start):
            row, made = self.made.get(planned.key, (planned, None))
            if isinstance(made, Failed) and row.key in self.kept:
                # A failed retry keeps the old image.
                self.wanted.tried[self.task.name, row.key] = row.attempt
                self.wanted.lost[row.key] = made.reason
                made = None
            if isinstance(made, Failed):
                failures.append(Failure(key=row.key, config=self.task.config, split=row.split, index=index,
                                        seed=row.seed, attempt=row.attempt, **vars(made)))  # fmt: skip
            elif made is not None or row.key in self.kept:
                records.append(made or self.kept[row.key])
            elif row.key in self.failed:
                failures.append(self.failed[row.key])
        return records, failures


def make_all(
    plan: Plan,
    state: State,
    engine: Engine,
    own: list[Task],
    wanted: Wanted,
    *,
    order: Callable[[list[Task]], list[Task]] = list,
    done: Done = lambda lane, rows: None,
    wrote: Wrote = lambda path: None,
) -> None:
    """Make pending rows of `own` until none is left.

    Args:
        plan: the rows.
        state: state of the release.
        engine: scheduler of the batches.
        own: shards.
        wanted: selection of rows; `first` and `again` hold for one pass.
        order: reorders the shards of a pass; the release does not depend on it.
        done: called with the worker's name and the number of rows of every finished batch.
        wrote: called with the path of every written shard.

    Raises:
        Interrupted: the engine was stopped; finished images are on disk.
        WriteError: the disk is full or cannot be written.
        GenerationError: no worker is left.
    """
    while todo := pending(plan, state, own, wanted):
        _Pass(plan, state, engine, wanted, done, wrote).run(order(todo))
        wanted.first, wanted.again = False, frozenset()


def pending(plan: Plan, state: State, own: list[Task], wanted: Wanted) -> list[Task]:
    """Return the shards of `own` with a pending row (`generation.release.shards.next_try`)."""
    entries = state.entries(own)

    def unfinished(task: Task) -> bool:
        return task not in entries or _unfinished(plan, state.out / task.path, task, entries[task], wanted)

    return [task for task in own if wanted.again or unfinished(task)]


def _unfinished(plan: Plan, path: Path, task: Task, entry: Entry, wanted: Wanted) -> bool:
    if any(wanted.first or (each.stage == "diffuse" and each.attempt < RETRIES) for each in entry.failures):
        return True
    if wanted.resample == 0 or not plan.recipe.redraws(task.config):
        return False
    columns = pq.read_table(path, columns=["key", "attempt", "screen_failed"]).to_pylist()
    tried = (max(each["attempt"], wanted.tried.get((task.name, each["key"]), 0)) for each in columns)
    return any(each["screen_failed"] and last < wanted.resample for each, last in zip(columns, tried, strict=True))


class _Pass:
    """One pass over pending shards."""

    def __init__(
        self, plan: Plan, state: State, engine: Engine, wanted: Wanted, done: Done, wrote: Wrote
    ) -> None:  # fmt: skip
        self.plan, self.state, self.engine, self.wanted = plan, state, engine, wanted
        self.done, self.wrote = done, wrote
        self.open: dict[Task, _Open] = {}
        self.writing: list[Future[None]] = []

    def run(self, todo: list[Task]) -> None:
        """Make and write every shard; writing overlaps with the next shard."""
        with ThreadPoolExecutor(1) as self.writer:
            try:
                for lane, batch, made in self.engine.make(self._batches(todo)):
                    for shard, row, each in zip(batch.shards, batch.rows, made, strict=True):
                        shard.made[row.key] = (row, each)
                    self.done(lane.name, len(made))
                    for shard in dict.fromkeys(batch.shards):
                        self._write_if_complete(shard)
                self._settle(0)
            except WriteError:
                raise  # the disk has no room for the partial rows either
            except BaseException:
                self._keep()
                raise
        if self.engine.stopped:
            self._keep()
            raise Interrupted(f"stopped; finished images are kept in {self.state.out}: type the same command to resume")

    def _batches(self, todo: list[Task]) -> Iterator[Batch]:
        rows: dict[bool, list[tuple[_Open, Row]]] = {True: [], False: []}
        for task in todo:
            shard = _Open(self.plan, self.state, task, self.wanted)
            self.open[task] = shard
            self.engine.prepare(shard.todo)
            redraw = self.plan.recipe.redraws(task.config)
            for row in shard.todo:
                rows[redraw].append((shard, row))
                if len(rows[redraw]) >= self.engine.batch_size:
                    yield _batch(rows, redraw)
            self._write_if_complete(shard)  # all of its rows may have been kept
        yield from (_batch(rows, redraw) for redraw in rows if rows[redraw])

    def _write_if_complete(self, shard: _Open) -> None:
        if shard.complete and self.open.pop(shard.task, None):
            self._settle(1)  # at most two finished shards in memory
            self.writing.append(self.writer.submit(self._write, shard))

    def _settle(self, most: int) -> None:
        """Wait until at most `most` shards are being written; raises the error of a failed write."""
        while len(self.writing) > most:
            self.writing.pop(0).result()

    def _write(self, shard: _Open) -> None:
        records, failures = shard.content()
        path = self.state.out / shard.task.path
        self.state.forget(shard.task)  # a kill in between must not leave an entry with another checksum
        size, checksum = write_shard(path, records, self.plan.recipe.background_names())
        self.state.finish_shard(shard.task, size, checksum, len(records), failures, environment(self.engine))
        self.wrote(path)

    def _keep(self) -> None:
        """Write the partial rows of incomplete shards."""
        for shard in self.open.values():
            made = {key: each for key, (_, each) in shard.made.items() if not isinstance(each, Failed)}
            if made:
                names = self.plan.recipe.background_names()
                write_shard(self.state.partial(shard.task), list({**shard.kept, **made}.values()), names)


def _batch(rows: dict[bool, list[tuple[_Open, Row]]], redraw: bool) -> Batch:
    taken, rows[redraw] = rows[redraw], []
    return Batch([row for _, row in taken], [shard for shard, _ in taken], redraw)


def environment(engine: Engine) -> dict[str, str]:
    """Return the package versions and settings that made a shard."""
    versions = {name: importlib.metadata.version(name) for name in ("d3s", "pillow", "numpy", "pyarrow")}
    return versions | engine.environment()
