"""Erasers that keep what tells photos apart, against what varies while the photo stays the same: photo-LDA."""

import numpy as np

from benchmark.erasers.kernel import LANDMARKS, nystrom
from benchmark.erasers.nuisance import centred
from benchmark.erasers.registry import Map, Rows, affine, within

DIRECTIONS = 60  # at most; there are one fewer than photos
SHRINKAGE = 0.1  # of the within-photo scatter towards a sphere, before it is inverted
WIDTH = 8.0  # of the kernel, see `kernel.nystrom`


def photo_lda(
    rows: Rows, seed: int, *, directions: float = DIRECTIONS, shrinkage: float = SHRINKAGE
) -> tuple[Map, int]:
    """Keep the directions of largest between-photo against within-photo scatter (Rao, J. R. Stat. Soc. B 10, 1948).

    Linear discriminant analysis whose classes are the photos to keep. What is left has the rank of the directions, and
    is given back as features by least squares.

    Args:
        rows: see `registry.Fit`.
        seed: unused.
        directions: how many at most.
        shrinkage: of the within-photo scatter, from 0 to 1.
    """
    kept = photo_directions(rows, "photo-lda", directions, shrinkage)
    centre = rows.features.mean(0, dtype=np.float64)
    x = rows.features - centre
    return affine(centre, kept @ np.linalg.lstsq(x @ kept, x, rcond=None)[0]), kept.shape[1]


def kernel_lda(
    rows: Rows, seed: int, *, directions: float = DIRECTIONS, shrinkage: float = SHRINKAGE, width: float = WIDTH
) -> tuple[Map, int]:
    """Keep the photo-LDA directions of a kernel's feature space (Mika et al., NNSP 1999), at unit length.

    The code of an image (`kernel_code`) is rotated into the space of features, as near to them as a rotation gets
    (Schoenemann, Psychometrika 31, 1966), with their root mean square length.

    Args:
        rows: see `registry.Fit`.
        seed: of the kernel's landmarks.
        directions: how many at most, and no more than features.
        shrinkage: of the within-photo scatter, from 0 to 1.
        width: of the RBF kernel.
    """
    code, size = kernel_code(rows, "kernel-lda", seed, directions, shrinkage, width)
    x = rows.features - rows.features.mean(0, dtype=np.float64)
    left, _, right = np.linalg.svd(code(rows.features).T @ x, full_matrices=False)
    turn = (left @ right * np.sqrt(np.square(x).sum(1).mean())).astype(np.float32)
    return lambda features: code(features) @ turn, size


def kernel_code(rows: Rows, name: str, seed: int, directions: float, shrinkage: float, width: float) -> tuple[Map, int]:
    """Return a map to codes of unit length, (m, k) float32, and k: photo-LDA of Nystrom features of an RBF kernel.

    A background that covers much of what is seen of an object shortens its code, so that lengths are not kept.

    Args:
        rows: see `registry.Fit`.
        name: of the eraser, for errors.
        seed: of the kernel's landmarks.
        directions: how many at most, and no more than features.
        shrinkage: of the within-photo scatter, from 0 to 1.
        width: of the RBF kernel.
    """
    within(name, "width", width, 1e-3, 1e3)
    phi = nystrom(rows.features, 2 * LANDMARKS, width, seed)
    inner = Rows(phi(rows.features), rows.erase, rows.keep)
    kept = photo_directions(inner, name, min(directions, rows.features.shape[1]), shrinkage).astype(np.float32)
    centre = inner.features.mean(0)

    def code(features: np.ndarray) -> np.ndarray:
        found = (phi(features) - centre) @ kept
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), np.finfo(np.float32).tiny)

    return code, kept.shape[1]


def photo_directions(rows: Rows, name: str, directions: float, shrinkage: float) -> np.ndarray:
    """Return (d, k) generalised eigenvectors v of S_between v = ratio S_within v, largest ratio first.

    They are scaled to v' S_within v = 1, where S_within is the shrunk scatter within photos. There are as many as asked
    for, or one fewer than photos.

    Raises:
        EraserError: no direction; a shrinkage outside 0 to 1.
    """
    within(name, "shrinkage", shrinkage, 0, 1)
    within(name, "directions", directions, 1, 1e5)
    x, means = centred(rows)
    size = x.shape[1]
    apart = x - means[rows.keep]
    scatter = apart.T @ apart / len(x)
    scatter = (1 - shrinkage) * scatter + shrinkage * np.trace(scatter) / size * np.eye(size)
    lower = np.linalg.cholesky(scatter)
    between = means.T * np.sqrt(np.bincount(rows.keep) / len(x))
    # With S_within = L L', the directions are L'^-1 u for the left singular vectors u of L^-1 times photos' means.
    vectors = np.linalg.svd(np.linalg.solve(lower, between), full_matrices=False)[0]
    return np.linalg.solve(lower.T, vectors[:, : min(int(directions), len(means) - 1)])
