"""SPLINCE (Holstege, Ravfogel & Wouters, arXiv 2506.10703): LEACE's guarantee, and the covariance with what is kept."""

import numpy as np

from benchmark.erasers.registry import Map, Rows, affine, one_hot

_SMALL = 1e-6  # singular values, and sines of angles between spaces, below which a direction is rounding


def splince(rows: Rows, seed: int) -> tuple[Map, int]:
    """Return the affine map that moves features least under two constraints (theorem 1 of the paper).

    With z the label to erase and y the photo to keep, one-hot, no covariance with z is left, and that with y stays as
    it was: P = W^+ Q W, where W whitens features and Q is the oblique projection whose kernel is U = span(W cov(x, z))
    and whose range is V + (U + V)^perp, V = span(W cov(x, y)). LEACE is the case without y. A direction that U and V
    share cannot be both: it is erased.
    """
    size, n = rows.features.shape[1], len(rows.features)
    centre = rows.features.mean(0, dtype=np.float64)
    left, scale, right = np.linalg.svd((rows.features - centre) / np.sqrt(n), full_matrices=False)
    used = scale > _SMALL * scale[0]
    left, scale, right = left[:, used], scale[used], right[used]
    # In these coordinates features are white, and their covariance with a label is left.T @ label / sqrt(n).
    erased, kept = (_span(left.T @ one_hot(codes)) for codes in (rows.erase, rows.keep))
    apart = kept - erased @ (erased.T @ kept)
    back = np.linalg.pinv(apart, rcond=_SMALL)
    # Q = I - U (U^T - U^T V (V - U U^T V)^+), so that Q u = 0 and Q v = v.
    gone = erased.T - (erased.T @ kept) @ back
    matrix = np.eye(size) - (right.T / scale) @ gone.T @ (erased.T * scale) @ right
    return affine(centre, matrix), size - erased.shape[1]


def _span(columns: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis of the columns' span."""
    left, values, _ = np.linalg.svd(columns, full_matrices=False)
    return left[:, values > _SMALL * values[0]]
