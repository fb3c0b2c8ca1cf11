"""Plain statistics: Wilson's interval, Holm's correction, quantiles, and when to doubt an interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics.groups import distinct

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Shaped

LEVEL = 0.95
FEW_FOREGROUNDS, FEW_BACKGROUNDS, FEW_IMAGES = 60, 30, 30
SAFE = (0.1, 0.95)  # accuracies within which coverage was measured
NORMAL_QUANTILE = 1.959963984540054  # of the standard normal at (1 + LEVEL) / 2: a number, so that scipy can wait


def doubts(n: float, foregrounds: float, backgrounds: float, mean: float) -> list[str]:
    """Return why an interval may not cover 95 %: one short text per reason, none inside the measured conditions.

    Args:
        n: images.
        foregrounds: effective foreground photos (`effective`): 30 photos of which one stands in most of the images vary
            as few would. Compared as a whole number, so that a few missing images raise no doubt.
        backgrounds: effective background photos, of the background that has fewest.
        mean: the accuracy.
    """
    if not n:
        return []
    alone = foregrounds == backgrounds == n
    checks = {
        f"fewer than {FEW_IMAGES} images": n < FEW_IMAGES,
        f"fewer than {FEW_FOREGROUNDS} effective foreground photos": round(foregrounds) < FEW_FOREGROUNDS and not alone,
        f"fewer than {FEW_BACKGROUNDS} effective background photos": round(backgrounds) < FEW_BACKGROUNDS and not alone,
        f"accuracy outside {SAFE[0]} to {SAFE[1]}": not SAFE[0] <= mean <= SAFE[1],
    }
    return [text for text, true in checks.items() if true]


def photos_of_all(photos: Float[np.ndarray, "3 k"]) -> tuple[int, float, float]:
    """Return images, effective foreground and background photos behind the mean over all groups, for `doubts`.

    Background photos are those of the group with fewest: each group has its own, and the worst known decides.

    Args:
        photos: (3, groups + 1) images, effective foreground and background photos of each group and of all together.
    """
    n, n_foregrounds, n_backgrounds = (float(each) for each in photos[:, -1])
    filled = photos[2, :-1][photos[0, :-1] > 0]
    return int(n), n_foregrounds, n_backgrounds if n_backgrounds == n else float(filled.min(initial=n_backgrounds))


def effective(
    photo: Int[np.ndarray, " c"], group: Int[np.ndarray, " c"], size: Float[np.ndarray, " c"], groups: int
) -> Float[np.ndarray, " groups"]:
    """Return (groups,) the effective number of photos of each group, 0 for none: (sum w)^2 / sum w^2 (Kish, 1965).

    w is how many images a photo has: as many photos with as many images each would vary alike.

    Args:
        photo: (c,) codes from 0.
        group: (c,) int in 0..groups-1.
        size: (c,) images of each such cell.
        groups: how many groups.
    """
    (_, owner), cell = distinct(photo, group)
    images = np.bincount(cell, weights=size, minlength=len(owner))
    total, squares = (np.bincount(owner, weights=each, minlength=groups) for each in (images, images**2))
    return np.divide(total**2, squares, out=np.zeros(groups), where=squares > 0)


def wilson(
    right: np.ndarray | float, n: np.ndarray | float, z: np.ndarray | float = NORMAL_QUANTILE
) -> tuple[np.ndarray, np.ndarray]:
    """Return Wilson's interval (low, high) of `right` out of `n` independent images; NaN for none."""
    right, n = np.asarray(right, dtype=np.float64), np.asarray(n, dtype=np.float64)
    z2 = np.asarray(z, dtype=np.float64) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = (right + z2 / 2) / (n + z2)
        half = np.sqrt(z2) * np.sqrt(right * (n - right) / n + z2 / 4) / (n + z2)
        # At 0 and n the end is 0 or 1 exactly; rounding must not move it.
        low, high = np.where(right == 0, 0.0, centre - half), np.where(right == n, 1.0, centre + half)
    return np.where(n > 0, low, np.nan), np.where(n > 0, high, np.nan)


def holm(p: Sequence[float] | Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """Return (m,) p-values adjusted for m tests (Holm, Scand. J. Statist. 6, 1979); NaN is no test and stays NaN."""
    p = np.asarray(p, dtype=np.float64)
    order = np.argsort(p)[: int((~np.isnan(p)).sum())]
    answer = np.full(len(p), np.nan)
    answer[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1)
    return answer


def photos(source: Int[np.ndarray, " n"]) -> int:
    """Return how many different photos (n,) codes name; each -1 is a photo of its own."""
    return len(np.unique(source[source >= 0])) + int((source < 0).sum())


def upper(pivots: Float[np.ndarray, "k r"], level: float = LEVEL) -> Float[np.ndarray, " k"]:
    """Return the `level` quantile of each row of (k, r) |t|, NaN left out; NaN for a row without any."""
    answer, unknown = np.full(len(pivots), np.nan), np.isnan(pivots)
    whole = ~unknown.any(1)
    answer[whole] = np.quantile(pivots[whole], level, axis=1)
    for index in np.flatnonzero(~whole & ~unknown.all(1)):
        answer[index] = np.quantile(pivots[index, ~unknown[index]], level)
    return answer


def logit(p: Float[np.ndarray, " *shape"]) -> Float[np.ndarray, " *shape"]:
    """Return log(p / (1 - p)) of shares."""
    from scipy import special

    return special.logit(p)


def two_sided(level: float) -> float:
    """Return how many standard errors a normal interval of a level reaches to either side."""
    return NORMAL_QUANTILE if level == LEVEL else ndtri((1 + level) / 2)


def ndtri(p: float) -> float:
    """Return the quantile of the standard normal distribution at a share."""
    from scipy import special

    return float(special.ndtri(p))


def stdtr(freedom: Shaped[np.ndarray, " k"], t: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Return Student's distribution function at `t`, for degrees of freedom."""
    from scipy import special

    return special.stdtr(freedom, t)


def stdtrit(freedom: Shaped[np.ndarray, " k"], p: float) -> Float[np.ndarray, " k"]:
    """Return the quantile of Student's distribution at a share, for degrees of freedom."""
    from scipy import special

    return special.stdtrit(freedom, p)
