"""Sizes, places and levels of severity by plan: every photo meets each, and nothing else differs."""

import hashlib
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.planning.plan import Plan
from generation.planning.power import photos
from generation.recipe.recipe import BackgroundSpec, load_recipe
from generation.recipe.sections import Guide, Severity
from tests.generation.planning.test_plan import Listed

PAPER = load_recipe("paper")
SIZES, PLACES, LEVELS = (0.25, 0.5, 0.75, 1.0), ((0.5, 0.5), (0.0, 1.0)), (0.0, 0.5, 1.0)


def plan(rows, classes=3, places=2, sizes=None, where=None, levels=None, seed=0, own=4):
    specs = tuple(BackgroundSpec(name=f"b{i}", phrase=f"at {i}") for i in range(places))
    severity = None if levels is None else Severity(of="background", levels=levels)
    guide = Guide(sizes=sizes, places=where)
    fields = {"backgrounds": specs, "seed": seed, "guide": guide, "severity": severity}
    recipe = PAPER.changed(rows=rows).model_copy(update=fields)
    return Plan(recipe, Listed(dict.fromkeys(range(classes), own), "f"), Listed(dict.fromkeys(range(places), 3), "b"))


grids = st.builds(
    plan,
    st.integers(1, 900),
    st.integers(1, 5),
    st.integers(1, 4),
    st.sampled_from([None, SIZES[:1], SIZES[:3], SIZES]),
    st.sampled_from([None, PLACES]),
    st.sampled_from([None, LEVELS]),
    st.integers(0, 2**62),
)


def cell(row):
    return row.box, row.severity


@settings(max_examples=60, deadline=None)
@given(grids, st.floats(0, 1))
def test_every_prefix_meets_the_cells_evenly(planned, share):
    random = planned.recipe.guide.sizes is None or planned.recipe.guide.places is None
    rows = list(planned)[: max(1, round(share * len(planned)))]
    for split in ("train", "validation"):
        own = [row for row in rows if row.split == split]
        cells = Counter((row.foreground, row.background) for row in own)
        every = [
            cells[label, i] for label in {row.foreground for row in own} for i in range(len(planned.recipe.backgrounds))
        ]
        assert not every or max(every) - min(every) <= 1
        pairs = Counter((row.foreground_source, row.background) for row in own)
        if not random:
            found = Counter((row.foreground_source, row.background, *cell(row)) for row in own)
            for photo, background in pairs:
                counts = [found[photo, background, *each] for each in {cell(row) for row in own}]
                assert max(counts) - min(counts) <= 1


def test_a_whole_plan_is_crossed():
    """Each photo on each background at each of 4 sizes x 2 places, which are one where the object fills the image."""
    cells = 7 * 3
    planned = plan(6 * 3 * 2 * cells, sizes=SIZES, where=PLACES, levels=LEVELS, own=12)
    assert planned.recipe.cells == cells
    assert not [text for text in planned.warnings if "not every" in text]
    for split in ("train", "validation"):
        rows = [row for row in planned if row.split == split]
        found = Counter((row.foreground_source, row.background, *cell(row)) for row in rows)
        assert set(found.values()) == {1}
        assert len({cell(row) for row in rows}) == cells
        pairs = {(row.foreground_source, row.background) for row in rows}
        assert len(found) == len(pairs) * cells
        assert planned.photo_pairs(split, len(rows)) == len(pairs)
        # one pair of photos shares whatever is not planned to differ
        for pair in pairs:
            own = [row for row in rows if (row.foreground_source, row.background) == pair]
            assert len({(row.background_source, row.seed, row.prompt) for row in own}) == 1
            assert len({row.ladder for row in own}) == 7
    corners = {row.box for row in planned if row.box[2] - row.box[0] == 256}
    assert corners == {(128, 128, 384, 384), (0, 256, 256, 512)}


def test_ladders_differ_in_their_level_alone_where_size_and_place_are_drawn():
    rows = list(plan(6 * 3 * 2 * 3, levels=LEVELS))
    ladders = {}
    for row in rows:
        ladders.setdefault(row.ladder, []).append(row)
    assert {len(own) for own in ladders.values()} == {3}
    for own in ladders.values():
        assert {row.severity for row in own} == set(LEVELS)
        assert len({row._replace(key="", severity=None) for row in own}) == 1
    assert len({row.box for row in rows}) > 10


def test_a_plan_that_ends_before_all_is_crossed_says_so():
    planned = plan(100, sizes=SIZES)
    assert sum("so not every photo meets every size" in text for text in planned.warnings) == 2


def test_the_recipes_for_measuring_have_no_train_split_and_are_crossed():
    for name, cells in (("size", 7), ("severity", 6)):
        recipe = load_recipe(name).changed(rows=3 * 10 * cells)
        planned = Plan(recipe, Listed(dict.fromkeys(range(3), 4), "f"), Listed(dict.fromkeys(range(10), 2), "b"))
        assert planned.warnings == ["997 of 1000 classes have no photo and are skipped"]
        assert recipe.cells == cells
        assert {row.split for row in planned} == {"validation"}
        pairs = Counter((row.foreground_source, row.background_source) for row in planned)
        assert (len(pairs), set(pairs.values())) == (30, {cells})
        assert load_recipe(name).rows == 1000 * 10 * cells


@settings(max_examples=30, deadline=None)
@given(grids, st.integers(0, 900), st.integers(0, 50))
def test_a_row_does_not_depend_on_its_neighbours(planned, start, length):
    for split, count in planned.split_rows().items():
        begin, end = min(start, count), min(start + length, count)
        assert list(planned.rows(split, begin, end)) == list(planned.rows(split, 0, count))[begin:end]
    assert len({row.key for row in planned}) == len(planned)


def test_the_photos_behind_a_number_are_counted_once():
    """Seven sizes and places of one photo are one photo: power does not grow with them."""
    alone, crossed = plan(6 * 2 * 3 * 4), plan(6 * 2 * 3 * 4 * 7, sizes=SIZES, where=PLACES)
    assert photos(alone)[0].foregrounds == photos(crossed)[0].foregrounds


@pytest.mark.parametrize(
    ("name", "expected"),
    [("paper", "61f97cfc28024201"), ("sample", "cc1a8de90c40e011"), ("geography", "0641235478b2fad6")],
)
def test_recipes_without_grids_give_the_rows_that_they_gave_before(name, expected):
    """Digests of 1,000 rows as planned by the version before there were grids."""
    recipe = load_recipe(name).changed(rows=1000)
    scenes = None if recipe.guide.background == "none" else Listed(dict.fromkeys(range(10), 5), "b")
    rows = [tuple(row)[:11] for row in Plan(recipe, Listed(dict.fromkeys(range(0, 60, 3), 4), "f"), scenes)]
    assert hashlib.sha256(repr(rows).encode()).hexdigest()[:16] == expected
