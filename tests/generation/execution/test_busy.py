"""A device is not idle while rows are left: a stand-in whose calls take a fixed time, with all real work around it."""

import itertools

from d3s_dataset.check import check_release
from tests.support.stand_in import BATCH, busy_share, make_on, plan_of

DEVICES, CALLS = 2, 6


def test_devices_are_busy_while_rows_are_left(tmp_path, monkeypatch):
    """The short form of `tests/bench/test_busy.py`: another process may take the cores for a moment."""
    calls = make_on(plan_of(DEVICES * CALLS * BATCH, 64), DEVICES, 0.4, tmp_path, monkeypatch)
    assert sum(map(len, calls)) == DEVICES * CALLS
    assert all(before[1] <= after[0] for each in calls for before, after in itertools.pairwise(each))
    assert busy_share(calls) >= 0.8, calls
    assert check_release(tmp_path / "d3s") == []
