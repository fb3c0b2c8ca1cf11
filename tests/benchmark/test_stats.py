"""Plain statistics against statsmodels, and when an interval is doubted."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from benchmark.stats import LEVEL, NORMAL_QUANTILE, doubts, holm, photos, upper, wilson


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
        "fewer than 60 foreground photos",
        "fewer than 30 background photos",
        "accuracy outside 0.1 to 0.95",
    ]
    assert doubts(40, 40, 40, 0.5) == []  # nothing is shared
    assert doubts(29, 29, 29, 0.5) == ["fewer than 30 images"]
    assert doubts(0, 0, 0, math.nan) == []
