"""Erasers of the variation within a photo: they also lower what a non-linear probe reads.

Features of the same photo under different labels differ by what is to be erased and by little else. These differences,
the within-photo spread, say where that lies without being told what it is: in those directions nothing is left, for
readers of any kind.
"""

from collections.abc import Sequence

import numpy as np

from benchmark.erasers.registry import Map, Rows, affine, one_hot, within
from d3s_dataset.errors import EraserError

NUISANCE = 0.08  # of all directions, largest within-photo spread first, are the nuisance's own
BAND = (NUISANCE, 0.235)  # between these `band` keeps directions
RIDGES = (1.0,) * 4  # penalties of the linear readers that `band` takes away in turn, in units of the mean variance
SHRINKAGE = 0.1  # of the spread of all rows towards a sphere, before it is inverted


def nuisance(rows: Rows, seed: int, *, share: float = NUISANCE) -> tuple[Map, int]:
    """Nuisance attribute projection (Solomonoff, Campbell and Boardman, ICASSP 2005).

    The directions of largest within-photo spread, a share of all, are projected out.
    """
    within("nuisance", "share", share, 0, 1)
    gone = directions(rows, share)
    return without(rows.features.mean(0, dtype=np.float64), gone), len(gone) - gone.shape[1]


def photo_mean(rows: Rows, seed: int, *, shrinkage: float = SHRINKAGE) -> tuple[Map, int]:
    """Ridge regression of features on the mean of their photo's: what is left identifies the photo.

    The rank is that of the photos' means, so few photos leave little: enough to separate photos, not enough for a
    head of many classes. `shrinkage` is of the spread of all rows towards a sphere.
    """
    within("photo-mean", "shrinkage", shrinkage, 0, 1e3)
    x, means = centred(rows)
    total = x.T @ x / len(x)
    size = len(total)
    total += shrinkage * np.trace(total) / size * np.eye(size)
    matrix = np.linalg.solve(total, x.T @ means[rows.keep] / len(x))
    return affine(rows.features.mean(0, dtype=np.float64), matrix), min(size, len(means) - 1)


def band(rows: Rows, seed: int) -> tuple[Map, int]:
    """Keep the middle of the within-photo spread, and of that what linear readers of the label do not use.

    The largest directions are the nuisance's own. In the smallest a reader finds it again, since scaling makes them as
    large as any; a photo's class lies in between. What is left is enlarged until it has the spread of what came in:
    a head whose offsets were learnt with that spread receives too little signal otherwise.

    Raises:
        EraserError: too few differences to have a middle.
    """
    values, vectors = spread(rows)
    first, last = (round(share * len(vectors)) for share in BAND)
    last = max(last, first + 1)
    if (there := int((values > 1e-9 * values[0]).sum())) < last:
        raise EraserError(
            f"the eraser 'band' needs photos that differ from themselves in {last} directions, got {there}: "
            "give it more photos, or each under more labels"
        )
    kept = vectors[:, first:last]
    x, _ = centred(rows)
    kept = kept @ unread(x @ kept, one_hot(rows.erase), RIDGES)
    scale = np.sqrt(np.square(x).sum() / np.square(x @ kept).sum())
    return affine(rows.features.mean(0, dtype=np.float64), scale * kept @ kept.T), kept.shape[1]


def centred(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return features (n, d) and the means of photos (photos, d), both less the mean of all rows, float64."""
    x = rows.features - rows.features.mean(0, dtype=np.float64)
    photos = one_hot(rows.keep)
    return x, photos.T @ x / photos.sum(0)[:, None]


def spread(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return variances (d,) and directions (d, d), as columns, of the within-photo spread, largest first."""
    x, means = centred(rows)
    differences = x - means[rows.keep]
    values, vectors = np.linalg.eigh(differences.T @ differences / len(x))
    return values[::-1].clip(0), vectors[:, ::-1]


def directions(rows: Rows, share: float) -> np.ndarray:
    """Return the given share of all directions, (d, k), of largest within-photo spread; one at least."""
    _, vectors = spread(rows)
    return vectors[:, : max(1, round(share * len(vectors)))]


def without(centre: np.ndarray, gone: np.ndarray) -> Map:
    """Return the projection around `centre` (d,) to the complement of the orthonormal columns of `gone` (d, k)."""
    return affine(centre, np.eye(len(gone)) - gone @ gone.T)


def unread(x: np.ndarray, labels: np.ndarray, ridges: Sequence[float]) -> np.ndarray:
    """Return an orthonormal basis (k, r) of what is left when the weights of linear readers are projected out.

    Args:
        x: (n, k) centred.
        labels: (n, c) one-hot.
        ridges: a least-squares reader each, fitted on what the ones before it left.
    """
    basis = np.eye(x.shape[1])
    for ridge in ridges:
        z = x @ basis
        total = z.T @ z / len(z)
        total += ridge * np.trace(total) / len(total) * np.eye(len(total))
        weights = np.linalg.solve(total, z.T @ (labels - labels.mean(0)))
        left, values, _ = np.linalg.svd(weights)
        used = int((values > 1e-6 * values[0]).sum())
        if used >= len(total):
            break
        basis = basis @ left[:, used:]
    return basis
