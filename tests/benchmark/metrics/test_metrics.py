"""Every metric against an independent implementation, empty and single groups included."""

import math
from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, top_k_accuracy_score

from benchmark.metrics.accuracy import consistency, error_ratio, gap, group_means, hits, mean, reweighted, worst

GROUPS = 5
_cases = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def _images(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of n images over 20 classes, the true class, and a group that leaves some groups empty."""
    return rng.random((n, 20)), rng.integers(0, 20, n), rng.integers(0, rng.integers(1, GROUPS + 1), n)


@given(rng=_cases, n=st.integers(1, 60))
@settings(deadline=None)
def test_hits_are_scikit_learns_accuracies(rng, n):
    scores, truth, _ = _images(rng, n)
    best = np.argsort(-scores, axis=1)[:, :5]
    assert mean(hits(truth, best, 1)) == accuracy_score(truth, best[:, 0])
    assert mean(hits(truth, best, 5)) == top_k_accuracy_score(truth, scores, k=5, labels=range(20))


@given(rng=_cases, n=st.integers(0, 60))
def test_group_means_are_the_means_of_a_loop(rng, n):
    values, labels = rng.random(n), rng.integers(0, GROUPS, n)
    means, sizes = group_means(values, labels, GROUPS)
    for label in range(GROUPS):
        members = [value for value, own in zip(values, labels, strict=True) if own == label]
        assert sizes[label] == len(members)
        expected = math.fsum(members) / len(members) if members else math.nan
        np.testing.assert_allclose(means[label], expected, rtol=1e-12)


@given(rng=_cases, n=st.integers(0, 60))
def test_worst_and_gap_are_those_of_a_loop(rng, n):
    values, labels = rng.random(n) < 0.5, rng.integers(0, GROUPS, n)
    means, sizes = group_means(values, labels, GROUPS)
    lowest, overall = worst(means), mean(values)
    filled = [label for label in range(GROUPS) if sizes[label]]
    if not filled:
        assert lowest is None
        assert math.isnan(overall)
        assert math.isnan(gap(overall, means))
        return
    assert lowest == min(filled, key=lambda label: (means[label], label))
    assert gap(overall, means) == overall - min(means[filled])
    assert gap(overall, means) >= -1e-12


def test_an_empty_group_is_nan_with_zero_images():
    means, sizes = group_means(np.array([True]), np.array([1]), 3)
    assert sizes.tolist() == [0, 1, 0]
    assert np.isnan(means).tolist() == [True, False, True]
    assert worst(means) == 1
    assert gap(1.0, means) == 0


@given(rng=_cases, n=st.integers(0, 60), weighted=st.booleans())
def test_reweighted_is_numpys_average(rng, n, weighted):
    values, labels = rng.random(n), rng.integers(0, GROUPS, n)
    means, sizes = group_means(values, labels, GROUPS)
    weights = rng.random(GROUPS) if weighted else np.ones(GROUPS)
    found = reweighted(means, weights if weighted else None)
    if not n:
        assert math.isnan(found)
        return
    held = sizes > 0
    np.testing.assert_allclose(found, np.average(means[held], weights=weights[held]))
    np.testing.assert_allclose(reweighted(means, sizes), values.mean())


def test_weights_on_empty_groups_alone_give_nothing():
    assert math.isnan(reweighted(np.array([np.nan, 0.5]), np.array([1.0, 0.0])))


def test_error_ratio_is_error_over_error():
    ratio = error_ratio(0.8, np.array([0.8, 0.6, np.nan, 1.0]))
    np.testing.assert_allclose(ratio, [1, 2, np.nan, 0])
    assert np.isnan(error_ratio(1.0, np.array([1.0]))).all()
    assert np.isnan(error_ratio(math.nan, np.array([math.nan]))).all()


@given(rng=_cases, n=st.integers(0, 40))
def test_consistency_is_that_of_a_loop(rng, n):
    right, photo, background = rng.random(n) < 0.6, rng.integers(0, 8, n), rng.integers(0, 4, n)
    always, flips = [], []
    for each in set(photo.tolist()):
        own = np.flatnonzero(photo == each)
        pairs = [(i, j) for i, j in combinations(own, 2) if background[i] != background[j]]
        if pairs:
            always.append(bool(right[own].all()))
            flips.append(np.mean([right[i] != right[j] for i, j in pairs]))
    photos, share, rate = consistency(right, photo, background)
    assert photos == len(always)
    np.testing.assert_allclose(share, np.mean(always) if always else np.nan)
    np.testing.assert_allclose(rate, np.mean(flips) if flips else np.nan)
