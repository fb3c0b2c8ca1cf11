"""Shards of a release: which there are, the pending rows of one, and reading and atomic writing of its Parquet file.

The bytes of a shard depend on its rows alone.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from d3s_dataset.manifest import Failure, shard_path
from d3s_dataset.schema import arrow_schema
from d3s_dataset.utils.atomic import write_atomic
from generation.planning.controls import derive
from generation.planning.plan import Plan, Row

_ROW_GROUP = 100  # rows; 100-256 at 512 px let a reader skip and prefetch (datasets' own advice)
RETRIES = 1  # new seeds for a row whose image was not finite


def write_shard(
    path: Path, records: Sequence[dict[str, Any]], backgrounds: Sequence[str], config: str = "default"
) -> tuple[int, str]:
    """Write rows to a Parquet file, atomically; return its (bytes, SHA-256).

    Args:
        path: the file; its folder is created if missing.
        records: one dict per row, with the fields of `d3s_dataset.schema.Record`, or of `Ballot` for `votes`.
        backgrounds: names of the background labels.
        config: the config, which defines the columns.

    Raises:
        WriteError: the disk is full, or the folder cannot be written.
    """
    table = pa.Table.from_pylist(list(records), schema=arrow_schema(backgrounds, config))
    # As datasets' own writer: pages can be skipped, and unchanged ones are not uploaded again.
    options: dict[str, Any] = {"use_content_defined_chunking": True, "write_page_index": True}
    # In memory first: on a full disk pyarrow with content-defined chunking aborts the process instead of raising.
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=_ROW_GROUP, compression="snappy", **options)
    content = memoryview(sink.getvalue())
    write_atomic(path, content)
    return content.nbytes, hashlib.sha256(content).hexdigest()


def read_records(path: Path) -> dict[str, dict[str, Any]]:
    """Return a shard's rows by key; empty where the file is missing or cannot be read."""
    try:
        return {record["key"]: record for record in pq.read_table(path).to_pylist()}
    except (OSError, pa.ArrowInvalid):
        return {}


@dataclass(frozen=True)
class Task:
    """One shard: rows `start` to `stop` of a split in a config, file `index` of `count`."""

    config: str
    split: str
    index: int
    count: int
    start: int
    stop: int

    @property
    def path(self) -> str:
        """The shard's path inside the release."""
        return shard_path(self.config, self.split, self.index, self.count)

    @property
    def name(self) -> str:
        """Name of the shard in the state; it does not change when the release grows."""
        return f"{self.config}-{self.split}-{self.index:05d}"


def tasks(plan: Plan, limit: int, shard_rows: int) -> list[Task]:
    """Return all shards of the first `limit` rows of a plan: the images first, then the controls."""
    found = []
    for config in plan.recipe.configs():
        for split, rows in plan.split_rows(limit).items():
            if config != "default" and split not in plan.recipe.controls.splits:
                continue
            count = -(-rows // shard_rows)
            found += [
                Task(config, split, i, count, i * shard_rows, min((i + 1) * shard_rows, rows)) for i in range(count)
            ]
    return found


def part_of(all_tasks: list[Task], part: int, parts: int) -> list[Task]:
    """Return part `part` (1 to `parts`) of the shards: every `parts`-th, so that each part contains all kinds."""
    return all_tasks[part - 1 :: parts]


def task_rows(plan: Plan, task: Task) -> list[Row]:
    """Return the planned rows of a shard."""
    rows = plan.rows(task.split, task.start, task.stop)
    return [derive(row, task.config, plan.recipe) for row in rows]


@dataclass
class Wanted:
    """Selection of existing rows that a run makes in addition to missing ones.

    Attributes:
        resample: maximum number of new seeds for redrawn images that fail a screen.
        again: keys of existing rows to regenerate.
        first: whether rows that failed in an earlier run are retried; only in the first pass.
        tried: (shard, key) of existing images -> last attempt that failed.
        lost: key of existing images -> reason of the failed retry.
    """

    resample: int = 0
    again: frozenset[str] = frozenset()
    first: bool = True
    tried: dict[tuple[str, str], int] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)


def next_try(
    row: Row, record: Mapping[str, Any] | None, failure: Failure | None, resample: int, first: bool, tried: int = 0
) -> Row | None:
    """Return the pending attempt of a planned row, with its seed; None where the row is complete.

    Args:
        row: the planned row.
        record: its record, if any.
        failure: its failure, if an earlier attempt failed.
        resample: maximum number of new seeds for a redrawn image that fails a screen.
        first: whether this is the run's first pass, in which failed rows are retried.
        tried: the last attempt after the record's own that failed.
    """
    if record is not None:
        last = max(record["attempt"], tried)
        again = record["generator"] is not None and record["screen_failed"] and last < resample
        return row.again(last + 1) if again else None
    if failure is None or first:
        return row
    again = failure.stage == "diffuse" and failure.attempt < RETRIES
    return row.again(failure.attempt + 1) if again else None
