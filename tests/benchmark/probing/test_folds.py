"""Cuts by photos: no photo on both sides, every row tested once, the same from the same seed, refused where too few."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.probing.folds import CUTS, LEAST, Photos, cut, hold_out
from d3s_dataset.errors import ResultError


@st.composite
def tables(draw, least: int = LEAST):
    """Rows over foreground photos and the photos of some backgrounds, in any order, some pairs missing."""
    n_foregrounds, groups = draw(st.integers(least, 12)), draw(st.integers(2, 4))
    counts = draw(st.lists(st.integers(least, 7), min_size=groups, max_size=groups))
    backgrounds = [(group, photo) for group, count in enumerate(counts) for photo in range(count)]
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    rows = np.array(
        [
            (foregrounds, 10 * group + photo, group)
            for foregrounds in range(n_foregrounds)
            for group, photo in backgrounds
        ]
    )
    rows = rng.permutation(rows)
    zeros = np.zeros(len(rows), dtype=np.int64)
    return Photos(rows[:, 0], rows[:, 1], zeros, rows[:, 2])


@settings(max_examples=60, deadline=None)
@given(photos=tables(), name=st.sampled_from(CUTS), seed=st.integers(0, 5))
def test_no_unseen_photo_is_seen(photos, name, seed):
    folds = cut(name, photos, seed)
    tested = np.concatenate([each.test for each in folds])
    assert len(np.unique(tested)) == len(tested) > 0
    for fold in folds:
        assert not set(fold.train) & set(fold.test)
        assert not (fold.learn & fold.held).any()
        assert fold.learn.any()
        assert fold.held.any()
        learn, held = fold.train[fold.learn], fold.train[fold.held]
        for way, codes in (("foreground", photos.foreground), ("background", photos.background)):
            if name in (f"unseen_{way}", "unseen_both"):
                assert not set(codes[fold.train]) & set(codes[fold.test])
                assert not set(codes[learn]) & set(codes[held])
            # The label is still there to be learnt, whatever is held out.
        assert set(photos.background_stratum[learn]) == set(photos.background_stratum[fold.test]) or name == "seen"


@settings(max_examples=30, deadline=None)
@given(photos=tables(), seed=st.integers(0, 5))
def test_folds_of_background_photos_test_every_row_once(photos, seed):
    folds = cut("unseen_background", photos, seed)
    assert sorted(np.concatenate([each.test for each in folds])) == list(range(len(photos.background)))
    fewest = min(len(set(photos.background[photos.background_stratum == each])) for each in (0, 1))
    assert len(folds) <= min(5, fewest)


def test_three_photos_a_background_leave_one_of_each_out():
    photo = np.tile(np.arange(30), 4)
    folds = cut("unseen_background", Photos(np.repeat(np.arange(4), 30), photo, photo * 0, photo // 3), 0)
    assert len(folds) == 3
    for fold in folds:
        left_out = np.unique(photo[fold.test])
        assert sorted(left_out // 3) == list(range(10))


@settings(max_examples=20, deadline=None)
@given(photos=tables(), name=st.sampled_from(CUTS), seed=st.integers(0, 5))
def test_the_same_seed_cuts_the_same_and_another_cuts_anew(photos, name, seed):
    one, two = (cut(name, photos, seed) for _ in range(2))
    for first, second in zip(one, two, strict=True):
        for field in ("train", "test", "learn", "held"):
            np.testing.assert_array_equal(getattr(first, field), getattr(second, field))
    others = [np.concatenate([each.test for each in cut(name, photos, s)]) for s in range(20)]
    assert any(len(each) != len(others[0]) or (each != others[0]).any() for each in others)


def test_a_quarter_of_the_photos_of_each_stratum_is_held_out():
    photo, stratum = np.arange(80), np.arange(80) // 40
    held = hold_out(photo, stratum)
    assert held[:40].sum() == held[40:].sum() == 10


@pytest.mark.parametrize("name", CUTS[1:])
def test_too_few_photos_are_refused(name):
    photo = np.tile(np.arange(4), 4)
    photos = Photos(np.repeat([0, 1], 8), photo, photo * 0, photo // 2)
    with pytest.raises(ResultError, match=r"too few (fore|back)ground photos: .* at least 3 of every .*, got 2"):
        cut(name, photos, 0)


def test_images_without_a_background_photo_are_refused():
    rows = np.repeat(np.arange(6), 4)
    with pytest.raises(ResultError, match="too few background photos"):
        cut("unseen_background", Photos(rows, rows * 0 - 1, rows * 0, rows % 2), 0)
