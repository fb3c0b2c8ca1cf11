"""Intervals: against statsmodels and a brute-force bootstrap, and what they do at the edges."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from benchmark.stats import interval, photos, wilson


@given(n=st.integers(1, 5000), share=st.floats(0, 1))
def test_wilson_is_statsmodels(n, share):
    right = round(n * share)
    expected = proportion_confint(right, n, alpha=0.05, method="wilson")
    np.testing.assert_allclose(wilson(right, n), expected, atol=1e-12)


def _crossed(rng: np.random.Generator, fronts: int, behinds: int) -> tuple[np.ndarray, ...]:
    """Every foreground photo on every background photo of two backgrounds, with effects of both photos."""
    front, behind = (each.ravel() for each in np.meshgrid(range(fronts), range(behinds), indexing="ij"))
    effect = rng.normal(size=fronts)[front] + rng.normal(size=behinds)[behind] + rng.normal(size=len(front))
    return effect > 0, front, behind, behind % 2


def _brute_force(right, front, behind, background, resamples=2000):
    """Owen's bootstrap as a loop: draw photos with replacement, take every image as often as both were drawn."""
    rng = np.random.default_rng(99)
    accuracies = []
    for _ in range(resamples):
        fronts = rng.choice(np.unique(front), len(np.unique(front)))
        behinds = np.concatenate(
            [rng.choice(own, len(own)) for own in (np.unique(behind[background == each]) for each in (0, 1))]
        )
        weight = [(fronts == f).sum() * (behinds == b).sum() for f, b in zip(front, behind, strict=True)]
        if sum(weight):
            accuracies.append(np.average(right, weights=weight))
    return np.quantile(accuracies, [0.025, 0.975])


@pytest.mark.parametrize("seed", range(3))
def test_two_way_interval_is_that_of_a_loop(seed):
    case = _crossed(np.random.default_rng(seed), 12, 8)
    found = interval(*case, resamples=4000)
    # 96 images: an accuracy moves in steps of a hundredth, and so do percentiles.
    np.testing.assert_allclose(found, _brute_force(*case), atol=0.035)


def test_nested_photos_are_resampled_one_way():
    """Each foreground photo on one background photo: the interval is that of resampling background photos."""
    rng = np.random.default_rng(0)
    behind = np.repeat(np.arange(40), 5)
    right = rng.random(200) < np.repeat(rng.random(40), 5)
    found = interval(right, np.arange(200), behind, np.zeros(200, int), resamples=4000)
    means = right.reshape(40, 5).mean(1)
    loop = [rng.choice(means, 40).mean() for _ in range(4000)]
    np.testing.assert_allclose(found, np.quantile(loop, [0.025, 0.975]), atol=0.02)
    swapped = interval(right, behind, np.arange(200), np.zeros(200, int), resamples=4000)
    np.testing.assert_allclose(swapped, found, atol=0.02)


@given(seed=st.integers(0, 10_000), n=st.integers(1, 40))
@settings(max_examples=50, deadline=None)
def test_single_photos_give_wilson(seed, n):
    right = np.random.default_rng(seed).random(n) < 0.5
    no_photo = np.full(n, -1)
    expected = wilson(int(right.sum()), n)
    assert interval(right, np.arange(n), np.arange(n), np.zeros(n, int)) == expected
    assert interval(right, np.arange(n), no_photo, np.zeros(n, int)) == expected


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_the_order_of_images_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    case = _crossed(rng, 6, 4)
    order = rng.permutation(len(case[0]))
    shuffled = tuple(each[order] for each in case)
    np.testing.assert_allclose(interval(*case, resamples=50), interval(*shuffled, resamples=50), rtol=1e-12)


@given(seed=st.integers(0, 10_000), fronts=st.integers(1, 8), behinds=st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_intervals_lie_in_range_or_are_nan(seed, fronts, behinds):
    low, high = interval(*_crossed(np.random.default_rng(seed), fronts, behinds), resamples=50)
    assert (math.isnan(low) and math.isnan(high)) or 0 <= low <= high <= 1


def test_edges():
    none = np.zeros(0, int)
    assert all(math.isnan(end) for end in interval(none.astype(bool), none, none, none))
    zeros, right = np.zeros(6, int), np.array([True, False] * 3)
    # One photo behind all images: nothing to resample, nothing known.
    assert all(math.isnan(end) for end in interval(right, np.arange(6), zeros, zeros))
    # All right: a bootstrap would say [1, 1].
    low, high = interval(np.ones(6, bool), np.arange(6) % 3, zeros, zeros)
    assert (low, high) == wilson(6, 6)
    assert low < 1


def test_template_effects_widen_the_interval():
    """When a background photo decides, images that share one are worth little more than one image."""
    behind = np.repeat(np.arange(10), 30)
    right = behind % 2 == 0
    low, high = interval(right, np.arange(300), behind, np.zeros(300, int))
    narrow = wilson(int(right.sum()), 300)
    assert high - low > 3 * (narrow[1] - narrow[0])


def test_photos_counts_each_missing_one():
    assert photos(np.array([3, 3, 5, -1, -1])) == 4
    assert photos(np.array([], dtype=int)) == 0


@given(seed=st.integers(0, 10_000), fronts=st.integers(1, 12), behinds=st.integers(2, 6))
@settings(max_examples=40, deadline=None)
def test_an_interval_is_never_narrower_than_that_of_independent_images(seed, fronts, behinds):
    """Three photos of a background that happen to agree would else give an interval of no width."""
    rng = np.random.default_rng(seed)
    behind = np.repeat(np.arange(behinds), fronts)
    right = rng.random(len(behind)) < 0.3
    low, high = interval(right, np.arange(len(behind)), behind, np.zeros(len(behind), int))
    wilson_low, wilson_high = wilson(int(right.sum()), len(right))
    assert low <= wilson_low
    assert high >= wilson_high
