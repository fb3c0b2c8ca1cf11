"""Share of right images by votes on a random sample and predictions for all rows: PPI++, and the plain share. Pure.

PPI++ (Angelopoulos, Duchi, Zrnic, arXiv 2311.01453) corrects the sample's share by how the predictions f of the sample
differ from those of all rows: share = mean(right) - lambda (mean of f in the sample - mean of f in all N rows), lambda
in [0, 1] at its optimum cov(right, f) / var(f) ("power tuning"). Where the sample is among the N rows this is their
estimator: their lambda is cov / ((1 + n / M) var) for the M = N - n other rows, and N / M times it is ours.

Two things differ from `ppi_py`, which a test compares with, and are why this is our own (ppi_py needs numba, too):

- The rows are a finite release and the sample is drawn from it without replacement (`prepare`), so the variance is
  (1 - n / N) / n var(right - lambda f): zero once every image is voted on.
- The normal interval covers too rarely where the share is near 1. Wilson's (JASA 22, 1927) covers, on the
  effective number of images: n / (1 - n / N), divided by var(right - lambda f) / var(right) for the predictions.

On a background n is small, so lambda and the ratio of variances are shrunk toward those within all backgrounds, by as
much more as verdicts vary less. The weights (`_LAMBDA`, `_RATIO`: sums of squared deviations of verdicts) were chosen
by simulation; tests/bench/test_audit.py measures the coverage.
"""

from dataclasses import dataclass

import numpy as np

QUANTILE = 1.959964  # of the normal distribution: 95 %, two-sided
_LAMBDA, _RATIO = 2.4, 1.0


@dataclass(frozen=True)
class Interval:
    """Estimated share, its 95 % interval, and the effective number of images (inf where every image is known)."""

    share: float
    low: float
    high: float
    effective: float


@dataclass(frozen=True)
class Estimate:
    """Share of right images in one group of rows.

    Attributes:
        images: rows of the group.
        voted: those of them with a verdict.
        plain: from the verdicts alone.
        powered: from verdicts and predictions; `plain` where there are none.
        lam: weight of the predictions, 0 to 1.
    """

    images: int
    voted: int
    plain: Interval
    powered: Interval
    lam: float

    @property
    def saved(self) -> float:
        """Images that `plain` needs in addition for an effective number of images like that of `powered`."""
        effective = self.powered.effective
        return max(0.0, effective / (1 + effective / self.images) - self.voted) if np.isfinite(effective) else 0.0


@dataclass(frozen=True)
class Predictions:
    """Predictions of K models for all N rows, and which model predicts each of the n rows with a verdict.

    Attributes:
        values: float (K, N), on the scale of `right`, 0 to 1.
        fold: int (n,): a model that was not fitted on that row's verdict.
    """

    values: np.ndarray
    fold: np.ndarray


def wilson(share: np.ndarray | float, n: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Return Wilson's 95 % interval of shares on (effective) numbers of images, each of the shape of `share`."""
    z2 = QUANTILE**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = QUANTILE / (1 + z2 / n) * np.sqrt(share * (1 - share) / n + z2 / (4 * n**2))
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)


def estimates(
    right: np.ndarray, drawn: np.ndarray, group: np.ndarray, groups: int, predicted: Predictions | None = None
) -> list[Estimate | None]:
    """Return the estimate of every group of rows; None for a group without a verdict.

    Args:
        right: verdicts, 0 or 1, (n,), of rows drawn at random without replacement.
        drawn: which rows they are, int (n,), each once.
        group: group of every row, int (N,).
        groups: number of groups.
        predicted: predictions for all rows; None for the plain estimate alone.
    """
    own, size = group[drawn], np.bincount(group, minlength=groups)
    count = np.bincount(own, minlength=groups)
    there = count > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = _sums(right, own, groups) / count
        effective = count / (1 - count / size)
        lam, shift, ratio = np.zeros(groups), np.zeros(groups), np.ones(groups)
        if predicted is not None:
            lam, shift, ratio = _tuned(right - mean[own], own, count, *_centred(predicted, drawn, group, size))
        wrong = count - _sums(right, own, groups)
        bounds = (count - wrong) / size, 1 - wrong / size  # what the verdicts alone leave possible
        plain = _intervals(np.where(there, mean, 0), np.where(there, effective, 1), *bounds)
        share = np.where(there, mean - lam * shift, 0)
        powered = _intervals(share, np.where(there, effective / ratio, 1), *bounds)
    return [
        Estimate(int(size[each]), int(count[each]), plain[each], powered[each], float(lam[each]))
        if there[each]
        else None
        for each in range(groups)
    ]


def _sums(values: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    return np.bincount(group, values, minlength=groups)


def _centred(
    predicted: Predictions, drawn: np.ndarray, group: np.ndarray, size: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the sample's predictions minus their model's mean in the group (n,), and their variance per group (G,).

    Centring per model is the cross-prediction estimator (Zrnic, Candes, arXiv 2309.16598): no bias by the fit.
    """
    means = np.stack([_sums(each, group, len(size)) for each in predicted.values]) / np.maximum(size, 1)
    squares = np.stack([_sums(each**2, group, len(size)) for each in predicted.values]) / np.maximum(size, 1)
    centred = predicted.values[predicted.fold, drawn] - means[predicted.fold, group[drawn]]
    return centred, np.maximum(squares - means**2, 0).mean(0)


def _tuned(
    right: np.ndarray, own: np.ndarray, count: np.ndarray, centred: np.ndarray, variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, per group (G,): lambda, the mean of `centred`, and the ratio of the variances, at most 1.

    Args:
        right: verdicts minus their group's mean (n,).
        own: group of each (n,).
        count: verdicts per group (G,).
        centred: predictions minus the mean of their group's rows (n,).
        variance: of the predictions of all rows, per group (G,).
    """
    groups = len(count)
    free = max(len(right) - int((count > 0).sum()), 1)
    shift = _sums(centred, own, groups) / np.maximum(count, 1)
    within = centred - shift[own]
    together, spread = _sums(right * within, own, groups), np.maximum(count - 1, 0) * variance
    if not (right**2).sum() or not spread.sum():
        return np.zeros(groups), shift, np.ones(groups)
    squares = _sums(right**2, own, groups)
    typical, noise = spread.sum() / free, squares.sum() / free
    pooled, weight = np.clip(together.sum() / spread.sum(), 0, 1), _LAMBDA / noise
    lam = np.clip((together + weight * pooled * typical) / (spread + weight * typical), 0, 1)
    fitted = count / (count + weight)  # parameters that a group's own lambda amounts to
    left = _sums((right - lam[own] * within) ** 2, own, groups)
    left *= np.maximum(count - 1, 0) / np.maximum(count - 1 - fitted, 1)
    all_left = ((right - pooled * within) ** 2).sum() / max(free - 1, 1) / noise
    ratio = (left + _RATIO * min(all_left, 1)) / (squares + _RATIO)
    return lam, shift, np.minimum(ratio, 1)


def _intervals(share: np.ndarray, effective: np.ndarray, least: np.ndarray, most: np.ndarray) -> list[Interval]:
    share = np.clip(share, least, most)
    low, high = (np.clip(each, least, most) for each in wilson(share, effective))
    return [Interval(*map(float, each)) for each in zip(share, low, high, effective, strict=True)]
