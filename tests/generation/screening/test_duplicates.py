import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.screening import near_duplicates
from generation.screening.near_duplicates import _earliest_in_cube, earlier_twins


def brute(hashes, distance):
    """Each hash against every earlier one."""
    n = len(hashes)
    near = np.bitwise_count(hashes[:, None] ^ hashes[None, :]) <= distance
    near &= np.arange(n)[None, :] < np.arange(n)[:, None]
    earliest = np.where(near, np.arange(n), n).min(axis=1, initial=n)
    return np.where(earliest < n, earliest, -1)


def crowd(seed, n, centres, flips, bits=64):
    """Hashes around a few centres, up to `flips` bits away, in the lowest `bits` bits, and one far from all."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**bits, centres, np.uint64, endpoint=False)[rng.integers(0, centres, n)]
    for _ in range(flips):
        hashes = hashes ^ (np.uint64(1) << rng.integers(0, bits, n).astype(np.uint64))
    return np.append(hashes, np.uint64(0xFEDCBA9876543210))


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), max_size=30), st.integers(0, 16))
def test_any_hashes_agree_with_brute_force(hashes, distance):
    hashes = np.array(hashes, dtype=np.uint64)
    assert earlier_twins(hashes, distance).tolist() == brute(hashes, distance).tolist()


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 400), st.integers(1, 40), st.integers(0, 9), st.integers(0, 10))
def test_crowded_hashes_agree_with_brute_force(seed, n, centres, flips, distance):
    hashes = crowd(seed, n, centres, flips)
    assert (earlier_twins(hashes, distance) == brute(hashes, distance)).all()


@pytest.mark.parametrize("bits", [11, 14, 20, 40, 64])
@pytest.mark.parametrize("distance", [1, 2, 3, 5])
def test_long_runs_agree_with_brute_force(bits, distance):
    """Thousands that agree on all but a few bits, which are spread over the hash."""
    hashes = crowd(bits, 3000, 1000, 4, min(bits, 63))
    spread = np.zeros_like(hashes)
    for i in range(bits):
        spread |= ((hashes >> np.uint64(i)) & np.uint64(1)) << np.uint64(i * 64 // bits)
    assert (earlier_twins(spread, distance) == brute(spread, distance)).all()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32), st.integers(1, 150), st.integers(1, 12), st.integers(1, 4))
def test_every_way_to_search_finds_the_same(seed, n, bits, distance):
    """Short runs, long runs and the cube, each forced in turn."""
    hashes = np.unique(crowd(seed, n, 50, 3, bits)[:-1])
    first = np.random.default_rng(seed).permutation(len(hashes))
    near = np.bitwise_count(hashes[:, None] ^ hashes[None, :]) <= distance
    expected = np.where(near, first[None, :], n).min(axis=1)
    assert (_earliest_in_cube(hashes, first, list(range(bits)), distance) == expected).all()
    with pytest.MonkeyPatch.context() as patch:
        for long_run in (3, 1000):
            patch.setattr(near_duplicates, "_LONG_RUN", long_run)
            patch.setattr(near_duplicates, "_CELL", 1e9)  # blocks wherever they can be had
            found = near_duplicates._earliest(hashes, first, list(range(64)), distance)
            assert (found == expected).all()


@pytest.mark.parametrize(("hashes", "distance", "twins"), [
    ([], 2, []),
    ([5], 2, [-1]),
    ([0, 7, 1, 3], 2, [-1, -1, 0, 0]),  # 7 is three bits from 0
    ([0b11, 0b1111, 0], 2, [-1, 0, 0]),  # 1111 and 0 are no twins: both are twins of 11
    ([9, 9, 9], 0, [-1, 0, 0]),
    ([2**64 - 1, 0, 2**64 - 2], 1, [-1, -1, 0]),
])  # fmt: skip
def test_by_hand(hashes, distance, twins):
    found = earlier_twins(np.array(hashes, dtype=np.uint64), distance)
    assert found.dtype == np.int64
    assert found.tolist() == twins


def test_a_million_equal_hashes_are_one():
    hashes = np.full(1_000_000, 7, dtype=np.uint64)
    hashes[-1] = 6
    twins = earlier_twins(hashes)
    assert twins[0] == -1
    assert not twins[1:].any()


BAD = {
    "signed": (np.zeros(3, dtype=np.int64), 2, r"expected \(n,\) uint64, got \(3,\) int64"),
    "two axes": (np.zeros((3, 1), dtype=np.uint64), 2, r"expected \(n,\) uint64, got \(3, 1\) uint64"),
    "far": (np.zeros(3, dtype=np.uint64), 17, "expected 0 to 16 bits, got 17"),
}


@pytest.mark.parametrize(("hashes", "distance", "says"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_compared_is_refused(hashes, distance, says):
    with pytest.raises(ValueError, match=says):
        earlier_twins(hashes, distance)
