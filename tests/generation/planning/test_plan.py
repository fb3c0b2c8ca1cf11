"""The promises of a plan: balanced, disjoint, crossed, every prefix whole; by hypothesis over sources of any shape."""

import json
import subprocess
import sys
import textwrap
from collections import Counter

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from d3s_dataset.errors import RecipeError, SourceError
from d3s_dataset.manifest import Source
from generation.planning.plan import Plan
from generation.recipe.recipe import BackgroundSpec, load_recipe

PAPER = load_recipe("paper")


class Listed:
    """A source that lists names and opens nothing."""

    def __init__(self, counts: dict[int, int], prefix: str) -> None:
        self.counts, self.prefix = counts, prefix
        self.info = Source(role=prefix, name=prefix, licence="none", redistribution=False)

    def photos(self):
        return {label: [f"{self.prefix}{label}/{i}" for i in range(n)] for label, n in self.counts.items() if n}

    def open(self, photo, size):
        raise AssertionError("planning opens no photo")


def plan(rows, objects, scenes, places=10, seed=0):
    specs = tuple(BackgroundSpec(name=f"b{i}", phrase=f"at {i}") for i in range(places))
    recipe = PAPER.changed(rows=rows).model_copy(update={"backgrounds": specs, "seed": seed})
    return Plan(recipe, Listed(objects, "f"), Listed(dict.fromkeys(range(places), scenes), "b"))


plans = st.builds(
    plan,
    st.integers(1, 700),
    st.dictionaries(st.integers(0, 999), st.integers(1, 6), min_size=1, max_size=7),
    st.integers(2, 5),
    st.integers(1, 10),
    st.integers(0, 2**62),
)


def spread(counts: Counter, groups, places: int) -> int:
    every = [counts[group, place] for group in groups for place in range(places)]
    return max(every) - min(every)


@settings(max_examples=60, deadline=None)
@given(plans, st.floats(0, 1))
def test_every_prefix_is_balanced_disjoint_and_crossed(planned, share):
    places = len(planned.recipe.backgrounds)
    rows = list(planned)[: max(1, round(share * len(planned)))]
    for split in ("train", "validation"):
        own = [row for row in rows if row.split == split]
        if own:
            cells = Counter((row.foreground, row.background) for row in own)
            assert spread(cells, {row.foreground for row in own}, places) <= 1
    validation = [row for row in rows if row.split == "validation"]
    pairs = Counter((row.foreground_source, row.background) for row in validation)
    most = Counter(row.foreground_source for row in validation)
    for photo in most:
        assert spread(pairs, [photo], places) <= 1
    train = [row for row in rows if row.split == "train"]
    for column in ("foreground_source", "background_source"):
        assert not {getattr(row, column) for row in train} & {getattr(row, column) for row in validation}


@settings(max_examples=60, deadline=None)
@given(plans)
def test_a_plan_has_its_rows_once_in_a_stable_order(planned):
    rows = list(planned)
    assert len(rows) == len(planned)
    assert len({row.key for row in rows}) == len(rows)
    assert rows == list(planned)
    for split, count in planned.split_rows().items():
        assert list(planned.rows(split, 0, count)) == [row for row in rows if row.split == split]


@settings(max_examples=60, deadline=None)
@given(plans, st.integers(0, 700), st.integers(0, 50))
def test_a_row_does_not_depend_on_its_neighbours(planned, start, length):
    for split, count in planned.split_rows().items():
        begin, end = min(start, count), min(start + length, count)
        assert list(planned.rows(split, begin, end)) == list(planned.rows(split, 0, count))[begin:end]


@settings(max_examples=60, deadline=None)
@given(plans, st.integers(0, 700))
def test_split_rows_counts_a_prefix(planned, limit):
    found = Counter(row.split for row in list(planned)[:limit])
    assert planned.split_rows(limit) == {"train": found["train"], "validation": found["validation"]}


@settings(max_examples=40, deadline=None)
@given(st.integers(60, 900), st.integers(2, 40), st.integers(0, 2**62))
def test_every_prefix_of_60_rows_holds_both_splits_and_all_backgrounds(rows, classes, seed):
    planned = list(plan(rows, dict.fromkeys(range(classes), 4), 3, seed=seed))
    for prefix in (60, len(planned)):
        assert {row.split for row in planned[:prefix]} == {"train", "validation"}
        assert {row.background for row in planned[:prefix]} == set(range(10))


@settings(max_examples=40, deadline=None)
@given(plans)
def test_rows_are_what_the_recipe_says(planned):
    photos = planned.foregrounds.photos()
    for row in planned:
        left, top, right, bottom = row.box
        assert right - left == bottom - top == 204
        assert 0 <= left < right <= 512
        assert 0 <= top < bottom <= 512
        assert row.foreground_source in photos[row.foreground]
        assert row.background_source.startswith(f"b{row.background}/")
        assert 0 <= row.seed < 2**63
        assert row.prompt.endswith(f", at {row.background}")


def test_boxes_and_seeds_are_spread():
    rows = list(plan(3000, dict.fromkeys(range(50), 5), 4))
    lefts = [row.box[0] for row in rows]
    assert (min(lefts), max(lefts)) == (0, 308)
    assert sum(lefts) / len(lefts) == pytest.approx(154, abs=8)
    assert len({row.seed for row in rows}) == 3000


def test_photos_do_not_fall_in_step_with_backgrounds():
    """With as many photos as backgrounds a plain rotation would pair them for ever."""
    rows = [row for row in plan(24_000, dict.fromkeys(range(10), 20), 3) if row.split == "train"]
    pairs = Counter((row.foreground_source, row.background) for row in rows)
    photos = {row.foreground_source for row in rows}
    assert len(pairs) > 0.95 * len(photos) * 10


def test_photos_that_return_stand_on_other_background_photos():
    """200 photos x 30 background photos: a plan of 6,000 rows takes each pair once."""
    rows = list(plan(6000, dict.fromkeys(range(0, 1000, 5), 1), 3))
    pairs = Counter((row.foreground_source, row.background_source) for row in rows)
    assert len(pairs) == 6000


def test_the_paper_at_full_size():
    planned = plan(120_000, dict.fromkeys(range(1000), 1300), 300)
    assert planned.split_rows() == {"train": 100_000, "validation": 20_000}
    cells = Counter((row.split, row.foreground, row.background) for row in planned)
    assert {split: {n for (s, *_), n in cells.items() if s == split} for split in ("train", "validation")} == {
        "train": {10},
        "validation": {2},
    }
    photos = {row.foreground_source for row in planned.rows("validation", 0, 20_000)}
    assert len(photos) == 2000


def test_classes_without_photos_leave_with_one_counted_warning():
    planned = plan(100, {1: 2, 2: 3}, 2)
    assert planned.warnings == ["998 of 1000 classes have no photo and are skipped"]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_single_photo_goes_where_the_recipe_says(split):
    splits = PAPER.splits.model_copy(update={"single_photo": split})
    recipe = PAPER.changed(rows=240).model_copy(update={"splits": splits})
    planned = Plan(recipe, Listed({1: 1, 2: 8}, "f"), Listed(dict.fromkeys(range(10), 2), "b"))
    assert {row.split for row in planned if row.foreground == 1} == {split}
    alone = Plan(recipe, Listed({1: 1}, "f"), Listed(dict.fromkeys(range(10), 1), "b"))
    assert {row.split for row in alone} == {split}
    assert "no class has a photo left" in alone.warnings[-1]


def test_too_few_backgrounds_are_one_clear_line():
    with pytest.raises(SourceError, match=r"at least 2 photos of 'b0' .one per split., got 1"):
        plan(100, {1: 2, 2: 3}, 1)
    with pytest.raises(SourceError, match=r"at least 1 photos of 'b0' .one., got 0"):
        plan(100, {1: 1}, 0)


def test_a_recipe_and_its_sources_must_fit():
    objects = Listed({1: 2}, "f")
    with pytest.raises(RecipeError, match="expected --backgrounds DIR"):
        Plan(PAPER, objects, None)
    with pytest.raises(RecipeError, match="expected no --backgrounds"):
        Plan(load_recipe("geography"), objects, objects)
    rows = list(Plan(load_recipe("time").changed(rows=24), objects, None))
    assert {(row.background_source, row.box) for row in rows} == {(None, (0, 0, 512, 512))}


@given(st.sampled_from(["rows", "seed", "photos"]))
def test_whatever_changes_the_rows_changes_the_digest(what):
    first = plan(60, {1: 4}, 3)
    other = {"rows": plan(61, {1: 4}, 3), "seed": plan(60, {1: 4}, 3, seed=1), "photos": plan(60, {1: 5}, 3)}[what]
    assume(first.digest == plan(60, {1: 4}, 3).digest)
    assert first.digest != other.digest
    assert not {row.key for row in first} & {row.key for row in other}


MEASURE = textwrap.dedent(
    """
    import json, pathlib, time
    from tests.generation.planning.test_plan import plan
    def take(rows):
        start = time.perf_counter()
        count = sum(1 for _ in plan(rows, dict.fromkeys(range(1000), 100), 100))
        assert count == rows
        return time.perf_counter() - start
    short, long = take(200_000), take(ROWS)
    # Not getrusage: its peak goes on from that of the process that started this one.
    status = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
    print(json.dumps([short, long, int(status["VmHWM"].split()[0]) / 1024]))
    """
)


def measured(rows: int) -> tuple[float, float, float]:
    """Return the seconds for 200,000 rows and for `rows`, and the peak memory in MB, of a fresh process."""
    code = MEASURE.replace("ROWS", str(rows))
    line = [sys.executable, "-c", code]
    result = subprocess.run(line, capture_output=True, text=True, timeout=600, check=True)
    return tuple(json.loads(result.stdout))


@pytest.mark.long
def test_a_million_rows_take_little_time_and_memory():
    short, long, megabytes = measured(1_000_000)
    assert long < 20
    assert megabytes < 600
    assert long / 1_000_000 < 1.5 * short / 200_000


@pytest.mark.long
def test_twelve_million_rows_take_twelve_times_that_and_no_more_memory():
    one, twelve = measured(1_000_000), measured(12_000_000)
    assert twelve[2] < 1.2 * one[2]
    assert twelve[1] < 1.5 * 12 * one[1]
