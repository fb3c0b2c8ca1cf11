"""Estimate of a run from a few generated rows: rows, bytes, images per second, hours, GPU-hours."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from d3s_dataset import manifest as manifests
from generation.execution.options import How, open_engine
from generation.execution.progress import duration
from generation.execution.scheduler import Batch, Engine
from generation.images.rows import Failed
from generation.planning.plan import Plan
from generation.release.shards import Task, part_of, task_rows, tasks
from generation.release.state import Begun, State

_ROUNDS = 3  # batches per worker slot; the first round is warm-up and not counted


@dataclass(frozen=True)
class Rate:
    """Throughput and size of one kind of rows.

    Attributes:
        rows: rows left to make.
        per_second: rows per second over all workers.
        bytes_a_row: mean bytes per encoded image.
    """

    rows: int
    per_second: float
    bytes_a_row: float

    @property
    def hours(self) -> float:
        """Hours for all rows left."""
        return self.rows / self.per_second / 3600


@dataclass(frozen=True)
class Estimate:
    """Work left in a release: `redrawn` images and plain `guides` (None if none), and the number of workers.

    A worker is a GPU, or a machine without one.
    """

    redrawn: Rate | None
    guides: Rate | None
    lanes: int
    shards: int

    def lines(self, price: float | None = None) -> list[str]:
        """Return the estimate as lines of text.

        Args:
            price: of one worker for an hour, in whatever currency; None leaves the cost out.
        """
        kinds = [("redrawn images", self.redrawn), ("plain guides", self.guides)]
        lines = [
            f"  {rate.rows:,} {name}: {rate.per_second:.2f} img/s, {rate.bytes_a_row / 1e3:.0f} kB each: "
            f"{duration(rate.hours)}, {_bytes(rate.rows * rate.bytes_a_row)}"
            for name, rate in kinds
            if rate
        ]
        rates = [rate for _, rate in kinds if rate]
        hours, size = sum(rate.hours for rate in rates), sum(rate.rows * rate.bytes_a_row for rate in rates)
        workers = f"{self.lanes} worker{'s' if self.lanes > 1 else ''}"
        work = (
            f"; redrawing takes {duration(self.redrawn.hours * self.lanes)} of worker time (GPU-hours on GPUs)"
            if self.redrawn
            else ""
        )
        return [
            f"left to make: {sum(rate.rows for rate in rates):,} rows in {self.shards:,} shards, on {workers}",
            *lines,
            f"  in total {duration(hours)}, {_bytes(size)}{work}",
            *([] if price is None else [f"  cost {hours * self.lanes * price:,.2f}, at {price:g} per worker and hour"]),
        ]


def estimate(plan: Plan, out: Path | None, how: How, limit: int | None) -> Estimate | None:
    """Make and discard a few rows to estimate the rest; None where nothing is left.

    Args:
        plan: the rows.
        out: folder of the release (read-only); None counts everything as left.
        how: execution options.
        limit: number of rows of the plan to make.
    """
    limit = min(limit or len(plan), len(plan))
    wanted = tasks(plan, limit, how.shard_rows)
    wanted = wanted if how.part is None else part_of(wanted, *how.part)
    there = {} if out is None else _there(plan, out, how, limit)
    left = {task: task.stop - task.start - there.get(task.name, 0) for task in wanted}
    left = {task: rows for task, rows in left.items() if rows > 0}
    if not left:
        return None
    with open_engine(plan, how) as engine:
        rates = {redraw: _rate(plan, engine, left, redraw) for redraw in (True, False)}
        lanes = len(engine.lanes)
    return Estimate(rates[True], rates[False], lanes, len(left))


def _there(plan: Plan, out: Path, how: How, limit: int) -> dict[str, int]:
    """Return the number of rows on disk by shard name, of a finished or unfinished release."""
    state = State(out)
    state.check(Begun(recipe=plan.recipe.name, plan_digest=plan.digest, shard_rows=how.shard_rows, limit=limit))
    if manifests.is_finished(out):
        shards = manifests.read(out).shards
        return {f"{each.config}-{each.split}-{each.index:05d}": each.rows for each in shards}
    entries = state.entries(tasks(plan, limit, how.shard_rows))
    return {task.name: entry.shard.rows for task, entry in entries.items()}


def _rate(plan: Plan, engine: Engine, left: dict[Task, int], redraw: bool) -> Rate | None:
    """Time a few batches of one kind of rows; None where none of the kind is left."""
    own = [task for task in left if plan.recipe.redraws(task.config) == redraw]
    if not own:
        return None
    room = sum(lane.window for lane in engine.lanes)
    begin, ends, sizes = time.monotonic(), list[tuple[float, int]](), list[int]()
    for _, batch, records in engine.make(_batches(plan, own, engine, room * _ROUNDS, redraw)):
        ends.append((time.monotonic(), len(batch.rows)))
        sizes += [len(record["image"]["bytes"]) for record in records if not isinstance(record, Failed)]
    # All workers are busy after the first round; without a second round the start-up counts too.
    warm = room if len(ends) > room else 0
    seconds = ends[-1][0] - (ends[warm - 1][0] if warm else begin)
    counted = sum(count for _, count in ends[warm:])
    return Rate(sum(left[task] for task in own), counted / max(seconds, 1e-6), sum(sizes) / max(len(sizes), 1))


def _batches(plan: Plan, own: list[Task], engine: Engine, most: int, redraw: bool) -> Iterator[Batch]:
    size = engine.batch_size
    rows = [row for task in own[:most] for row in task_rows(plan, task)][: size * most]
    engine.prepare(rows)
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        yield Batch(part, [None] * len(part), redraw)


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
