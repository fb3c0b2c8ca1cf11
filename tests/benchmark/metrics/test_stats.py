"""Plain statistics against statsmodels, and when an interval is doubted."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from benchmark.metrics.intervals import accuracy_intervals
from benchmark.metrics.statistics import LEVEL, NORMAL_QUANTILE, doubts, effective, holm, photos, upper, wilson


@given(n=st.integers(1, 5000), share=st.floats(0, 1))
def test_wilson_is_statsmodels(n, share):
    right = round(n * share)
    expected = proportion_confint(right, n, alpha=0.05, method="wilson")
    np.testing.assert_allclose(wilson(right, n), expected, atol=1e-12)


def test_the_normal_quantile_is_scipys_to_the_bit():
    assert ndtri((1 + LEVEL) / 2) == NORMAL_QUANTILE


def test_wilson_of_nothing_is_nan_and_of_all_ends_at_one():
    assert np.isnan(wilson(0, 0)).all()
    low, high = wilson(6, 6)
    assert low < high == 1
    assert wilson(0, 6)[0] == 0


@settings(max_examples=20, deadline=None)
@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=12), missing=st.integers(0, 3))
def test_holm_is_statsmodels(p, missing):
    found = holm([*p, *[math.nan] * missing])
    np.testing.assert_allclose(found[: len(p)], multipletests(p, method="holm")[1], atol=1e-12)
    assert np.isnan(found[len(p) :]).all()


def test_photos_counts_each_missing_one():
    assert photos(np.array([3, 3, 5, -1, -1])) == 4
    assert photos(np.array([], dtype=int)) == 0


def test_upper_leaves_nan_out():
    rows = np.array([[1.0, 2, 3, np.nan], [np.nan] * 4])
    np.testing.assert_allclose(upper(rows), [np.quantile([1, 2, 3], 0.95), np.nan])


def test_doubts_name_what_is_short():
    assert doubts(600, 60, 30, 0.5) == []
    assert doubts(600, 59, 29, 0.96) == [
        "fewer than 60 effective foreground photos",
        "fewer than 30 effective background photos",
        "accuracy outside 0.1 to 0.95",
    ]
    assert doubts(40, 40, 40, 0.5) == []  # nothing is shared
    assert doubts(29, 29, 29, 0.5) == ["fewer than 30 images"]
    assert doubts(0, 0, 0, math.nan) == []
    assert doubts(600, 59.6, 29.6, 0.5) == []  # 30 photos, one image missing


def test_effective_photos_are_kish_s():
    """Thirty photos of as many images each, then one of them behind 60 % of the images; a group without images."""
    even, one = np.full(30, 20), np.r_[870, np.full(29, 20)]
    photo, group = np.tile(np.arange(30), 2), np.repeat([0, 2], 30)
    found = effective(photo, group, np.r_[even, one], 3)
    assert found[:2].tolist() == [30, 0]
    assert found[2] == pytest.approx(1 / (0.6**2 + 29 * (0.4 / 29) ** 2))
    cut = np.repeat(np.arange(60), 2)  # a photo in two cells is one photo
    np.testing.assert_allclose(effective(photo[cut], group[cut], np.r_[even, one][cut] / 2, 3), found)


@pytest.mark.parametrize("kind", [1, 2])
def test_an_interval_of_photos_that_hide_behind_one_is_doubted(simulate, kind):
    """One photo of 30 behind 60 % of the images, foreground (1) or background (2): 95 % are far from covered."""
    rng, held, repeats = np.random.default_rng(0), [], 60
    for _ in range(repeats):
        template = np.concatenate([each * 30 + _hiding(rng, 200) for each in range(10)]).reshape(10, 200).T.ravel()
        right, sample = simulate(rng, 200, 30, 0.8, 0, 1, template=template)
        if kind == 1:
            own = np.arange(len(right)) // 10  # what varies are the foreground photos now
            sample = replace(sample, foreground_source=template, background_source=sample.background * 200 + own)
        found = accuracy_intervals(right, sample, resamples=200)
        held.append((found.low <= 0.8) & (found.high >= 0.8))
        short = found.photos[kind, :-1]
        assert (found.counts[kind, :-1] >= 24).all()
        assert (short < 5).all()
        texts = [doubts(*found.photos[:, each], found.mean[each]) for each in range(10)]
        kinds = ("foreground", "background")
        assert all(any(f"effective {kinds[kind - 1]} photos" in text for text in each) for each in texts)
    assert np.mean(held, axis=0)[:-1].mean() < 0.88  # 600 intervals: the standard error is 1.5 points


def _hiding(rng: np.random.Generator, images: int) -> np.ndarray:
    return np.where(rng.random(images) < 0.6, 0, rng.integers(1, 30, images))
