import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from d3s_dataset.identity import digest, file_digest, hashed, row_key, uniform

MASK = (1 << 64) - 1


def splitmix(word: int) -> int:
    """One output of SplitMix64 in plain whole numbers: the independent version."""
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & MASK
    return word ^ (word >> 31)


@given(st.integers(0, 2**63 - 1), st.lists(st.integers(0, 2**40), max_size=4))
def test_hashed_agrees_with_whole_number_arithmetic(seed, streams):
    word = seed
    for stream in [0, *streams]:
        word = splitmix(word ^ splitmix((stream + 0x9E3779B97F4A7C15) & MASK))
    assert int(hashed(seed, *streams)) == word


def test_a_word_does_not_depend_on_its_neighbours():
    together = hashed(7, 3, np.arange(1000))
    assert [int(hashed(7, 3, i)) for i in (0, 17, 999)] == together[[0, 17, 999]].tolist()


def test_uniform_is_uniform_and_streams_are_unrelated():
    first, second = (uniform(hashed(1, stream, np.arange(100_000))) for stream in (1, 2))
    assert first.min() >= 0
    assert first.max() < 1
    assert stats.kstest(first, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.02


def test_digests_are_sha256_of_canonical_json(tmp_path):
    assert digest({"b": 1, "a": [1, 2]}) == digest({"a": [1, 2], "b": 1})
    assert digest([1, "x"]) == hashlib.sha256(b'[1,"x"]').hexdigest()
    (tmp_path / "f").write_bytes(b"abc")
    assert file_digest(tmp_path / "f") == hashlib.sha256(b"abc").hexdigest()


def test_keys_are_short_hexadecimal_and_distinct():
    keys = {row_key("a", i) for i in range(10_000)} | {row_key("b", i) for i in range(10_000)}
    assert len(keys) == 20_000
    assert all(len(key) == 20 and int(key, 16) >= 0 for key in keys)
