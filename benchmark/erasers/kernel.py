"""LEACE in the feature space of an RBF kernel, and back: it erases what kernel readers of that width see."""

import numpy as np

from benchmark.erasers.linear import leace
from benchmark.erasers.registry import Map, Rows, within

LANDMARKS = 500  # rows, drawn, whose kernel spans the space
WIDTH = 1.0  # squared distance at which the kernel is 1/e, in units of the median between rows
RIDGE = 1e-3  # penalty of the way back, in units of the mean variance


def kernel(rows: Rows, seed: int, *, width: float = WIDTH, landmarks: int = LANDMARKS) -> tuple[Map, int]:
    """Erase linearly in a kernel's feature space and return to features (after Ravfogel et al., arXiv 2201.12191).

    With k(x, y) = exp(-|x - y|^2 / (width * median)), drawn landmarks L and the Nystrom features
    phi(x) = k(x, L) k(L, L)^(-1/2) (Williams and Seeger, NIPS 2000), LEACE of the label is applied to phi, in place of
    the paper's adversarial game, and the pre-image is the ridge regression of features on what is left of phi.
    Readers with other kernels can still find the label, as the paper reports of its own.

    Args:
        rows: see `registry.Fit`.
        seed: of the landmarks.
        width: above 0.
        landmarks: at most as many as there are rows.
    """
    within("kernel", "width", width, 1e-3, 1e3)
    within("kernel", "landmarks", landmarks, 2, 1e5)
    phi = nystrom(rows.features, int(landmarks), width, seed)
    inner = phi(rows.features)
    clean, rank = leace(Rows(inner, rows.erase, rows.keep), seed)
    left = clean(inner).astype(np.float64)
    middle, centre = left.mean(0), rows.features.mean(0, dtype=np.float64)
    total = (left - middle).T @ (left - middle) / len(left)
    total += RIDGE * np.trace(total) / len(total) * np.eye(len(total))
    back = np.linalg.solve(total, (left - middle).T @ (rows.features - centre) / len(left))
    return lambda features: (centre + (clean(phi(features)) - middle) @ back).astype(np.float32), min(
        rank, rows.features.shape[1]
    )


def nystrom(features: np.ndarray, landmarks: int, width: float, seed: int) -> Map:
    """Return the Nystrom features of an RBF kernel: their inner products are the kernel's on the landmarks.

    Args:
        features: (n, d), from which landmarks are drawn.
        landmarks: how many at most.
        width: of the kernel, in units of the median squared distance of landmarks.
        seed: of the draw.
    """
    draw = np.random.default_rng(seed)
    among = features[np.sort(draw.choice(len(features), min(landmarks, len(features)), replace=False))]
    among = among.astype(np.float64)
    apart = distances(among, among)
    scale = width * np.median(apart[np.triu_indices(len(among), 1)])
    values, vectors = np.linalg.eigh(np.exp(-apart / scale))
    used = values > 1e-6 * values[-1]
    root = vectors[:, used] / np.sqrt(values[used])
    return lambda rows: (np.exp(-distances(rows.astype(np.float64), among) / scale) @ root).astype(np.float32)


def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the (n, m) squared Euclidean distances of (n, d) and (m, d)."""
    return (np.square(x).sum(1)[:, None] + np.square(y).sum(1) - 2 * x @ y.T).clip(0)
