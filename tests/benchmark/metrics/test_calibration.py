"""Calibration against scikit-learn and loops over bins and classes, empty and single groups included."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from benchmark.metrics.accuracy import group_means
from benchmark.metrics.calibration import BINS, brier, calibration_error

GROUPS, CLASSES = 4, 7
_cases = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def _images(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities (n, 7), true classes and groups, some of them empty."""
    probability = rng.dirichlet(np.full(CLASSES, 0.4), n).clip(1e-9)
    probability /= probability.sum(1, keepdims=True)
    return probability, rng.integers(0, CLASSES, n), rng.integers(0, rng.integers(1, GROUPS + 1), n)


@given(rng=_cases, n=st.integers(0, 60))
@settings(deadline=None)
def test_calibration_error_is_that_of_a_loop_over_bins(rng, n):
    probability, truth, group = _images(rng, n)
    confidence, right = probability.max(1, initial=0), probability.argmax(1) == truth
    found = calibration_error(confidence, right, group, GROUPS)
    for label in range(GROUPS):
        own, error = group == label, 0.0
        for low in range(BINS):
            inside = own & (confidence > low / BINS) & (confidence <= (low + 1) / BINS)
            if inside.any():
                error += inside.sum() * abs(right[inside].mean() - confidence[inside].mean())
        np.testing.assert_allclose(found[label], error / own.sum() if own.any() else np.nan, atol=1e-12)


def test_bins_are_closed_on_the_right():
    zero = np.zeros(2, int)
    assert calibration_error(np.array([0.0, 1 / 15]), np.array([True, False]), zero, 1) == (1 - 1 / 15) / 2
    assert calibration_error(np.array([1.0, 1.0]), np.array([True, True]), zero, 1) == 0


@given(rng=_cases, n=st.integers(0, 40))
@settings(deadline=None)
def test_brier_is_the_sum_over_classes(rng, n):
    probability, truth, group = _images(rng, n)
    loss = -np.log(probability[np.arange(n), truth])
    found = brier(loss, (probability**2).sum(1), group, GROUPS)
    for label in range(GROUPS):
        rows = np.flatnonzero(group == label)
        expected = [sum((probability[i, k] - (k == truth[i])) ** 2 for k in range(CLASSES)) for i in rows]
        np.testing.assert_allclose(found[label], np.mean(expected) if expected else np.nan, atol=1e-12)
    assert np.isnan(brier(loss, None, group, GROUPS)).all()


@given(rng=_cases, n=st.integers(1, 40))
@settings(deadline=None)
def test_the_mean_loss_is_scikit_learns_log_loss(rng, n):
    probability, truth, _ = _images(rng, n)
    loss = -np.log(probability[np.arange(n), truth])
    found = group_means(loss, np.zeros(n, int), 1)[0][0]
    np.testing.assert_allclose(found, log_loss(truth, probability, labels=range(CLASSES)), rtol=1e-6)
