"""SPLINCE against the constrained least-squares problem that its theorem solves, and against LEACE."""

import numpy as np
import pytest

from benchmark import erasers
from benchmark.erasers.registry import one_hot


@pytest.fixture(scope="module", params=[0, 1], ids=["crossed", "correlated"])
def rows(request):
    """Correlated features of 6 photos on 3 backgrounds, which are crossed, or half of them correlated with photos."""
    rng = np.random.default_rng(request.param)
    keep = rng.integers(0, 6, 400)
    erase = np.where(rng.random(400) < 0.5 * request.param, keep % 3, rng.integers(0, 3, 400))
    mixed = rng.normal(size=(12, 12))
    features = (rng.normal(size=(3, 12))[erase] + rng.normal(size=(6, 12))[keep] + rng.normal(size=(400, 12))) @ mixed
    return features.astype(np.float32), erase, keep


def covariance(x, codes):
    labels = one_hot(codes)
    return (x - x.mean(0)).T.astype(np.float64) @ (labels - labels.mean(0)) / len(x)


def test_nothing_linear_of_the_label_is_left_and_the_covariance_with_photos_is_as_it_was(rows):
    features, erase, keep = rows
    eraser = erasers.fit("splince", features, erase, keep)
    out = eraser(features)
    scale = np.abs(covariance(features, erase)).max()
    assert np.abs(covariance(out, erase)).max() < 1e-5 * scale
    np.testing.assert_allclose(covariance(out, keep), covariance(features, keep), atol=1e-5 * scale)
    assert eraser.rank == 12 - 2


def test_no_map_that_does_this_moves_features_less(rows):
    """By Lagrange: D = I - P minimises tr(D S D^T) with D cov(x, z) = cov(x, z) and D cov(x, y) = 0."""
    features, erase, keep = rows
    x = features.astype(np.float64) - features.mean(0, dtype=np.float64)
    inverse = np.linalg.inv(x.T @ x / len(x))
    of_label, of_photo = covariance(features, erase), covariance(features, keep)
    both = np.hstack([of_label, of_photo])
    wanted = np.hstack([of_label, np.zeros_like(of_photo)])
    moved = wanted @ np.linalg.pinv(both.T @ inverse @ both, rcond=1e-9) @ both.T @ inverse
    found = erasers.fit("splince", features, erase, keep)(features)
    np.testing.assert_allclose(found, features - x @ moved.T, atol=2e-4 * np.abs(features).max())


def test_it_moves_features_more_than_leace_which_keeps_less(rows):
    features, erase, keep = rows
    ours, theirs = (erasers.fit(name, features, erase, keep)(features) for name in ("splince", "leace"))
    assert np.square(ours - features).sum() > np.square(theirs - features).sum()
    lost = [np.abs(covariance(each, keep) - covariance(features, keep)).max() for each in (ours, theirs)]
    assert lost[0] < 1e-3 * lost[1]


def test_where_photos_say_the_label_it_is_erased():
    """Each photo on one background: what is kept and what is erased share directions."""
    rng = np.random.default_rng(0)
    keep = rng.integers(0, 6, 300)
    features = (rng.normal(size=(6, 10))[keep] + rng.normal(size=(300, 10))).astype(np.float32)
    out = erasers.fit("splince", features, keep % 3, keep)(features)
    assert np.isfinite(out).all()
    assert np.abs(covariance(out, keep % 3)).max() < 1e-4
