"""Metrics: pure functions on arrays, values in [0, 1]. An empty group is NaN with n = 0, never 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics.groups import distinct

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Shaped


def hits(
    foreground: Int[np.ndarray, " n"], prediction: Int[np.ndarray, "n k"], best: int = 1
) -> Bool[np.ndarray, " n"]:
    """Return for each image whether its class is among the `best` first predictions.

    Args:
        foreground: (n,) true classes.
        prediction: (n, k) predicted classes, best first, k >= best.
        best: 1 for top-1, 5 for top-5.

    Returns:
        (n,) bool.
    """
    return (prediction[:, :best] == foreground[:, None]).any(axis=1)


def mean(values: Shaped[np.ndarray, " n"]) -> float:
    """Return the mean of (n,) values, NaN where there is none."""
    return float(np.mean(values)) if len(values) else float("nan")


def group_means(
    values: Shaped[np.ndarray, " n"], labels: Int[np.ndarray, " n"], count: int
) -> tuple[Float[np.ndarray, " count"], Int[np.ndarray, " count"]]:
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


def reweighted(means: Float[np.ndarray, " g"], weights: Float[np.ndarray, " g"] | None = None) -> float:
    """Return the weighted mean of group means, over the groups that hold images.

    Three averages share a name in the literature: per image (`mean`), mean of groups (this, with the groups one cares
    about and equal weights) and reweighted to the training mix (this, over class x background, with the share of each
    in the training images; Sagawa et al., arXiv 1911.08731, "adjusted average"). D3S's training split is balanced, so
    equal weights over class x background are its mix.

    Args:
        means: (g,) NaN for an empty group.
        weights: (g,) of 0 or more; None: equal.

    Returns:
        NaN where no group of weight above 0 holds an image.
    """
    share = np.where(np.isnan(means), 0, 1 if weights is None else weights)
    whole = share.sum()
    return float((share * np.nan_to_num(means)).sum() / whole) if whole > 0 else float("nan")


def error_ratio(overall: float, means: Float[np.ndarray, " g"]) -> Float[np.ndarray, " g"]:
    """Return how many times the error of all images each group's error is: (g,), NaN where it is empty.

    NaN, too, where no image at all is wrong: nothing to be compared with.
    """
    return (1 - means) / (1 - overall) if overall < 1 else np.full(len(means), np.nan)


def consistency(
    right: Bool[np.ndarray, " n"], photo: Int[np.ndarray, " n"], background: Int[np.ndarray, " n"]
) -> tuple[int, float, float]:
    """Measure how consistent predictions are when the same foreground photo stands on different backgrounds.

    Args:
        right: (n,) bool.
        photo: (n,) int of 0 or more, which foreground photo.
        background: (n,) int of 0 or more.

    Returns:
        How many photos stand on two backgrounds or more; the share of those that are right on every image; the flip
        rate: of a photo's pairs of images on different backgrounds, the share where one is right and the other wrong,
        averaged over photos. NaN where no photo stands on two.
    """
    pairs, flips = _pairs(right, photo)
    place = distinct(photo, background)[1]
    own = np.zeros(place.max(initial=-1) + 1, dtype=np.int64)
    own[place] = photo
    for total, same in zip((pairs, flips), _pairs(right, place), strict=True):
        total -= np.bincount(own, weights=same, minlength=len(total))
    shared = pairs > 0
    always = group_means(right, photo, len(pairs))[0] == 1
    return int(shared.sum()), mean(always[shared]), mean(flips[shared] / pairs[shared])


def _pairs(right: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each label how many pairs of images it has, and in how many one is right and one wrong."""
    size = np.bincount(label).astype(np.float64)
    won = np.bincount(label, weights=right.astype(np.float64))
    return size * (size - 1) / 2, won * (size - won)


def worst(means: Float[np.ndarray, " g"]) -> int | None:
    """Return the group with the lowest mean, the first of equals; empty groups (NaN) do not count.

    None where every group is empty.
    """
    empty = np.isnan(means)
    return None if empty.all() else int(np.where(empty, np.inf, means).argmin())


def gap(overall: float, means: Float[np.ndarray, " g"]) -> float:
    """Return how far the worst group lies below all images together: `overall` minus the lowest group mean.

    `overall` is the mean over images, so groups weigh by their size. It is 0 where all groups are equal, and
    NaN where every group is empty. It is not best minus worst, which one lucky group can widen.
    """
    lowest = worst(means)
    return float("nan") if lowest is None else float(overall - means[lowest])
