"""The Parquet reader and writer of pyarrow."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from pyarrow import BufferOutputStream, RecordBatch, Schema, Table

_Source: TypeAlias = str | Path | BinaryIO

class FileMetaData:
    @property
    def num_rows(self) -> int: ...
    @property
    @property
    def num_row_groups(self) -> int: ...
    def row_group(self, i: int, /) -> Any: ...

class ParquetFile:
    def __init__(
        self,
        source: _Source,
        *,
        read_dictionary: Sequence[str] | None = None,
        thrift_string_size_limit: int | None = None,
    ) -> None: ...
    @property
    def num_row_groups(self) -> int: ...
    @property
    def metadata(self) -> FileMetaData: ...
    @property
    def schema_arrow(self) -> Schema: ...
    def read(self, columns: Sequence[str] | None = None) -> Table: ...
    def iter_batches(
        self,
        batch_size: int = ...,
        row_groups: Sequence[int] | None = None,
        columns: Sequence[str] | None = None,
        use_threads: bool = True,
    ) -> Iterator[RecordBatch]: ...

def read_schema(where: _Source) -> Schema: ...
def read_table(source: _Source, columns: Sequence[str] | None = None) -> Table: ...
def write_table(table: Table, where: _Source | BufferOutputStream, compression: str = ..., **options: Any) -> None: ...
