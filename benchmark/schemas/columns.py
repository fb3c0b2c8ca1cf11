"""Columns of a Parquet file, read one at a time and in pieces: memory holds a column as it is kept, and one piece."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.schemas.text import in_order, joined, release, rises
from d3s_dataset.errors import ResultError, one_line

_PIECE = 1 << 17  # rows

Check = Callable[[np.ndarray], object]


class Reader:
    """Columns of one file; `place` is (n,) where each row belongs, None: where it stands.

    Raises:
        ResultError: from every method, for a file or a column that is other than expected.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place: np.ndarray | None = None
        try:
            self._file = pq.ParquetFile(path)
        except FileNotFoundError:
            raise ResultError(
                f"no predictions at {path}: expected the Parquet file that benchmark.run writes"
            ) from None
        except (pa.ArrowException, OSError) as error:
            if path.suffix == ".json":
                other = path.with_suffix(".parquet")
                raise ResultError(f"{path} is a JSON file: expected the predictions next to it, {other}") from None
            raise self._unreadable(error) from None
        self.names: list[str] = self._file.schema_arrow.names
        self.metadata: dict[bytes, bytes] = self._file.schema_arrow.metadata or {}
        self.n: int = self._file.metadata.num_rows

    def keys(self, wanted: pa.Field, ordered: bool) -> tuple[pa.Array | pa.ChunkedArray, bool]:
        """Return strings of which each stands once, and whether that is so; `ordered` sorts them and what follows."""
        values = joined(list(self._pieces(wanted)))
        order, sorted_ = in_order(values)
        if ordered and order is not None:
            self.place = np.empty(self.n, dtype=np.int32 if self.n < 1 << 31 else np.int64)
            self.place[order] = np.arange(self.n, dtype=self.place.dtype)
        return sorted_ if ordered else values, rises(sorted_)

    def strings(self, wanted: pa.Field) -> pa.DictionaryArray:
        """Return strings that stand in many rows, as codes of a dictionary."""
        pieces = [piece.dictionary_encode() for piece in self._pieces(wanted)]
        whole = pa.chunked_array(pieces, pa.dictionary(pa.int32(), pa.string())).unify_dictionaries()
        codes = np.empty(self.n, dtype=np.int32)
        dictionary = whole.chunk(0).dictionary if whole.num_chunks else pa.array([], pa.string())
        for start, piece in _starts(whole.chunks):
            self._put(codes, start, piece.indices.fill_null(-1).to_numpy(zero_copy_only=False))
        unknown = codes < 0
        indices = pa.array(codes, mask=unknown) if unknown.any() else pa.array(codes)
        return pa.DictionaryArray.from_arrays(indices, dictionary)

    def numbers(self, wanted: pa.Field, check: Check, keep: bool = True, short: bool = False) -> np.ndarray | None:
        """Return numbers, (n,), of which `check` sees each piece; None without `keep`; `short`: in 16 bits."""
        answer = np.empty(self.n, dtype=wanted.type.to_pandas_dtype()) if keep else None
        for start, piece in _starts(self._pieces(wanted)):
            values = piece.to_numpy(zero_copy_only=False)
            check(values)
            if answer is not None:
                self._put(answer, start, values)
        if short and answer is not None and answer.max(initial=0) < 1 << 15:
            return answer.astype(np.int16)
        return answer

    def lists(self, wanted: pa.Field, lengths: range, check: Check, keep: int) -> tuple[np.ndarray | None, int]:
        """Return the first `keep` numbers of lists of one length as (n, k), None for 0; and the length."""
        answer, length = None, lengths[-1]
        for start, piece in _starts(self._pieces(wanted)):
            found = set(np.unique(np.asarray(piece.value_lengths())).tolist())
            if len(found) > 1 or not found <= set(lengths) or (start and found != {length}):
                lists = f"lists of {length}" if len(lengths) == 1 else f"lists of one length, 1 to {lengths[-1]},"
                raise ResultError(f"{self.path}: expected {lists} in column {wanted.name}")
            (length,) = found
            values = piece.flatten().to_numpy(zero_copy_only=False).reshape(len(piece), length)
            check(values)
            if keep:
                answer = np.empty((self.n, min(keep, length)), dtype=values.dtype) if answer is None else answer
                self._put(answer, start, values[:, :keep])
        if keep and answer is None:
            answer = np.empty((0, length))
        return answer, length

    def filled(self, name: str) -> bool:
        """Return whether a column is there, with a value in some row."""
        return name in self.names and any(piece.null_count < len(piece) for piece in self._raw(name))

    def _put(self, answer: np.ndarray, start: int, values: np.ndarray) -> None:
        rows = slice(start, start + len(values))
        answer[rows if self.place is None else self.place[rows]] = values

    def _pieces(self, wanted: pa.Field) -> Iterator[Any]:
        nulls = 0
        for piece in self._raw(wanted.name):
            try:
                values = piece.cast(wanted.type)
                values.validate(full=True)
            except pa.ArrowException:
                raise ResultError(
                    f"{self.path}: expected {wanted.type} in column {wanted.name}, got {piece.type}"
                ) from None
            nulls += values.null_count
            if nulls and not wanted.nullable:
                continue  # they are counted to the end
            yield values
        if nulls and not wanted.nullable:
            raise ResultError(f"{self.path}: column {wanted.name} has {nulls} nulls, expected none")

    def _raw(self, name: str) -> Iterator[Any]:
        try:
            for batch in self._file.iter_batches(_PIECE, columns=[name]):
                yield batch.column(0)
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(error) from None
        finally:
            release()

    def _unreadable(self, error: Exception) -> ResultError:
        return ResultError(f"{self.path} cannot be read as a Parquet file of predictions: {one_line(error)}")


def _starts(pieces: Any) -> Iterator[tuple[int, Any]]:
    start = 0
    for piece in pieces:
        yield start, piece
        start += len(piece)
