"""Columns of text at any number of rows: held as Arrow arrays, a tenth of Python's strings, until somebody asks.

A key is a different string in every row; the name of a photo stands in many, so a file's photos are codes of a
dictionary. Order is that of code points, in Arrow (bytes of UTF-8) as in NumPy and Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from jaxtyping import Int

Strings = np.ndarray | pa.Array | pa.ChunkedArray  # NumPy's hold Python's strings, None where there is none
_STEP = 1 << 17  # keys that are joined at a time
_ADDRESSED = (1 << 31) - 1  # bytes


class Text:
    """A field of text in a dataclass: given as any `Strings`, read as (n,) NumPy array of Python's strings.

    What Arrow holds becomes Python's strings where it is first read, and stays so; `stored` leaves it as it is.
    """

    def __init__(self, *default: None) -> None:
        self._default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Any: ...
    @overload
    def __get__(self, instance: object, owner: type) -> np.ndarray: ...
    def __get__(self, instance: object | None, owner: type) -> Any:
        if instance is None:
            if not self._default:
                raise AttributeError  # a dataclass takes it for a field without a default
            return self._default[0]
        values = vars(instance)[self._name]
        if isinstance(values, pa.Array | pa.ChunkedArray):
            values = vars(instance)[self._name] = values.to_numpy(zero_copy_only=False)
        return values

    def __set__(self, instance: object, value: Strings | None) -> None:
        vars(instance)[self._name] = value


def stored(instance: object, name: str) -> Any:
    """Return a field's values as they are held."""
    return vars(instance)[name]


def taken(values: Any, rows: np.ndarray[Any, Any]) -> Any:
    """Return some rows of a column, however it is held: `rows` is (m,) int."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values.take(pa.array(rows))
    return values[rows]


def joined(pieces: Sequence[pa.Array]) -> pa.Array:
    """Return strings in one array: of 64-bit offsets only where 32 bits cannot address them."""
    size = sum(each.nbytes for each in pieces)
    kind = pa.string() if size < _ADDRESSED else pa.large_string()
    return pa.concat_arrays([each.cast(kind) for each in pieces]) if pieces else pa.array([], kind)


def _arrow(values: Strings) -> pa.Array:
    if isinstance(values, np.ndarray):
        return joined([pa.array(values.tolist(), pa.large_string())])
    return joined(values.chunks) if isinstance(values, pa.ChunkedArray) else values


def differing(values: Strings, wanted: Strings) -> Int[np.ndarray, " m"]:
    """Return the places where two columns of as many strings differ, None being equal to None."""
    one, other = (_decoded(each) for each in (values, wanted))
    same = pc.fill_null(pc.equal(one, other), False)
    return np.flatnonzero(~np.asarray(pc.or_(same, pc.and_(pc.is_null(one), pc.is_null(other)))))


def _decoded(values: Strings) -> pa.Array:
    whole = _one(values) if isinstance(values, pa.ChunkedArray) else _arrow(values)
    return whole.cast(pa.large_string())


def release() -> None:
    """Give memory that Arrow is done with back: by itself it keeps as much as it ever took, for a while."""
    pa.default_memory_pool().release_unused()


def codes(values: Strings) -> Int[np.ndarray, " n"]:
    """Return (n,) strings as int64 codes in sorted order, -1 where a value is None."""
    if isinstance(values, np.ndarray):
        known = np.array([value is not None for value in values], dtype=bool)
        answer = np.full(len(values), -1, dtype=np.int64)
        answer[known] = np.unique(values[known].astype(str), return_inverse=True)[1]
        return answer
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    if isinstance(values, pa.ChunkedArray):
        values = values.unify_dictionaries().combine_chunks()
    assert isinstance(values, pa.DictionaryArray)
    place = values.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    used = np.zeros(len(values.dictionary), dtype=bool)
    used[place[place >= 0]] = True
    order = np.asarray(pc.sort_indices(values.dictionary))
    order = order[used[order]]
    rank = np.full(len(used) + 1, -1, dtype=np.int64)  # the last: of no value
    rank[order] = np.arange(len(order))
    return rank[place]


def codes_of(columns: Sequence[Strings]) -> Int[np.ndarray, " n"]:
    """Return the strings of several columns, one after the other, as codes that they share (`codes`)."""
    kind = pa.dictionary(pa.int32(), pa.string())
    pieces = [_encoded(each, kind) for each in columns]
    return codes(pa.chunked_array(pieces, kind))


def _encoded(values: Strings, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = values.unify_dictionaries().combine_chunks()
    whole = _arrow(values)
    return whole.cast(kind) if pa.types.is_dictionary(whole.type) else whole.cast(pa.string()).dictionary_encode()


def order_of(keys: Strings) -> tuple[np.ndarray | None, bool]:
    """Return the (n,) rows in sorted order, None where they stand so already; and whether all keys are different."""
    order, values = in_order(keys)
    return order, rises(values)


def in_order(keys: Strings) -> tuple[np.ndarray | None, pa.ChunkedArray]:
    """Return the (n,) rows in sorted order, None where they stand so already; and the keys in that order."""
    values = keys if isinstance(keys, pa.ChunkedArray) else _arrow(keys)
    if rises(values):
        return None, values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])
    values = _arrow(values)
    order = np.asarray(pc.sort_indices(values))
    # Piece by piece: at once, the answer would be built with as much room again.
    pieces = [values.take(pa.array(order[start : start + _STEP])) for start in range(0, len(order), _STEP)]
    return order, pa.chunked_array(pieces)


def rises(values: pa.Array | pa.ChunkedArray) -> bool:
    """Return whether each value is above the one before."""
    for start in range(0, len(values) - 1, _STEP):
        stop = min(start + _STEP, len(values) - 1)
        here, after = (values.slice(at, stop - start) for at in (start, start + 1))
        if not pc.all(pc.less(_one(here), _one(after))).as_py():
            return False
    return True


def _one(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def common(keys: Sequence[Strings]) -> tuple[list[np.ndarray], int]:
    """Join keys that stand in all of several columns.

    Args:
        keys: two or more columns, each sorted and all different.

    Returns:
        The rows in each of the keys that all have, (m,) in sorted order; how many keys there are in all.
    """
    columns = [each if isinstance(each, pa.ChunkedArray) else _arrow(each) for each in keys]
    if len({each.type for each in columns}) > 1:
        columns = [each.cast(pa.large_string()) for each in columns]
    if all(each.equals(columns[0]) for each in columns[1:]):
        return [np.arange(len(columns[0])) for _ in columns], len(columns[0])
    found: list[list[np.ndarray]] = [[] for _ in columns]
    everywhere = 0
    for cuts in _blocks(columns):
        parts = [_one(each.slice(start, stop - start)) for each, (start, stop) in zip(columns, cuts, strict=True)]
        counts = pc.value_counts(pa.concat_arrays(parts))
        everywhere += len(counts)
        # Of equal keys the first column's comes first, so that these are sorted as it is.
        shared = counts.field("values").filter(pc.equal(counts.field("counts"), len(columns)))
        for rows, part, (start, _) in zip(found, parts, cuts, strict=True):
            rows.append(np.asarray(pc.index_in(shared, value_set=part), dtype=np.int64) + start)
    return [np.concatenate(each) for each in found], everywhere


def _blocks(columns: list[Any]) -> Iterator[list[tuple[int, int]]]:
    """Yield where each column begins and ends in blocks that hold the same range of keys in all."""
    longest = max(columns, key=len)
    starts = [0] * len(columns)
    for at in range(_STEP, len(longest), _STEP):
        stops = [_place(each, longest[at].as_py()) for each in columns]
        yield list(zip(starts, stops, strict=True))
        starts = stops
    yield [(start, len(each)) for start, each in zip(starts, columns, strict=True)]


def _place(column: Any, key: str) -> int:
    """Return how many keys of a sorted column are below one."""
    low, high, wanted = 0, len(column), key.encode()
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if column[middle].as_py().encode() < wanted else (low, middle)
    return low
