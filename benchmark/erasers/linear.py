"""Erasers that remove directions: iterative null-space projection and LEACE. Both stop linear probes, not others."""

import warnings

import numpy as np

from benchmark.erasers.registry import Map, Rows, affine, one_hot
from d3s_dataset.utils.extras import late

ROUNDS = 35  # classifiers at most, as in the experiments of arXiv 2004.07667
DECAY = 1e-2  # L2 penalty of each classifier, on features scaled to a mean variance of 1
HELD_OUT = 0.2  # of the photos: the test whether a label can still be read uses these


def nothing(rows: Rows, seed: int) -> tuple[Map, int]:
    """Return features as they are."""
    return lambda features: features, rows.features.shape[1]


def leace(rows: Rows, seed: int) -> tuple[Map, int]:
    """Least-squares concept erasure (Belrose et al., arXiv 2306.03819, theorem 4.3), by its authors' package.

    Of all affine maps after which features and labels have no covariance, it moves features least.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the package compiles with torch.jit.script, which is old
        LeaceEraser = late("concept_erasure", "benchmark").LeaceEraser
    import torch

    labels = torch.from_numpy(one_hot(rows.erase))
    found = LeaceEraser.fit(torch.from_numpy(rows.features.astype(np.float64)), labels)
    size = rows.features.shape[1]
    matrix = np.eye(size) - (found.proj_left @ found.proj_right).numpy().T
    gone = int(torch.linalg.matrix_rank(found.proj_left @ found.proj_right))
    return affine(rows.features.mean(0, dtype=np.float64), matrix), size - gone


def inlp(rows: Rows, seed: int) -> tuple[Map, int]:
    """Iterative null-space projection (Ravfogel et al., arXiv 2004.07667, algorithm 1).

    A linear classifier of the label is fitted, the span of its weights is projected out, and again on what is left,
    until the label is read no better than its commonest value on a held-out fifth of the photos.
    """
    test = np.isin(rows.keep, _drawn(rows.keep, seed))
    centre = rows.features.mean(0, dtype=np.float64)
    x = rows.features - centre
    x /= np.sqrt(x.var(0).mean()) or 1.0
    labels = one_hot(rows.erase)
    least = labels[test].mean(0).max()
    basis = np.zeros((x.shape[1], 0))
    for _ in range(ROUNDS):
        left = x - (x @ basis) @ basis.T
        weights, offset = classifier(left[~test], labels[~test])
        if np.mean((left[test] @ weights + offset).argmax(1) == rows.erase[test]) <= least:
            break
        basis = np.linalg.svd(np.hstack([basis, _span(weights, basis)]), full_matrices=False)[0]
    return affine(centre, np.eye(x.shape[1]) - basis @ basis.T), x.shape[1] - basis.shape[1]


def classifier(x: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (d, k) and offsets (k,) of multinomial logistic regression with L2 penalty `DECAY`.

    Args:
        x: (n, d).
        labels: (n, k) one-hot.
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    size, k = x.shape[1], labels.shape[1]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights, offset = flat[: size * k].reshape(size, k), flat[size * k :]
        log_p = log_softmax(x @ weights + offset, axis=1)
        excess = (np.exp(log_p) - labels) / len(x)
        value = -(labels * log_p).sum() / len(x) + DECAY / 2 * (weights**2).sum()
        return value, np.concatenate([(x.T @ excess + DECAY * weights).ravel(), excess.sum(0)])

    found = minimize(
        loss, np.zeros((size + 1) * k), jac=True, method="L-BFGS-B", options={"maxiter": 200, "ftol": 1e-9}
    ).x
    return found[: size * k].reshape(size, k), found[size * k :]


def _drawn(keep: np.ndarray, seed: int) -> np.ndarray:
    photos = np.unique(keep)
    count = min(max(1, round(HELD_OUT * len(photos))), len(photos) - 1)
    return np.random.default_rng(seed).choice(photos, count, replace=False)


def _span(weights: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis of what `weights` span outside `basis`."""
    new = weights - basis @ (basis.T @ weights)
    left, values, _ = np.linalg.svd(new, full_matrices=False)
    return left[:, values > 1e-6 * values[0]]
