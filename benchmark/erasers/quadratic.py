"""Quadratic erasure: labels have the same mean and the same covariance afterwards, not the same mean alone."""

import warnings
from collections.abc import Callable

import numpy as np

from benchmark.erasers.linear import leace
from benchmark.erasers.registry import Map, Rows, within
from d3s_dataset.utils.extras import late

COMPONENTS = 128  # leading principal directions whose covariance is made equal
SHRINKAGE = 0.1  # of the spread within labels towards a sphere, before it is inverted


def qleace(rows: Rows, seed: int, *, components: int = COMPONENTS) -> tuple[Map, int]:
    """LEACE, then optimal transport of each label to the barycentre of all (QLEACE, by the authors of LEACE).

    The package's transport maps need the label of what they erase. An eraser sees features alone, so the label is
    predicted: by linear discriminant analysis of the features as they came in. Where that is right, as on the rows it
    is fitted on, means and covariances of labels in the leading principal directions are equal afterwards. These are
    at most half as many as the rarest label has rows, since the covariance of fewer rows has no inverse.

    Args:
        rows: see `registry.Fit`.
        seed: unused.
        components: leading directions at most.
    """
    within("qleace", "components", components, 1, 1e5)
    clean, rank = leace(rows, seed)
    out = clean(rows.features).astype(np.float64)
    centre = out.mean(0)
    count = min(int(components), rank, max(1, int(np.bincount(rows.erase).min()) // 2))
    lead = np.linalg.eigh((out - centre).T @ (out - centre))[1][:, ::-1][:, :count]
    means, matrices = transport((out - centre) @ lead, rows.erase)
    which = discriminant(rows.features, rows.erase)

    def apply(features: np.ndarray) -> np.ndarray:
        erased, labels = clean(features), which(features)
        z = (erased - centre) @ lead
        moved = np.empty_like(z)
        for label in np.unique(labels):
            own = labels == label
            moved[own] = (z[own] - means[label]) @ matrices[label]
        return erased + ((moved - z) @ lead.T).astype(np.float32)

    return apply, rank


def transport(z: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return means (labels, k) and maps (labels, k, k): (z - mean) @ map has the covariance of the barycentre.

    The barycentre is that of Gaussians in the 2-Wasserstein distance (Alvarez-Esteban et al., arXiv 1511.05355).

    Args:
        z: (n, k) centred.
        labels: (n,) in 0..labels-1.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the package compiles with torch.jit.script, which is old
        fitter = late("concept_erasure", "benchmark").QuadraticFitter
    import torch

    fitted = fitter(z.shape[1], int(labels.max()) + 1, dtype=torch.float64, shrinkage=False)
    fitted.update(torch.from_numpy(z), torch.from_numpy(labels))
    maps = fitted.eraser.ot_maps.numpy()
    return fitted.mean_x.numpy(), maps.transpose(0, 2, 1)


def discriminant(features: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that predicts labels by linear discriminant analysis with a shrunk pooled covariance.

    Args:
        features: (n, d).
        labels: (n,) in 0..labels-1.
    """
    counts = np.bincount(labels)
    means = np.stack([features[labels == each].mean(0, dtype=np.float64) for each in range(len(counts))])
    apart = features - means[labels]
    pooled = apart.T @ apart / len(apart)
    size = len(pooled)
    pooled = (1 - SHRINKAGE) * pooled + SHRINKAGE * np.trace(pooled) / size * np.eye(size)
    weights = np.linalg.solve(pooled, means.T)
    offset = np.log(counts / counts.sum()) - np.sum(means.T * weights, axis=0) / 2
    return lambda rows: (rows @ weights + offset).argmax(1)
