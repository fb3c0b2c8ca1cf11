"""Bins, failure points and their medians against loops; what is null where nothing varies; files of before."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.data.external import made_elsewhere
from benchmark.data.factors import factors, place_of, size_of
from benchmark.data.split import open_split
from benchmark.metrics.accuracy import hits
from benchmark.metrics.compute import score
from benchmark.metrics.factors import NO_ROOM, binned, by_level, failures, ladders
from benchmark.metrics.worst_group import LEAST_IMAGES
from benchmark.schemas.metrics import Metrics
from benchmark.schemas.predictions import read, write
from d3s_dataset.errors import ResultError
from d3s_dataset.taxonomy import background_names
from tests.benchmark.conftest import some_predictions

LEVELS = np.array([0.25, 0.5, 1.0], dtype=np.float32)


def laddered(photos=40, seed=0, lost=0):
    """Photos on ten backgrounds at three levels, in an order of chance, the first `lost` images missing."""
    rng, n = np.random.default_rng(seed), photos * 30
    made = some_predictions(n=n, seed=seed)
    pair, level = np.arange(n) // 3, np.arange(n) % 3
    photo, background = pair // 10, pair % 10
    right = rng.random(photos)[photo] + 0.2 * rng.random(n) > 0.3 * level
    prediction = made.prediction.copy()
    prediction[:, 0] = np.where(right, made.foreground, (made.foreground + 500) % 1000)
    columns = {
        "background": background.astype(np.int64),
        "foreground_source": np.array([f"f{each}" for each in photo], dtype=object),
        "background_source": np.array([f"b{b}-{p % 7}" for b, p in zip(background, photo, strict=True)], dtype=object),
        "prediction": prediction,
        "ladder": np.array([f"l{each}" for each in pair], dtype=object),
        "severity": LEVELS[level],
        "size": np.array([0.25, 0.5], dtype=np.float32)[pair % 2],
        "place": np.where(pair % 2, np.nan, (pair % 4 / 2)).astype(np.float32),
    }
    made = replace(made, **columns)
    order = rng.permutation(n)[lost:]
    rows = {
        name: values[order]
        for name, values in vars(made).items()
        if isinstance(values, np.ndarray)
    }  # fmt: skip
    return replace(made, **rows)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=60))
def test_every_value_is_in_the_bin_that_names_it(values):
    exact = np.array(values, dtype=np.float64)
    found = binned(exact)
    for value, label in zip(exact, found.labels, strict=True):
        name = found.names[label]
        if np.isnan(value):
            assert name == NO_ROOM
        elif " to " in name:
            low, high = map(float, name.split(" to "))
            assert low - 1e-9 <= round(value, 2) <= high + 1e-9
        else:
            assert float(name) == round(value, 2)
    assert len(set(found.names)) == len(found.names)


def test_few_values_are_their_own_bins_and_many_are_terciles():
    assert binned(np.array([0.25, 0.5, 0.251, np.nan])).names == ("0.25", "0.50", NO_ROOM)
    many = binned(np.linspace(0, 1, 300))
    assert many.names == ("0.00 to 0.33", "0.33 to 0.67", "0.67 to 1.00")
    assert np.bincount(many.labels).min() > 95


def test_failure_points_are_those_of_a_loop():
    made = laddered(lost=17)
    right, (groups, levels) = hits(made.foreground, made.prediction), by_level(made.severity)
    found = ladders(made, right, groups, 10)
    expected = {}
    for name in set(made.ladder):
        own = [i for i in range(len(made)) if made.ladder[i] == name]
        if len(own) == 3:
            wrong = [float(made.severity[i]) for i in own if not right[i]]
            background = int(made.background[own[0]])
            expected.setdefault(background, []).append(min(wrong) if wrong else np.inf)
    assert found.incomplete == 400 - sum(map(len, expected.values()))
    assert 0 < found.incomplete < 18
    shares = failures(found, 10)
    for background, points in expected.items():
        assert shares.n[background] == len(points)
        assert shares.censored[background] == np.isinf(points).sum()
        assert shares.failed[background] == pytest.approx([np.mean(np.array(points) <= level) for level in levels])
        median = sorted(points)[(len(points) - 1) // 2]
        at = shares.median(background)[0]
        assert (np.inf if at is None else levels[at]) == median
    assert (shares.low <= shares.failed).all()
    assert (shares.high >= shares.failed).all()


def test_a_score_has_every_bin_level_and_the_worst_of_three_ways():
    made = laddered()
    found = score(made, background_names())
    assert list(found.factors.size.all_images) == ["0.25", "0.50"]
    assert list(found.factors.place.all_images) == ["0.00", "1.00", NO_ROOM]
    right = hits(made.foreground, made.prediction)
    for label, name in enumerate(background_names()):
        own = made.background == label
        for size, key in ((0.25, "0.25"), (0.5, "0.50")):
            cell = found.factors.size.by_background[name][key]
            chosen = own & (made.size == size)
            assert cell.n == chosen.sum()
            assert cell.top1 is None if not cell.n else cell.top1 == pytest.approx(right[chosen].mean())
        for level in found.severity.by_background[name].levels:
            assert level.top1 == pytest.approx(right[own & (made.severity == np.float32(level.level))].mean())
    # on a background half of the ladders have one size and place: ten backgrounds of one cell each
    cells = {}
    for i in range(len(made)):
        place = NO_ROOM if np.isnan(made.place[i]) else f"{made.place[i]:.2f}"
        name = f"{background_names()[made.background[i]]}, size {made.size[i]:.2f}, place {place}"
        cells.setdefault(name, []).append(right[i])
    lowest = min((np.mean(each), name) for name, each in cells.items() if len(each) >= LEAST_IMAGES)
    assert found.factors.worst_group.top1 == pytest.approx(lowest[0])
    assert np.mean(cells[found.factors.worst_group.name]) == pytest.approx(lowest[0])
    assert Metrics.model_validate_json(found.model_dump_json()) == found


def test_the_order_of_rows_changes_nothing():
    made = laddered(photos=12)
    other = {name: values[::-1] for name, values in vars(made).items() if isinstance(values, np.ndarray)}
    assert score(made, background_names()) == score(replace(made, **other), background_names())


def test_where_nothing_varies_nothing_is_said():
    found = score(some_predictions(), background_names())
    assert found.factors is None
    assert found.severity is None
    assert score(laddered(photos=3), background_names(), fine=False).factors is None


def test_predictions_keep_what_varies_and_files_of_before_have_none(tmp_path):
    made = laddered(photos=4)
    write(tmp_path / "p.parquet", made)
    held = read(tmp_path / "p.parquet")
    for name in ("size", "place", "severity"):
        np.testing.assert_array_equal(getattr(held, name), getattr(made, name))
    assert held.ladder.tolist() == made.ladder.tolist()
    assert score(held, background_names()) == score(made, background_names())
    write(tmp_path / "old.parquet", some_predictions())
    assert not {"size", "place", "ladder", "severity"} & set(pq.read_schema(tmp_path / "old.parquet").names)
    assert read(tmp_path / "old.parquet").size is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"size": np.full(120, 1.5, np.float32)}, r"expected sizes in \[0, 1\]"),
        ({"place": np.full(120, -0.5, np.float32)}, r"expected places in \[0, 1\]"),
        ({"severity": np.full(120, 2, np.float32)}, r"expected levels of severity in \[0, 1\]"),
        ({"ladder": None}, "a ladder with each"),
    ],
)
def test_values_that_cannot_be_are_one_line(tmp_path, change, says):
    write(tmp_path / "p.parquet", replace(laddered(photos=4), **change))
    with pytest.raises(ResultError, match=says):
        read(tmp_path / "p.parquet")


def test_size_and_place_of_boxes():
    boxes = np.array([[0, 0, 50, 50], [25, 25, 75, 75], [0, 25, 50, 75], [0, 0, 100, 100], [10, 30, 30, 50]])
    assert size_of(boxes, 100) == pytest.approx([0.5, 0.5, 0.5, 1.0, 0.2])
    assert place_of(boxes, 100) == pytest.approx([1.0, 0.0, 1.0, np.nan, 0.75], nan_ok=True)


def test_columns_are_those_in_which_images_differ():
    def boxes(*each):
        return np.array([(left, top, left + side, top + side) for left, top, side in each], dtype=np.float64)

    middle = (25, 25, 50)
    alike = boxes(middle, middle, middle)
    levels = np.array([0.5, 1.0, 0.5])
    assert factors(alike, 100, None, None) == {}
    assert factors(None, 100, None, None) == {}
    assert factors(boxes(middle, (0, np.nan, 50)), 100, None, None) == {}
    assert list(factors(boxes(middle, (0, 25, 50)), 100, None, None)) == ["place"]
    assert list(factors(boxes(middle, (35, 35, 30)), 100, None, None)) == ["size"]
    assert list(factors(alike, 100, np.array(["a", "a", "b"]), levels)) == ["ladder", "severity"]


def test_boxes_of_several_shards_are_those_of_their_rows(make, tmp_path):
    sides = [{"left": number, "top": 2 * number, "right": number + 8, "bottom": 2 * number + 8} for number in range(4)]

    def opened(name):
        rows = [make.record(number, b"", 0, 0, box=each) for number, each in enumerate(sides)]
        return open_split(
            make.write_release(tmp_path / name, {"validation": rows}, shard_rows=3), "default", "validation"
        )

    whole = opened("whole")
    assert whole.boxes().tolist() == [list(each.values()) for each in sides]
    assert whole.factors.keys() == {"place"}
    sides[3]["top"] = None  # a box that lacks a side: nothing is known of where it is
    assert opened("cut").factors == {}


def test_predictions_of_a_release_carry_what_it_varies(ladder_release, toy):
    split = open_split(ladder_release, "default", "validation")
    made = made_elsewhere({"key": split.key, "prediction": split.foreground}, split, "oracle")
    left, _, right, _ = split.boxes().T
    assert (made.size == (right - left) / 64).all()
    expected = {16: 0.0, 0: 1.0}  # the centre, and a corner, of a square of 32 in 64 pixels
    for place, corner, side in zip(made.place, left, right - left, strict=True):
        assert np.isnan(place) if side == 64 else place == expected[corner]
    found = score(made, split.manifest.backgrounds)
    ladders_ = found.severity.all_images
    assert (ladders_.n, ladders_.censored, ladders_.failure_point) == (len(made) // 3, len(made) // 3, None)
    assert found.severity.incomplete == 0
    assert open_split(toy, "default", "validation").factors == {}


@pytest.mark.long
def test_the_interval_of_a_failure_point_covers():
    """Whatever level half of ladders fail by in truth lies in the interval in at least 95 % of samples."""
    from scipy.stats import norm

    rng, covered, repeats = np.random.default_rng(0), 0, 200
    truth = np.array([0.2, 0.45, 0.56])  # of ladders that fail by each of three levels: the median is the third
    for _ in range(repeats):
        photo, scene = rng.normal(size=100), rng.normal(size=30)
        own = 0.5 * photo + 0.5 * scene[np.arange(100) % 30] + np.sqrt(0.5) * rng.normal(size=100)
        first = np.searchsorted(norm.ppf(truth), own)
        wrong = np.arange(3)[None] >= first[:, None]
        n = 300
        made = replace(
            some_predictions(n=n),
            background=np.zeros(n, np.int64),
            foreground_source=np.array([f"f{i // 3}" for i in range(n)], dtype=object),
            background_source=np.array([f"b{i // 3 % 30}" for i in range(n)], dtype=object),
            ladder=np.array([f"l{i // 3}" for i in range(n)], dtype=object),
            severity=LEVELS[np.arange(n) % 3],
        )
        found = failures(ladders(made, ~wrong.reshape(-1), by_level(made.severity)[0], 1), 1)
        _, low, high = found.median(0)
        covered += (low is None or low <= 2) and (high is None or high >= 2) and low is not None
    assert covered / repeats >= 0.93
