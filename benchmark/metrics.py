"""Metrics: pure functions on arrays, values in [0, 1]. An empty group is NaN with n = 0, never 0."""

import numpy as np


def hits(foreground: np.ndarray, prediction: np.ndarray, best: int = 1) -> np.ndarray:
    """Say for each image whether its class is among the `best` first predictions.

    Args:
        foreground: (n,) true classes.
        prediction: (n, k) predicted classes, best first, k >= best.
        best: 1 for top-1, 5 for top-5.

    Returns:
        (n,) bool.
    """
    return (prediction[:, :best] == foreground[:, None]).any(axis=1)


def mean(values: np.ndarray) -> float:
    """Return the mean of (n,) values, NaN where there is none."""
    return float(np.mean(values)) if len(values) else float("nan")


def group_means(values: np.ndarray, labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of `values` in each group, and the groups' sizes.

    Args:
        values: (n,) numbers or booleans.
        labels: (n,) group of each, in 0..count-1.
        count: how many groups there are.

    Returns:
        means (count,) float64, NaN for an empty group; sizes (count,) int64.
    """
    sizes = np.bincount(labels, minlength=count)
    sums = np.bincount(labels, weights=values.astype(np.float64), minlength=count)
    means = np.full(count, np.nan)
    np.divide(sums, sizes, out=means, where=sizes > 0)
    return means, sizes


def worst(means: np.ndarray) -> int | None:
    """Return the group with the lowest mean, the first of equals; empty groups (NaN) do not count.

    None where every group is empty.
    """
    return None if np.isnan(means).all() else int(np.nanargmin(means))


def gap(overall: float, means: np.ndarray) -> float:
    """Return how far the worst group lies below all images together: `overall` minus the lowest group mean.

    `overall` is the mean over images, so groups weigh by their size. It is 0 where all groups are equal, and
    NaN where every group is empty. It is not best minus worst, which one lucky group can widen.
    """
    lowest = worst(means)
    return float("nan") if lowest is None else float(overall - means[lowest])
