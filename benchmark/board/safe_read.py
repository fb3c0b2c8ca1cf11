"""Reads of a stranger's file that are bounded before they are made: rows, bytes, strings, memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.schemas.predictions import FACTORS, OPTIONAL, SCHEMA
from d3s_dataset.errors import ResultError, one_line

LONGEST = 256  # characters of a string
_ROW = 512  # bytes of a row of predictions, packed or not; real ones have 60 and 150
_SLACK = 1 << 20  # bytes in addition to the rows


def most_bytes(rows: int) -> int:
    """Return how many bytes predictions of so many images may have, packed or not."""
    return _SLACK + _ROW * rows


@contextmanager
def bounded_memory(more: int = 3 << 30) -> Iterator[None]:
    """Let this process take at most `more` bytes beyond what it has; past that, allocations raise MemoryError.

    By the operating system's own limit: where it has none (Windows, macOS), the block runs without. The default leaves
    room for the allocators' own reserves, 1 GiB at a time.
    """
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[5])
    except (ImportError, OSError):
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_DATA)
    most = pages * resource.getpagesize() + more
    limits = [each for each in (most, *before) if each != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def check_footer(path: Path, rows: int) -> None:
    """Raise ResultError where the file claims other rows, other columns or more bytes than n predictions have."""
    try:
        there = pq.ParquetFile(path, thrift_string_size_limit=_SLACK).schema_arrow.names
        names = [each.name for each in SCHEMA if pa.types.is_string(each.type)]
        names += [each.name for each in FACTORS if pa.types.is_string(each.type) and each.name in there]
        file = pq.ParquetFile(path, read_dictionary=names, thrift_string_size_limit=_SLACK)
        facts = file.metadata
        if facts.num_rows != rows:
            raise ResultError(f"{path.name} has {facts.num_rows:,} predictions, the images are {rows:,}")
        columns = sorted(file.schema_arrow.names)
        known, least = {*SCHEMA.names, *FACTORS.names}, set(SCHEMA.names) - OPTIONAL[max(OPTIONAL)]
        if len(set(columns)) < len(columns) or not least <= set(columns) <= known:
            raise ResultError(f"{path.name}: expected the columns of benchmark.run's, got {', '.join(columns)[:200]}")
        size = sum(facts.row_group(each).total_byte_size for each in range(facts.num_row_groups))
        if size > most_bytes(rows) or facts.num_row_groups > rows:
            raise ResultError(f"{path.name} unpacks to {size:,} bytes, expected at most {most_bytes(rows):,}")
        for name in names:
            if not _is_text(file.schema_arrow.field(name).type):
                raise ResultError(f"{path.name}: expected strings in {name}, got {file.schema_arrow.field(name).type}")
        longest = max(_longest(file.read(columns=[name])[name]) for name in names)
    except (pa.ArrowException, OSError, MemoryError, KeyError, ValueError) as error:
        raise ResultError(f"{path.name} cannot be read as a Parquet file: {one_line(error)}") from None
    if longest > LONGEST:
        raise ResultError(f"{path.name} holds a string of {longest:,} characters, expected at most {LONGEST}")


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind.value_type if pa.types.is_dictionary(kind) else kind)


def _longest(column: pa.ChunkedArray) -> int:
    """Return the length of the longest string, looking at each dictionary once."""
    parts = [each.dictionary if pa.types.is_dictionary(each.type) else each for each in column.chunks]
    lengths = [int(np.diff(np.asarray(_offsets(part))).max(initial=0)) for part in parts if len(part)]
    return max(lengths, default=0)


def _offsets(strings: Any) -> np.ndarray:
    if not pa.types.is_string(strings.type):
        raise pa.ArrowInvalid(f"expected strings, got {strings.type}")
    buffer = strings.buffers()[1]
    return np.frombuffer(buffer, dtype=np.int32, count=len(strings) + strings.offset + 1)[strings.offset :]
