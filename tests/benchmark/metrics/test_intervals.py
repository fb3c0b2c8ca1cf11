"""Intervals: what they do at the edges, and against plainer ones where those hold. Coverage: test_coverage.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from benchmark.metrics.intervals import Sample, accuracy_intervals, difference_intervals, simultaneous
from benchmark.metrics.statistics import wilson


def sample_of(foregrounds, backgrounds, background=None, group=None, groups=1) -> Sample:
    none = np.zeros(len(foregrounds), int)
    group = none if group is None else group
    return Sample(
        foregrounds, backgrounds, none if background is None else background, group, groups, np.ones((1, groups))
    )


def _crossed(rng: np.random.Generator, n_foregrounds: int, n_backgrounds: int) -> tuple[np.ndarray, Sample]:
    """Every foreground photo on every background photo of two backgrounds, with effects of both photos."""
    foregrounds, backgrounds = (
        each.ravel() for each in np.meshgrid(range(n_foregrounds), range(n_backgrounds), indexing="ij")
    )
    effect = (
        rng.normal(size=n_foregrounds)[foregrounds]
        + rng.normal(size=n_backgrounds)[backgrounds]
        + rng.normal(size=len(foregrounds))
    )
    return effect > 0, sample_of(foregrounds, backgrounds, backgrounds % 2, backgrounds % 2, 2)


@given(seed=st.integers(0, 10_000), n=st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_single_photos_give_wilson(seed, n):
    right = np.random.default_rng(seed).random(n) < 0.5
    expected = wilson(right.sum(), n)
    for backgrounds in (np.arange(n), np.full(n, -1)):
        found = accuracy_intervals(right, sample_of(np.arange(n), backgrounds), resamples=20)
        np.testing.assert_allclose((found.low[0], found.high[0]), expected)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_the_order_of_images_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    right, sample = _crossed(rng, 6, 4)
    order = rng.permutation(len(right))
    columns = (sample.foreground_source, sample.background_source, sample.background, sample.group)
    moved = Sample(*(each[order] for each in columns), 2, sample.mixes)
    found, again = (accuracy_intervals(*each, resamples=50) for each in ((right, sample), (right[order], moved)))
    np.testing.assert_allclose(found.low, again.low)
    np.testing.assert_allclose(found.high, again.high)


@given(seed=st.integers(0, 10_000), n_foregrounds=st.integers(1, 8), n_backgrounds=st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_intervals_hold_the_mean_or_are_nan(seed, n_foregrounds, n_backgrounds):
    found = accuracy_intervals(*_crossed(np.random.default_rng(seed), n_foregrounds, n_backgrounds), resamples=50)
    known = ~np.isnan(found.low)
    assert (np.isnan(found.high) == ~known).all()
    assert ((found.low >= 0) & (found.low <= found.mean) & (found.mean <= found.high) & (found.high <= 1))[known].all()
    low, high = wilson(found.mean * found.counts[0], found.counts[0])
    assert ((found.low <= low + 1e-12) & (found.high >= high - 1e-12))[known].all()
    wide = simultaneous(found, np.flatnonzero(known[:2]))
    assert (wide[0] <= found.low[:2][known[:2]] + 1e-12).all()
    assert (wide[1] >= found.high[:2][known[:2]] - 1e-12).all()


def test_edges():
    none = np.zeros(0, int)
    assert np.isnan(accuracy_intervals(none.astype(bool), sample_of(none, none)).low).all()
    zeros, right = np.zeros(6, int), np.array([True, False] * 3)
    for foregrounds, backgrounds in ((np.arange(6), zeros), (zeros, np.arange(6)), (zeros, zeros)):
        found = accuracy_intervals(right, sample_of(foregrounds, backgrounds))
        assert np.isnan([found.low, found.high]).all()  # one photo for all: nobody knows what another would do
    one = accuracy_intervals(np.array([True]), sample_of(zeros[:1], zeros[:1]))
    np.testing.assert_allclose((one.low[0], one.high[0]), wilson(1, 1))


def test_all_right_counts_photos_not_images():
    """Ten images of each of six photos, all right: as much as six photos can say."""
    found = accuracy_intervals(np.ones(60, bool), sample_of(np.arange(60), np.arange(60) % 6))
    np.testing.assert_allclose((found.low[0], found.high[0]), wilson(6, 6))


def test_an_empty_group_is_nan_beside_others():
    right, sample = _crossed(np.random.default_rng(0), 10, 8)
    wider = Sample(*(getattr(sample, name) for name in list(vars(sample))[:4]), 3, np.ones((1, 3)))
    found, without = accuracy_intervals(right, wider), accuracy_intervals(right, sample)
    assert np.isnan([found.mean[2], found.low[2], found.high[2]]).all()
    np.testing.assert_allclose(found.low[[0, 1, 3]], without.low)


def test_template_effects_widen_the_interval():
    """When a background photo decides, images that share one are worth little more than one image."""
    backgrounds = np.repeat(np.arange(40), 20)
    found = accuracy_intervals(backgrounds % 2 == 0, sample_of(np.arange(800), backgrounds))
    assert found.size[0] == pytest.approx(40, rel=0.05)
    low, high = wilson(400, 800)
    assert found.high[0] - found.low[0] > 3.5 * (high - low)


def test_differences_of_single_photos_are_a_t_test():
    rng = np.random.default_rng(0)
    change = rng.integers(-1, 2, 400) + (rng.random(400) < 0.1)
    found = difference_intervals(change, sample_of(np.arange(400), np.full(400, -1)), resamples=10)
    expected = ttest_1samp(change, 0)
    np.testing.assert_allclose(found.p[0], expected.pvalue, rtol=0.02)
    np.testing.assert_allclose((found.low[0], found.high[0]), expected.confidence_interval(), atol=1e-3)


def test_no_difference_has_p_one():
    _, sample = _crossed(np.random.default_rng(0), 8, 8)
    found = difference_intervals(np.zeros(64), sample)
    assert (found.p == 1).all()
    assert (found.low < 0).all()
    assert (found.high > 0).all()
