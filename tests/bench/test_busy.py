"""`make bench`: how busy 1, 2 and 8 devices are that need no processor, with composing, encoding and writing around."""

import pytest

from d3s_dataset.utils.cli import cores
from tests.support.photos import draw_photos
from tests.support.stand_in import BATCH, busy_share, cpu_seconds, make_on, plan_of

pytestmark = pytest.mark.bench
CALLS, SIZE = 16, 512
SLACK = 2  # times as long as the work of all devices takes the cores: theirs is not to be the limit


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return draw_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def alone(photos, tmp_path_factory):
    """Seconds of wall time per batch where the device takes none."""
    with pytest.MonkeyPatch.context() as patched:
        return cpu_seconds(plan_of(40 * BATCH, SIZE, photos), tmp_path_factory.mktemp("alone"), patched)


@pytest.mark.parametrize("devices", [1, 2, 8])
def test_devices_are_busy_while_rows_are_left(devices, photos, alone, tmp_path, monkeypatch, ratio):
    seconds = SLACK * devices * alone
    calls = make_on(plan_of(devices * CALLS * BATCH, SIZE, photos), devices, seconds, tmp_path, monkeypatch)
    share = busy_share(calls)
    print(f"\n{devices} devices, {CALLS} batches of {BATCH} guides of {SIZE} px each, {seconds:.2f} s per batch "
          f"({alone:.3f} s of {cores()} cores): busy {share:.1%} of the time while rows are left, "
          f"{busy_share(calls, whole=True):.1%} of the whole")  # fmt: skip
    ratio(f"{devices} devices, busy share", share)
    assert share >= 0.95
