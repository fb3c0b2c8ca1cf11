"""Shards: read and atomically write one Parquet file of rows. The bytes depend on the rows alone."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from d3s_dataset.schema import arrow_schema
from d3s_dataset.utils.atomic import write_atomic

_ROW_GROUP = 100  # rows; 100-256 at 512 px let a reader skip and prefetch (datasets' own advice)


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
