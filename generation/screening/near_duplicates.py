"""Hashes -> near-duplicates: for every image the earliest near-duplicate.

Exact, by the pigeonhole principle: two hashes that differ in at most d bits, cut into b > d blocks, agree on at
least b - d whole blocks. So hashes are sorted by each choice of b - d blocks, and only those that agree there (a run)
are compared. Few blocks mean few sorts and long runs, many blocks the reverse; the number of hashes decides.
"""

from collections.abc import Iterator
from itertools import combinations
from math import comb

import numpy as np

# Of 600 guides of real photos, recompressed, resized, brightened, blurred or moved by two pixels, the hashes of 73,
# 94 and 99 % stay within 0, 2 and 4 bits; of 414,172 pairs that share only their background photo, 1, 23 and 242 do.
# Half of a perceptual hash's bits are ones, so that two differ in an even number: 3 finds no more than 2, and slower.
DISTANCE = 2

_LONG_RUN = 256
_CUBE_BITS = 24  # 2**24 int64 are 128 MiB
# Cost model, in hash comparisons: sorting one hash, and updating one cell of the cube from its neighbour.
_SORT, _CELL = 4, 1 / 16


def earlier_twins(hashes: np.ndarray, distance: int = DISTANCE) -> np.ndarray:
    """Return for each hash the index of the earliest row before it that differs in at most `distance` bits.

    Being twins is not transitive: row 2 may be a twin of row 1, and row 1 of row 0, where row 2 is none of row 0.

    Equal hashes are processed once. For distinct ones time is near-linear while they are spread out: 1 s and 0.1 GB
    for a million, 20 s and 1.1 GB for 12 million. A run of more than 256 is searched by its remaining bits, so that a
    million hashes that agree on a block cost the same, and a million that differ in only 32 or 24 bits some six times
    as much.

    Args:
        hashes: (n,) uint64.
        distance: maximum number of differing bits, 0 to 16; time grows steeply beyond 6.

    Returns:
        (n,) int64, -1 where there is none.

    Raises:
        ValueError: hashes of another type or shape, or a distance out of range.
    """
    if hashes.dtype != np.uint64 or hashes.ndim != 1:
        raise ValueError(f"hashes: expected (n,) uint64, got {hashes.shape} {hashes.dtype}")
    if not 0 <= distance <= 16:
        raise ValueError(f"distance: expected 0 to 16 bits, got {distance}")
    distinct, first, group = np.unique(hashes, return_index=True, return_inverse=True)
    earliest = _earliest(distinct, first, list(range(64)), distance) if distance else first
    twins = earliest[group]
    twins[twins == np.arange(len(hashes))] = -1
    return twins


def _earliest(hashes: np.ndarray, first: np.ndarray, bits: list[int], distance: int) -> np.ndarray:
    """Return the least `first` among the twins, itself included, of each hash.

    Args:
        hashes: (n,) uint64, distinct, differing in `bits` only.
        first: (n,) int64, the row of each.
        bits: positions of bits, 0 the lowest.
        distance: greatest number of bits that twins differ in, 1 or more.
    """
    varying = int(np.bitwise_or.reduce(hashes ^ hashes[:1]))
    bits = [bit for bit in bits if varying >> bit & 1]
    blocks = _blocks(len(hashes), len(bits), distance)
    if blocks == 0:
        return _earliest_in_cube(hashes, first, bits, distance)
    earliest = first.copy()
    for key in _keys(bits, blocks, distance):
        mask = np.uint64(sum(1 << bit for bit in key))
        order = np.argsort(hashes & mask)
        short = np.ones(len(order), dtype=bool)
        for start, stop in _long_runs((hashes & mask)[order]):
            short[start:stop] = False
            run, free = order[start:stop], [bit for bit in bits if bit not in key]
            earliest[run] = np.minimum(earliest[run], _earliest(hashes[run], first[run], free, distance))
        for one, other in _near(hashes[order], mask, short, distance):
            one, other = order[one], order[other]  # no hash stands twice in either
            earliest[one] = np.minimum(earliest[one], first[other])
            earliest[other] = np.minimum(earliest[other], first[one])
    return earliest


def _blocks(n: int, bits: int, distance: int) -> int:
    """Return the number of blocks with the lowest expected cost; 0 selects the cube."""
    cost = {
        blocks: comb(blocks, distance) * n * (_SORT + n / 2 ** (bits * (blocks - distance) / blocks + 1))
        for blocks in range(distance + 1, min(distance + 4, bits) + 1)
    }
    if bits <= _CUBE_BITS:
        cost[0] = _CELL * distance * bits * 2**bits
    return min(cost, key=cost.__getitem__)


def _keys(bits: list[int], blocks: int, distance: int) -> Iterator[frozenset[int]]:
    """Yield the bits of every choice of `blocks - distance` out of `blocks` blocks of nearly equal size."""
    parts = [bits[i::blocks] for i in range(blocks)]  # interleaved: bits with low variance are neighbours
    for chosen in combinations(parts, blocks - distance):
        yield frozenset(bit for part in chosen for bit in part)


def _long_runs(ordered: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield start and stop of every run of more than `_LONG_RUN` equal values."""
    values = np.unique(ordered[_LONG_RUN:][ordered[_LONG_RUN:] == ordered[:-_LONG_RUN]])
    starts, stops = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    yield from zip(starts.tolist(), stops.tolist(), strict=True)


def _near(
    ranked: np.ndarray, mask: np.uint64, short: np.ndarray, distance: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the places of the twins in short runs: those next to each other, then those two apart, and so on.

    Args:
        ranked: (n,) uint64, hashes sorted by what `mask` leaves of them; a run is equal there.
        mask: the bits of the key.
        short: (n,) bool, whether a place belongs to a short run.
        distance: greatest number of bits that twins differ in.
    """
    left, lag = np.flatnonzero(short[:-1] & ((ranked[:-1] ^ ranked[1:]) & mask == 0)), 1
    while len(left):
        differing = ranked[left] ^ ranked[left + lag]
        together = differing & mask == 0
        left, differing = left[together], differing[together]
        near = left[np.bitwise_count(differing) <= distance]
        yield near, near + lag
        lag += 1
        left = left[: np.searchsorted(left, len(ranked) - lag)]


def _earliest_in_cube(hashes: np.ndarray, first: np.ndarray, bits: list[int], distance: int) -> np.ndarray:
    """Return the same as `_earliest`, from a table of all 2**len(bits) hashes: for hashes that crowd into few bits.

    The least of all within distance d is d times the least of all within distance 1, each over the whole table.
    """
    place = np.zeros(len(hashes), dtype=np.int64)
    for i, bit in enumerate(bits):
        place |= ((hashes >> np.uint64(bit)) & np.uint64(1)).astype(np.int64) << i
    cube = np.full(2 ** len(bits), np.iinfo(np.int64).max)
    cube[place] = first
    for _ in range(distance):
        before = cube.copy()
        for i in range(len(bits)):
            pairs, flipped = (each.reshape(-1, 2, 1 << i) for each in (cube, before))
            np.minimum(pairs, flipped[:, ::-1], out=pairs)
    return cube[place]
