"""Over-predicted classes: the exact test against other calculations, the excess against hand-made cases."""

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmark.metrics.intervals import Sample, difference_intervals
from benchmark.metrics.over_predicted import excess, excess_tests, matched, stratified_p, truths
from benchmark.schemas.predictions import take

RAPESEED = 984


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_with_pairs_it_is_mcnemar_s_exact_test(pairs):
    here, there = np.array(pairs, dtype=int).T
    ones = np.ones(len(pairs), dtype=int)
    gained, lost = int(((here == 1) & (there == 0)).sum()), int(((here == 0) & (there == 1)).sum())
    expected = stats.binomtest(gained, gained + lost, alternative="greater").pvalue if gained + lost else 1.0
    assert stratified_p(here, ones, here + there, 2 * ones) == pytest.approx(expected)


@given(won=st.integers(0, 6), here=st.integers(6, 12), there=st.integers(1, 30), other=st.integers(0, 8))
def test_with_one_stratum_it_is_fisher_s_exact_test(won, here, there, other):
    other = min(other, there)
    table = [[won, here - won], [other, there - other]]
    expected = stats.fisher_exact(table, alternative="greater").pvalue
    found = stratified_p(*(np.array([each]) for each in (won, here, won + other, here + there)))
    assert found == pytest.approx(expected)


def test_several_strata_against_every_permutation():
    """(images here, marked here, images there, marked there) of each stratum."""
    strata = [(1, 1, 3, 1), (2, 2, 2, 0), (1, 0, 4, 2), (1, 1, 1, 0)]
    ways = []
    for n, won, m, other in strata:
        marks = [1] * (won + other) + [0] * (n + m - won - other)
        ways.append([sum(chosen) for chosen in combinations(marks, n)])
    totals = [sum(each) for each in product(*ways)]
    observed = sum(won for _, won, _, _ in strata)
    expected = np.mean([total >= observed for total in totals])
    n, won, m, other = np.array(strata).T
    assert stratified_p(won, n, won + other, n + m) == pytest.approx(expected)


def test_many_images_of_a_photo_do_not_overflow():
    sizes = np.array([3000])
    assert 0 < stratified_p(np.array([40]), sizes, np.array([60]), 2 * sizes) < 0.02


@pytest.fixture
def pulled(make_predictions):
    """60 photos, each once on grass and once on its control: rapeseed is the answer to 20 of 60, and to 2 on grey."""
    made = make_predictions(60)
    photo = np.array([f"photo-{i:02d}" for i in range(60)], dtype=object)
    place = np.array([f"grass-{i % 30}" for i in range(60)], dtype=object)
    truth = np.arange(60) % 12
    best = np.repeat(np.array([[900, 901, 902, 903, 904]]), 60, axis=0).astype(np.int32)
    here, grey = best.copy(), best.copy()
    here[:20, 0] = RAPESEED
    grey[19:21, 0] = RAPESEED
    common = {"foreground": truth, "foreground_source": photo, "background": np.zeros(60, dtype=np.int64)}
    return (
        replace(made, prediction=here, background_source=place, **common),
        replace(made, prediction=grey, background_source=np.array([None] * 60, dtype=object), **common),
    )


def test_a_planted_pull_is_measured(pulled):
    pair = matched(*pulled)
    labels, p = excess_tests(pair)
    assert labels.tolist() == [900, RAPESEED]
    # 19 images became rapeseed, one was left by it, one has it twice.
    assert p.tolist() == pytest.approx([1.0, stats.binomtest(19, 20, alternative="greater").pvalue])
    found = excess(pair, RAPESEED)
    assert (found.n, found.here, found.there) == (60, 20 / 60, 2 / 60)
    assert found.excess == pytest.approx(18 / 60)
    change = np.zeros(60)
    change[:19], change[20] = 1, -1
    codes = np.arange(60)
    sample = Sample(codes, codes % 30, np.zeros(60, int), np.zeros(60, int), 1, np.array([[60.0]]))
    alone = difference_intervals(change, sample)
    assert found.ci95 == pytest.approx((alone.low[0], alone.high[0]), abs=0.01)  # other numbers of the photos
    assert found.ci95[0] > 0
    assert found.doubts == []


def test_a_right_answer_pulls_nothing(pulled):
    here, grey = pulled
    right = replace(here, foreground=np.full(60, RAPESEED))
    pair = matched(right, replace(grey, foreground=np.full(60, RAPESEED)))
    assert RAPESEED not in excess_tests(pair)[0]
    assert excess(pair, RAPESEED).excess == 0


def test_true_classes_of_an_answer_are_counted(pulled):
    """Classes go round every 12 photos: of the first 20, classes 0 to 7 stand twice."""
    found = truths(matched(*pulled), RAPESEED)
    assert found == [(label, 2) for label in range(8)] + [(label, 1) for label in range(8, 12)]


def test_photos_on_one_side_are_left_out(pulled):
    here, grey = pulled
    pair = matched(here, take(grey, np.arange(10, 60)))
    assert pair.photos == 50
    assert excess(pair, RAPESEED).here == pytest.approx(10 / 50)
    none = matched(here, replace(grey, foreground_source=np.array([f"other-{i}" for i in range(60)], dtype=object)))
    assert excess_tests(none)[0].tolist() == []
    assert np.isnan(excess(none, RAPESEED).excess)


def test_the_order_of_rows_does_not_matter(pulled):
    here, grey = pulled
    order = np.random.default_rng(0).permutation(60)
    assert excess(matched(take(here, order), grey), RAPESEED) == excess(matched(here, grey), RAPESEED)


def test_other_backgrounds_are_weighed_photo_by_photo(pulled):
    """Three images of each photo elsewhere, of which the first photo's are all rapeseed: its share there is 1."""
    here, grey = pulled
    rows = np.repeat(np.arange(60), 3)
    elsewhere = take(grey, rows)
    answer = elsewhere.prediction.copy()
    answer[:, 0] = np.where(rows == 0, RAPESEED, 900)
    key = np.array([f"{i:020x}" for i in range(1000, 1180)], dtype=object)
    pair = matched(here, replace(elsewhere, prediction=answer, key=key))
    found = excess(pair, RAPESEED)
    assert (found.n, found.there) == (60, pytest.approx(1 / 60))
    # The other 19 have it here alone, each by a chance of one in four; the first has it in all four.
    assert excess_tests(pair)[1][1] == pytest.approx(0.25**19)


def test_without_any_pull_five_percent_are_found(make_predictions):
    rng, found = np.random.default_rng(0), []
    photo = np.array([f"photo-{i:03d}" for i in range(120)], dtype=object)
    for _ in range(300):
        made = replace(make_predictions(120), foreground_source=photo, foreground=np.zeros(120, dtype=np.int64))
        best = np.repeat(np.array([[900, 901, 902, 903, 904]]), 120, axis=0).astype(np.int32)
        sides = [best.copy(), best.copy()]
        for each in sides:
            each[rng.random(120) < 0.2, 0] = RAPESEED
        labels, p = excess_tests(matched(*(replace(made, prediction=each) for each in sides)))
        found.append(p[labels.tolist().index(RAPESEED)] < 0.05)
    assert 0.01 < np.mean(found) < 0.07  # an exact test stays below 5 %


def test_every_wrong_answer_is_tested_by_its_own_strata(make_predictions):
    """Photos with one to three images here and up to five there, classes that are wrong on one side only."""
    rng = np.random.default_rng(2)
    sides = []
    for most in (3, 5):
        photo = np.sort(np.concatenate([np.arange(25), rng.integers(0, 25, 25 * (most - 1))]))
        answer = rng.integers(0, 8, len(photo))
        best = np.stack([answer, *(np.full(len(photo), 900 + i) for i in range(4))], axis=1).astype(np.int32)
        names = np.array([f"photo-{i:02d}" for i in photo], dtype=object)
        sides.append(
            replace(make_predictions(len(photo)), foreground=photo % 5, foreground_source=names, prediction=best)
        )
    pair = matched(*sides)
    labels, p = excess_tests(pair)
    wrong = pair.here.prediction[:, 0] != pair.here.foreground
    assert labels.tolist() == sorted(set(pair.here.prediction[wrong, 0].tolist()))
    drawn, others = pair.counts()
    for label, found in zip(labels, p, strict=True):
        here, there = (
            np.bincount(photos[marked], minlength=pair.photos)
            for marked, photos in zip(pair.wrongly(label), (pair.photo_here, pair.photo_there), strict=True)
        )
        assert found == stratified_p(here, drawn, here + there, drawn + others)
