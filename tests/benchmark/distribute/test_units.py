"""Every block is one part's, and parts load few weights."""

from itertools import pairwise

import pytest

from benchmark.cache.blocks import BLOCK, spans
from benchmark.distribute.queue import Queue
from benchmark.distribute.units import LEAST, share


@pytest.mark.parametrize(
    ("sizes", "of"),
    [([17_000], 3), ([2000] * 8, 3), ([1], 5), ([300, 70_000, 12], 4), ([BLOCK * LEAST * 4] * 3, 4), ([513] * 26, 8)],
)
def test_parts_have_every_block_once_and_equally_many(sizes, of):
    parts = [share(sizes, part, of) for part in range(1, of + 1)]
    every = [(at, span) for part in parts for at, wanted in part for span in wanted]
    assert sorted(every) == [(at, span) for at, n in enumerate(sizes) for span in spans(n)]
    counts = [sum(len(wanted) for _, wanted in part) for part in parts]
    assert max(counts) - min(counts) <= 1
    for part in parts:
        for _, wanted in part:  # in one run, so that shards are read in order
            assert all(one[1] == other[0] for one, other in pairwise(wanted))


def test_short_tasks_are_loaded_once_and_long_ones_are_everybody_s():
    short = [share([2000] * 8, part, 3) for part in (1, 2, 3)]
    assert sum(len(part) for part in short) == 8 + 2  # two models are cut
    long = [share([100_000] * 3, part, 4) for part in (1, 2, 3, 4)]
    assert [sorted(at for at, _ in part) for part in long] == [[0, 1, 2]] * 4
    assert len({part[0][0] for part in long}) == 3  # they begin at different models


def test_a_worker_stays_with_its_model_and_a_new_model_has_one_worker_at_first():
    queue = Queue(2)
    queue.open(0, spans(BLOCK * 40), known=False)
    first = queue.take(None, 2)
    queue.open(1, spans(BLOCK * 40), known=True)
    assert first is not None
    assert first[0] == 0
    second = queue.take(None, 2)
    third = queue.take(None, 2)
    assert second is not None
    assert third is not None
    assert (second[0], third[0]) == (1, 1)  # the other's settings are not known yet
    queue.done(1, second[1])
    queue.done(1, third[1])
    queue.known(0)
    again = queue.take(0, 2)
    assert again is not None
    assert again[0] == 0
    queue.drop(1)
    queue.done(0, again[1])
    queue.done(0, first[1])
    done = []
    while not queue.finished():
        given = queue.take(0, 2)
        assert given is not None
        done += given[1]
        queue.done(given[0])
    assert done == spans(BLOCK * 40)
    assert queue.take(0, 2) is None
