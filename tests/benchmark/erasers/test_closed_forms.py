"""Quadratic, kernel and discriminant erasers against brute force on small cases, and what they refuse."""

import numpy as np
import pytest
import scipy.linalg

from benchmark import erasers
from benchmark.erasers.answer import prototypes
from benchmark.erasers.discriminant import SHRINKAGE, photo_directions
from benchmark.erasers.kernel import nystrom
from benchmark.erasers.registry import Rows, one_hot
from d3s_dataset.errors import EraserError
from tests.benchmark.erasers.test_erasers import SIZE, covariance, head, rows


def test_qleace_leaves_labels_the_same_mean_and_covariance():
    """Oracle: each label's covariance, by Bures' map of its own to what the others have too."""
    features, erase, keep = rows(photos=60)
    features = features + (features * (erase == 1)[:, None]).astype(np.float32)  # a label of another spread
    out = erasers.fit("qleace", features, erase, keep)(features).astype(np.float64)
    linear = erasers.fit("leace", features, erase, keep)(features)
    means = np.stack([out[erase == label].mean(0) for label in range(3)])
    np.testing.assert_allclose(means, means[:1].repeat(3, 0), atol=1e-4 * out.std())
    after, before = ([np.cov(x[erase == label].T) for label in range(3)] for x in (out, linear))
    assert max(np.abs(after[0] - each).max() for each in after) < 1e-3 * np.abs(after[0]).max()
    assert max(np.abs(before[0] - each).max() for each in before) > 0.5 * np.abs(before[0]).max()
    middle = after[0]  # the barycentre is the mean of the roots of middle^(1/2) S middle^(1/2)
    root = scipy.linalg.sqrtm(middle).real
    roots = sum(scipy.linalg.sqrtm(root @ each @ root).real for each in before) / 3
    np.testing.assert_allclose(roots, middle, atol=1e-2 * np.abs(middle).max())


def test_the_kernel_features_have_the_kernels_inner_products_and_leace_leaves_them_no_covariance():
    features, erase, keep = rows()
    phi = nystrom(features, len(features), 2.0, 0)(features).astype(np.float64)
    apart = np.array([[np.square(one - other).sum() for other in features] for one in features.astype(np.float64)])
    scale = 2.0 * np.median(apart[np.triu_indices(len(apart), 1)])
    np.testing.assert_allclose(phi @ phi.T, np.exp(-apart / scale), atol=1e-3)
    out = erasers.fit("kernel", features, erase, keep, options={"landmarks": 180})(features)
    assert np.abs(covariance(out, erase)).max() < 1e-2 * np.abs(covariance(features, erase)).max()


def scatters(features: np.ndarray, keep: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x = features - features.mean(0, dtype=np.float64)
    between, within = (np.zeros((x.shape[1], x.shape[1])) for _ in range(2))
    for photo in np.unique(keep):
        own = x[keep == photo]
        between += len(own) / len(x) * np.outer(own.mean(0), own.mean(0))
        within += (own - own.mean(0)).T @ (own - own.mean(0)) / len(x)
    return between, (1 - SHRINKAGE) * within + SHRINKAGE * np.trace(within) / len(within) * np.eye(len(within))


def test_photo_lda_has_the_generalised_eigenvectors_and_no_drawn_direction_has_a_larger_ratio():
    features, erase, keep = rows()
    between, within = scatters(features, keep)
    values, vectors = scipy.linalg.eigh(between, within)
    found = photo_directions(Rows(features, erase, keep), "photo-lda", 5, SHRINKAGE)
    np.testing.assert_allclose(np.abs((found * (within @ vectors[:, ::-1][:, :5])).sum(0)), 1, atol=1e-4)
    np.testing.assert_allclose(found.T @ between @ found, np.diag(values[::-1][:5]), atol=1e-4 * values[-1])
    drawn = np.random.default_rng(0).normal(size=(2000, SIZE))
    ratios = np.einsum("ij,jk,ik->i", drawn, between, drawn) / np.einsum("ij,jk,ik->i", drawn, within, drawn)
    assert ratios.max() < values[-1]


def test_photo_lda_gives_its_directions_back_as_features_by_least_squares():
    features, erase, keep = rows()
    eraser = erasers.fit("photo-lda", features, erase, keep, options={"directions": 5})
    assert eraser.rank == 5
    x = features - features.mean(0, dtype=np.float64)
    code = x @ photo_directions(Rows(features, erase, keep), "photo-lda", 5, SHRINKAGE)
    expected = code @ np.linalg.pinv(code) @ x
    np.testing.assert_allclose(eraser(features) - features.mean(0), expected, atol=1e-3 * x.std())


def test_kernel_lda_keeps_the_angles_of_photo_lda_in_the_kernels_features():
    features, erase, keep = rows()
    eraser = erasers.fit("kernel-lda", features, erase, keep, seed=3, options={"directions": 6})
    phi = nystrom(features, len(features), 8.0, 3)(features)
    code = (phi - phi.mean(0)) @ photo_directions(Rows(phi, erase, keep), "kernel-lda", 6, SHRINKAGE)
    code /= np.linalg.norm(code, axis=1, keepdims=True)
    out = eraser(features)
    length = np.square(features - features.mean(0)).sum(1).mean()
    np.testing.assert_allclose(out @ out.T / length, code @ code.T, atol=2e-3)
    assert eraser.rank == 6


@pytest.mark.parametrize("classes", [5, 30], ids=["null space", "none"])
def test_code_answer_keeps_the_answer_of_the_head_to_leace_and_nothing_else_of_it(classes):
    features, erase, keep = rows()
    weight, bias = head(classes)
    out = erasers.fit("code-answer", features, erase, keep, head=(weight, bias), options={"directions": 4})(features)
    clean = erasers.fit("leace", features, erase, keep)(features)
    answers = (clean @ weight.T + bias).argmax(1)
    np.testing.assert_array_equal((out @ weight.T + bias).argmax(1), answers)
    coded = erasers.fit("kernel-lda", features, erase, keep, options={"directions": 4})(features)
    own = [np.flatnonzero(answers == answer) for answer in np.unique(answers)]
    for same in own:  # what differs among images of the same answer is the code alone
        one, other = (np.square(x[same] - x[same[0]]).sum(1) for x in (out, coded))
        np.testing.assert_allclose(one, other, rtol=1e-2, atol=1e-3 * np.square(coded[0]).sum())


def test_the_shaped_noise_has_the_covariance_within_photos_after_leace():
    features, erase, keep = rows(photos=400)
    clean = erasers.fit("leace", features, erase, keep)(features).astype(np.float64)
    added = erasers.fit("shaped-noise", features, erase, keep, options={"strength": 2.0})(features) - clean
    apart = clean - (one_hot(keep).T @ clean / one_hot(keep).sum(0)[:, None])[keep]
    expected = 4 * apart.T @ apart / len(apart)
    np.testing.assert_allclose(added.T @ added / len(added), expected, atol=0.1 * np.abs(expected).max())


def test_a_class_that_no_features_are_answered_with_is_refused():
    weight, _ = head(3)
    weight[1] = weight[0]
    with pytest.raises(EraserError, match="a head that can give each of its 3 answers") as caught:
        prototypes(weight, np.zeros(3), np.eye(2, SIZE))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("code-answer", {"head": None}, "needs the model's own head"),
        ("leace", {"options": {"strength": 1}}, "the eraser 'leace' has no option 'strength': expected none"),
        ("noise", {"options": {"strong": 1}}, "'noise' has no option 'strong': expected share, strength"),
        ("noise", {"options": {"strength": -1}}, "'noise': expected strength from 0 to 1000, got -1"),
        ("photo-lda", {"options": {"directions": 0}}, "'photo-lda': expected directions from 1 to "),
        ("kernel-lda", {"options": {"width": 0}}, "'kernel-lda': expected width from "),
        (
            "splince",
            {"erase": np.random.default_rng(0).permutation(180) % 60},
            "'splince' erases all 24 features: give it wider features",
        ),
        ("inlp", {"features": np.repeat(np.eye(20, SIZE), 9, 0)}, "'inlp' keeps all 24 features: it found nothing"),
    ],
)
def test_what_cannot_be_erased_is_refused(name, change, words):
    features, erase, keep = rows()
    given = {"features": features, "erase": erase, "keep": keep, "head": head()} | change
    with pytest.raises(EraserError, match=words) as caught:
        erasers.fit(name, **given)
    assert "\n" not in str(caught.value)
