"""Erasers agree with closed forms and brute force on small cases; what cannot work is refused with one line."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark import erasers
from benchmark.erasers.linear import DECAY, classifier
from benchmark.erasers.noise import SHARE, STRENGTH
from benchmark.erasers.nuisance import BAND, NUISANCE, SHRINKAGE, spread, unread
from benchmark.erasers.registry import Rows, one_hot
from d3s_dataset.errors import EraserError

LABELS, PHOTOS, SIZE = 3, 20, 24


def rows(seed: int = 0, *, photos: int = PHOTOS, size: int = SIZE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each photo three times on each of three labels: features = photo + label + noise, mixed."""
    draw = np.random.default_rng(seed)
    keep, erase = np.repeat(np.arange(photos), 3 * LABELS), np.tile(np.repeat(np.arange(LABELS), 3), photos)
    photo = draw.normal(size=(photos, size)) * ([2] * (size - 4) + [0] * 4)
    label = draw.normal(size=(LABELS, size)) * ([0] * (size - 4) + [3] * 4)
    noise = draw.normal(size=(len(keep), size)) * 0.3
    mixing = draw.normal(size=(size, size)) + 2 * np.eye(size)
    return ((photo[keep] + label[erase] + noise) @ mixing).astype(np.float32), erase, keep


def head(classes: int = 5, size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Weights and biases of a head."""
    draw = np.random.default_rng(1)
    return draw.normal(size=(classes, size)).astype(np.float32), draw.normal(size=classes).astype(np.float32)


def covariance(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    z = one_hot(labels)
    return (features - features.mean(0, dtype=np.float64)).T @ (z - z.mean(0)) / len(z)


@pytest.fixture(scope="module", params=list(erasers.ERASERS))
def name(request):
    return request.param


def test_an_eraser_returns_float32_of_the_same_shape_and_states_the_rank_of_what_remains(name):
    features, erase, keep = rows()
    eraser = erasers.fit(name, features, erase, keep, head=head())
    out = eraser(features)
    assert (out.dtype, out.shape) == (np.float32, features.shape)
    spread = np.linalg.svd(out - out.mean(0, dtype=np.float64), compute_uv=False)
    assert (spread > 1e-5 * spread[0]).sum() <= eraser.rank <= SIZE


def test_the_same_rows_and_seed_give_the_same_eraser(name):
    features, erase, keep = rows()
    first, second = (erasers.fit(name, features, erase, keep, head=head(), seed=3)(features) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_an_image_is_erased_alike_alone_and_among_others(name):
    features, erase, keep = rows()
    eraser = erasers.fit(name, features, erase, keep, head=head())
    np.testing.assert_allclose(eraser(features[:1]), eraser(features)[:1], rtol=1e-3, atol=1e-3)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000), shift=st.integers(1, 100))
def test_what_labels_and_photos_are_called_does_not_matter(seed, shift):
    features, erase, keep = rows(seed)
    for name in erasers.ERASERS:
        try:
            one = erasers.fit(name, features, erase, keep, head=head())(features)
        except EraserError:  # null spaces of 24 features may leave none, whatever labels are called
            assert name == "inlp"
            continue
        other = erasers.fit(name, features, erase * 7 + shift, keep * 3 + shift, head=head())(features)
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


def test_both_directions_erase_what_they_are_told(name):
    features, label, photo = rows(photos=8, size=100)
    for erase, keep in ((label, photo), (photo, label)):
        before, after = (
            np.abs(covariance(x, erase)).max()
            for x in (features, erasers.fit(name, features, erase, keep, head=head(size=100))(features))
        )
        assert after < 0.5 * before or name == "none"


def test_leace_leaves_no_covariance_and_moves_features_least():
    """Against the closed form, theorem 4.3 of arXiv 2306.03819; the package shrinks the covariance a little."""
    features, erase, keep = rows(photos=400)
    moved = erasers.fit("leace", features, erase, keep)(features) - features
    assert np.abs(covariance(features + moved, erase)).max() < 1e-4 * np.abs(covariance(features, erase)).max()
    x = features - features.mean(0, dtype=np.float64)
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    whiten, back = (vectors * values**power @ vectors.T for power in (-0.5, 0.5))
    left, sizes, _ = np.linalg.svd(whiten @ covariance(features, erase))
    assert sizes[LABELS - 1] < 1e-6
    least = np.square(x @ whiten @ left[:, : LABELS - 1] @ left[:, : LABELS - 1].T @ back).sum()
    assert 0.999 * least < np.square(moved).sum() < 1.01 * least


def test_inlp_projects_out_the_weights_of_its_classifiers():
    features, erase, keep = rows()
    eraser = erasers.fit("inlp", features, erase, keep, seed=1)
    out = eraser(features) - features.mean(0, dtype=np.float64)
    projection = np.linalg.lstsq(features - features.mean(0, dtype=np.float64), out, rcond=None)[0]
    np.testing.assert_allclose(projection @ projection, projection, atol=1e-4)  # a projection,
    np.testing.assert_allclose(projection, projection.T, atol=1e-4)  # at right angles
    assert eraser.rank == np.linalg.matrix_rank(projection, tol=1e-3) < SIZE
    test = np.isin(keep, np.random.default_rng(1).choice(PHOTOS, PHOTOS // 5, replace=False))
    x = features - features.mean(0, dtype=np.float64)
    weights, _ = classifier(x[~test] / np.sqrt(x.var(0).mean()), one_hot(erase)[~test])
    np.testing.assert_allclose(projection @ weights, 0, atol=1e-3 * np.abs(weights).max())


def brute_spread(features: np.ndarray, keep: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variances and directions of the differences of every pair of rows of the same photo, counted one by one."""
    groups = [features[keep == photo].astype(np.float64) for photo in np.unique(keep)]
    pairs = [one - other for group in groups for one in group for other in group]
    _, values, directions = np.linalg.svd(np.stack(pairs), full_matrices=False)
    return values**2, directions.T


def test_nuisance_takes_the_largest_differences_of_the_same_photo_away():
    features, erase, keep = rows()
    _, directions = brute_spread(features, keep)
    eraser = erasers.fit("nuisance", features, erase, keep)
    gone = round(NUISANCE * SIZE)
    assert eraser.rank == SIZE - gone
    x = features - features.mean(0, dtype=np.float64)
    expected = x - x @ directions[:, :gone] @ directions[:, :gone].T
    np.testing.assert_allclose(eraser(features) - features.mean(0), expected, atol=1e-3 * x.std())


def test_noise_is_added_to_leace_of_the_projection_as_strong_as_it_says():
    features, erase, keep = rows(photos=400)
    _, around = brute_spread(features, keep)
    gone = around[:, : max(1, round(SHARE * SIZE))]
    eraser = erasers.fit("noise", features, erase, keep, seed=1)
    assert eraser.rank == SIZE - gone.shape[1]
    centre = features.mean(0, dtype=np.float64)
    projected = (centre + (features - centre) @ (np.eye(SIZE) - gone @ gone.T)).astype(np.float32)
    added = eraser(features) - erasers.fit("leace", projected, erase, keep)(projected)
    strength = STRENGTH * np.sqrt(np.square(features - centre).mean())
    np.testing.assert_allclose(added @ gone, 0, atol=1e-2 * strength)
    expected = strength**2 * (np.eye(SIZE) - gone @ gone.T)
    np.testing.assert_allclose(added.T @ added / len(added), expected, atol=0.1 * strength**2)
    x = (features - centre) @ (np.eye(SIZE) - gone @ gone.T)
    assert np.abs(np.corrcoef(np.hstack([added, x]).T)[:SIZE, SIZE:]).max() < 0.1  # says nothing of the features
    other = erasers.fit("noise", features, erase, keep, seed=2)
    assert (other(features) - eraser(features)).std() > strength


def test_the_spread_agrees_with_brute_force():
    features, erase, keep = rows()
    values, directions = spread(Rows(features, erase, keep))
    brute = brute_spread(features, keep)
    np.testing.assert_allclose(values / values.sum(), brute[0] / brute[0].sum(), atol=1e-5)
    np.testing.assert_allclose(np.abs(np.sum(directions * brute[1], axis=0)), 1, atol=1e-3)


def test_photo_mean_is_the_ridge_regression_on_means_of_photos():
    features, erase, keep = rows()
    x = features - features.mean(0, dtype=np.float64)
    means = np.stack([x[keep == photo].mean(0) for photo in range(PHOTOS)])
    penalty = np.sqrt(SHRINKAGE * np.square(x).sum() / SIZE) * np.eye(SIZE)
    targets = np.vstack([means[keep], np.zeros((SIZE, SIZE))])
    expected = x @ np.linalg.lstsq(np.vstack([x, penalty]), targets, rcond=None)[0]
    out = erasers.fit("photo-mean", features, erase, keep)(features) - features.mean(0)
    np.testing.assert_allclose(out, expected, atol=1e-3 * x.std())


def test_band_keeps_the_middle_and_gives_back_the_spread():
    features, erase, keep = rows(size=40)
    _, directions = brute_spread(features, keep)
    eraser = erasers.fit("band", features, erase, keep)
    x, out = (each - each.mean(0, dtype=np.float64) for each in (features, eraser(features)))
    assert np.square(out).sum() == pytest.approx(np.square(x).sum(), rel=1e-3)
    first, last = (round(share * 40) for share in BAND)
    outside = np.delete(directions, slice(first, last), axis=1)
    np.testing.assert_allclose(out @ outside, 0, atol=1e-3 * x.std())
    assert 0 < eraser.rank <= last - first


def test_too_few_differences_for_a_band_are_refused():
    features, erase, keep = rows(photos=2, size=100)
    with pytest.raises(EraserError, match="in 24 directions, got 16: give it more photos"):
        erasers.fit("band", features, erase, keep)


def test_what_linear_readers_use_is_left_out():
    """One reader: the least-squares weights themselves are at right angles to what is left."""
    features, erase, _ = rows()
    x, labels = features - features.mean(0, dtype=np.float64), one_hot(erase)
    basis = unread(x, labels, (0.1,))
    penalty = 0.1 * np.square(x).mean()
    weights = np.linalg.solve(x.T @ x + penalty * len(x) * np.eye(SIZE), x.T @ (labels - labels.mean(0)))
    assert basis.shape == (SIZE, SIZE - LABELS + 1)
    np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-9)
    np.testing.assert_allclose(basis.T @ weights, 0, atol=1e-9)


def test_the_classifier_is_at_its_optimum():
    from sklearn.linear_model import LogisticRegression

    features, erase, _ = rows()
    features = (features - features.mean(0)) / features.std()
    weights, offset = classifier(features, one_hot(erase))
    ours = (features @ weights + offset).argmax(1)
    theirs = LogisticRegression(C=1 / (DECAY * len(features)), max_iter=1000, tol=1e-6).fit(features, erase)
    np.testing.assert_array_equal(ours, theirs.predict(features))
    np.testing.assert_allclose(weights, theirs.coef_.T, atol=0.01 * np.abs(theirs.coef_).max())


NAN = np.full((180, SIZE), np.nan, np.float32)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "leece"}, "expected an eraser among none, inlp, leace, "),
        ({"features": NAN}, "180 of 180 images have features that are not finite"),
        ({"features": np.zeros(180, np.float32)}, r"\(images, features\), got an array of shape \(180,\)"),
        ({"erase": np.zeros(180, int)}, "at least 2 labels to erase, got 1"),
        ({"keep": np.zeros(180, int)}, "at least 2 photos to keep, got 1"),
        ({"erase": np.zeros(3, int)}, "expected 180 labels to erase"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change, words):
    features, erase, keep = rows()
    given = {"name": "leace", "features": features, "erase": erase, "keep": keep} | change
    with pytest.raises(EraserError, match=words) as caught:
        erasers.fit(**given)
    assert "\n" not in str(caught.value)


def test_features_of_another_model_or_not_finite_are_refused(name):
    features, erase, keep = rows()
    eraser = erasers.fit(name, features, erase, keep, head=head())
    with pytest.raises(EraserError, match="was fitted on 24 features, got 23"):
        eraser(features[:, 1:])
    with pytest.raises(EraserError, match="180 of 180 images have features that are not finite"):
        eraser(NAN)


def test_importing_the_table_imports_no_torch():
    code = "import sys, benchmark.erasers; sys.exit('torch' in sys.modules or 'concept_erasure' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
