"""What a run will take, from a few rows really made: rows, bytes, images a second, hours, GPU-hours."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from generation.engine import Batch, Engine
from generation.how import How, open_engine
from generation.make import pending
from generation.maker import Failed
from generation.plan import Plan
from generation.state import Begun, State
from generation.tasks import Task, part_of, task_rows, tasks
from generation.watch import duration

_ROUNDS = 3  # batches a lane makes; the first of all lanes is warm-up and not counted


@dataclass(frozen=True)
class Rate:
    """How fast one kind of rows is made, and how large it is.

    Attributes:
        rows: rows of the kind that are still to be made.
        per_second: rows a second, all lanes together.
        bytes_a_row: mean size of an encoded image.
    """

    rows: int
    per_second: float
    bytes_a_row: float

    @property
    def hours(self) -> float:
        """Hours for all rows."""
        return self.rows / self.per_second / 3600


@dataclass(frozen=True)
class Estimate:
    """What is left of a release: `redrawn` images and plain `guides`, None where there are none; and on how many lanes.

    A lane is a GPU, or a machine without one.
    """

    redrawn: Rate | None
    guides: Rate | None
    lanes: int
    shards: int

    def lines(self) -> list[str]:
        """Return it for a person."""
        kinds = [("redrawn images", self.redrawn), ("plain guides", self.guides)]
        lines = [
            f"  {rate.rows:,} {name}: {rate.per_second:.2f} img/s, {rate.bytes_a_row / 1e3:.0f} kB each: "
            f"{duration(rate.hours)}, {_bytes(rate.rows * rate.bytes_a_row)}"
            for name, rate in kinds
            if rate
        ]
        rates = [rate for _, rate in kinds if rate]
        hours, size = sum(rate.hours for rate in rates), sum(rate.rows * rate.bytes_a_row for rate in rates)
        lanes = f"{self.lanes} lane{'s' if self.lanes > 1 else ''}"
        work = (
            f"; redrawing takes {duration(self.redrawn.hours * self.lanes)} of lanes (GPU-hours, if GPUs)"
            if self.redrawn
            else ""
        )
        return [
            f"left to make: {sum(rate.rows for rate in rates):,} rows in {self.shards:,} shards, on {lanes}",
            *lines,
            f"  in all {duration(hours)}, {_bytes(size)}{work}",
        ]


def estimate(plan: Plan, out: Path | None, how: How, limit: int | None) -> Estimate | None:
    """Make a few rows of what is left and throw them away; None where nothing is left.

    Args:
        plan: the rows.
        out: the release's folder, which is only read; None counts everything as left.
        how: where and how.
        limit: rows of the plan that are wanted.
    """
    limit = min(limit or len(plan), len(plan))
    wanted = tasks(plan, limit, how.shard_rows)
    if out is not None:
        State(out).check(Begun(recipe=plan.recipe.name, plan_digest=plan.digest, shard_rows=how.shard_rows,
                               limit=limit, resample=how.resample))  # fmt: skip
        wanted = _left(plan, out, wanted, how)
    wanted = wanted if how.part is None else part_of(wanted, *how.part)
    if not wanted:
        return None
    kinds = {
        redraw: [task for task in wanted if plan.recipe.redraws(task.config) == redraw] for redraw in (True, False)
    }
    with open_engine(plan, how) as engine:
        rates = {redraw: _rate(plan, engine, own, redraw) for redraw, own in kinds.items() if own}
        lanes = len(engine.lanes)
    return Estimate(rates.get(True), rates.get(False), lanes, len(wanted))


def _left(plan: Plan, out: Path, wanted: list[Task], how: How) -> list[Task]:
    """Return the shards that are not on disk, whether the release is finished or still being made."""
    state = State(out)
    if (out / "manifest.json").is_file():
        return [task for task in wanted if not (out / task.path).is_file()]
    return pending(plan, state, wanted, how.resample, True)


def _rate(plan: Plan, engine: Engine, own: list[Task], redraw: bool) -> Rate:
    rows = sum(task.stop - task.start for task in own)
    room = sum(lane.window for lane in engine.lanes)
    size, ends, made = 0, list[tuple[float, int]](), 0
    for _, batch, records in engine.make(_batches(plan, own, engine.batch_size, room * _ROUNDS, redraw)):
        ends.append((time.monotonic(), len(batch.rows)))
        for record in records:
            if not isinstance(record, Failed):
                size, made = size + len(record["image"]["bytes"]), made + 1
    # The first batches of all lanes end together: from then on the lanes are full.
    warm = min(room, len(ends) - 1) if len(ends) > 1 else 0
    seconds = max(ends[-1][0] - ends[max(warm - 1, 0)][0], 1e-6) if len(ends) > 1 else 1e-6
    counted = sum(count for _, count in ends[warm:]) if warm else sum(count for _, count in ends)
    return Rate(rows, counted / seconds, size / max(made, 1))


def _batches(plan: Plan, own: list[Task], size: int, most: int, redraw: bool) -> Iterator[Batch]:
    rows = [row for task in own[:most] for row in task_rows(plan, task)][: size * most]
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        yield Batch(part, [None] * len(part), redraw)


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
