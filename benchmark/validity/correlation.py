"""Rank correlation of two measurements over models, what is left once ImageNet accuracy is taken out, and intervals.

*Raw*: Spearman's coefficient. Models that are better on ImageNet are better on nearly everything, so it is high for any
two test sets of the same classes. *Residual*: Spearman's coefficient of the residuals of logit accuracy after a linear
regression on logit ImageNet accuracy (each side on its own baseline): a rank partial correlation of "effective
robustness" (Taori et al., arXiv 2007.00644, which also fits logit against logit).

*Interval*: models of one family resemble each other, so families are drawn with replacement, each with all its models
(cluster bootstrap; Field & Welsh, JRSS B 69, 2007), all steps are repeated, regressions included, and the interval is
the 2.5 and 97.5 % quantiles. Measured coverage of a residual whose true correlation is 0: 94.8 % on average over six
settings of 800 repeats, 93.8 to 96.5 % (400 draws; families of the lists `paper`, 8, and `realism`, 34; models of a
family share none, half or 80 % of what ImageNet accuracy leaves). `tests/benchmark/validity/test_correlation.py` (long
form) measures it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 1000
LEAST_MODELS, LEAST_FAMILIES = 15, 8
_PLACES = 12  # of a residual: where nothing is left, the sums' rounding errors have no ranks


@dataclass(frozen=True, eq=False)
class Quantity:
    """One quantity of m models, (m,) on the log-odds scale; NaN where a model has none.

    `baseline` is the (m,) log odds of the ImageNet accuracy to take out: for a set of 200 classes that on the same 200.
    """

    name: str
    values: np.ndarray
    baseline: np.ndarray


@dataclass(frozen=True)
class Estimate:
    """A correlation and its 95 % interval; NaN for none."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Association:
    """Two quantities over the `models` that have both, of so many `families`: correlation before and after."""

    models: int
    families: int
    raw: Estimate
    residual: Estimate


def log_odds(share: np.ndarray) -> np.ndarray:
    """Return log(p / (1 - p)) of (m,) accuracies in [0, 1]; NaN for 0 and 1, which have none."""
    inside = (share > 0) & (share < 1)
    safe = np.where(inside, share, 0.5)
    return np.where(inside, np.log(safe / (1 - safe)), np.nan)


def associate(first: Quantity, second: Quantity, families: Sequence[str], seed: int = 0) -> Association:
    """Return how two quantities go together over models, with intervals over families.

    Args:
        first: of m models.
        second: of the same.
        families: (m,) of each model.
        seed: of the bootstrap.
    """
    table = np.stack([first.values, first.baseline, second.values, second.baseline], axis=1)
    known = np.isfinite(table).all(1)
    labels = [families[row] for row in np.flatnonzero(known).tolist()]
    names, family = np.unique(np.array(labels, dtype=np.str_), return_inverse=True)
    if len(labels) < LEAST_MODELS or len(names) < LEAST_FAMILIES:
        none = Estimate(float("nan"), float("nan"), float("nan"))
        return Association(len(labels), len(names), none, none)
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)
    counts = np.concatenate([np.ones((1, len(labels)), dtype=np.int64), drawn[:, family]])
    raw, residual = (_estimate(values) for values in both(table[known], counts))
    return Association(len(labels), len(names), raw, residual)


def both(table: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Spearman's coefficient of two quantities, and of their residuals, in r samples of m models.

    Args:
        table: (m, 4) value, baseline, value, baseline.
        counts: (r, m) how often each sample holds each model.

    Returns:
        (r,) raw coefficients and (r,) coefficients of the residuals.
    """
    first, second = (residuals(table[:, i], table[:, i + 1], counts) for i in (0, 2))
    here, there = (np.broadcast_to(table[:, i], counts.shape) for i in (0, 2))
    return spearman(here, there, counts), spearman(first, second, counts)


def residuals(values: np.ndarray, baseline: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return (r, m) residuals of a least-squares line, with intercept, of (m,) values on a baseline in r samples."""
    total = counts.sum(1, keepdims=True)
    x, y = (each - counts @ each[:, None] / total for each in (baseline, values))
    squares = (counts * x * x).sum(1, keepdims=True)
    slope = np.divide((counts * x * y).sum(1, keepdims=True), squares, out=np.zeros_like(squares), where=squares > 0)
    return np.round(y - slope * x, _PLACES)


def spearman(first: np.ndarray, second: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return (r,) Spearman's rank correlations of (r, m) values in r samples; NaN where one is constant."""
    total = counts.sum(1, keepdims=True)
    a, b = (
        each - (counts * each).sum(1, keepdims=True) / total for each in (ranks(first, counts), ranks(second, counts))
    )
    scale = np.sqrt((counts * a * a).sum(1) * (counts * b * b).sum(1))
    return np.divide((counts * a * b).sum(1), scale, out=np.full(len(counts), np.nan), where=scale > 0)


def ranks(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the (r, m) ranks from 1 of values in samples, equal values sharing their mean rank."""
    order = np.argsort(values, axis=1, kind="stable")
    ordered, held = (np.take_along_axis(each, order, axis=1) for each in (values, counts))
    up_to = np.cumsum(held, axis=1)
    # Runs of equal values: the number of models held before the first of a run, and up to its last.
    new = np.concatenate([np.ones((len(values), 1), dtype=bool), ordered[:, 1:] != ordered[:, :-1]], axis=1)
    before = np.maximum.accumulate(np.where(new, up_to - held, 0), axis=1)
    last = np.concatenate([new[:, 1:], np.ones((len(values), 1), dtype=bool)], axis=1)
    after = np.minimum.accumulate(np.where(last, up_to, up_to[:, -1:])[:, ::-1], axis=1)[:, ::-1]
    answer = np.empty(values.shape)
    np.put_along_axis(answer, order, (before + after + 1) / 2, axis=1)
    return answer


def _estimate(values: np.ndarray) -> Estimate:
    """Return the first of (r,) coefficients, with the 95 % interval of the others, of resampled families."""
    known = values[1:][np.isfinite(values[1:])]
    low, high = np.percentile(known, [2.5, 97.5]) if np.isfinite(values[0]) and len(known) else (np.nan, np.nan)
    return Estimate(float(values[0]), float(low), float(high))
