"""Accuracies of superclass x background cells that share strength: shrunk to the sum of row and column effects.

A cell of few images has a wide interval of its own, though its row and its column say much about it. The estimator is
the empirical best linear predictor of Fay & Herriot (JASA 74, 1979), with additive rows and columns, for the k cells
that hold images:

    y_c = x_c' b + u_c + e_c;   u_c of variance A, the cell's deviation from row + column;   e_c of variance s_c
    estimate = B_c y_c + (1 - B_c) x_c' b,   B_c = A / (A + s_c)

y are the measured accuracies, b is by least squares with weights 1 / (A + s). V, the covariance of y, is clustered over
photos both ways (Cameron, Gelbach & Miller, 2011) and counts what cells share. Of it M, the projection off rows and
columns, leaves what blurs a deviation: s_c = f p_c (1 - p_c) / n_c at the additive fit p, f such that tr M V M' is that
of s. A is the moment estimate (|M y|^2 - tr M V M') / |M|^2 (Prasad & Rao, JASA 85, 1990), whose variance is 2 mean
(A + s)^2 / (k - rank x), made positive: the mean of that normal distribution above 0.

The estimate is a weighted sum W_c y of cells. Its mean squared error is W_c V W_c' (not below that of independent
images), plus A |W_c - 1_c|^2 for the pull itself, plus 2 s_c^2 / (A + s_c)^3 times the variance of A (Prasad & Rao).
The interval is Wilson's with as many images as give that error, and Student's quantile. It covers 95 % on average over
cells, not in each: less near 0 and 1, where one variance A of all cells fits least, and more in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics.bootstrap import Cells
from benchmark.metrics.intervals import Sample
from benchmark.metrics.statistics import LEVEL, stdtrit, wilson

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Shaped

_LEAST = 0.05  # share of the noise of independent images, below which its estimate is too low to be true
_LOWEST = -5.0  # standard errors below 0 of an estimate of A


@dataclass(frozen=True, eq=False)
class Shrunk:
    """(k,) `mean`, `low`, `high` of cells, NaN where a cell is empty; `deviation`: the square root of A."""

    mean: Float[np.ndarray, " k"]
    low: Float[np.ndarray, " k"]
    high: Float[np.ndarray, " k"]
    deviation: float


def shrink(
    right: Shaped[np.ndarray, " n"], sample: Sample, row: Int[np.ndarray, " k"], column: Int[np.ndarray, " k"]
) -> Shrunk | None:
    """Return the shrunk accuracies of cells; None where rows and columns leave nothing to compare them with.

    Args:
        right: (n,) bool.
        sample: the images; its groups are the k cells.
        row: (k,) codes of the cells' rows.
        column: (k,) of their columns.
    """
    table = sample.cells(right)
    sizes = np.bincount(table.group, table.size, table.groups)
    there = np.flatnonzero(sizes)
    n, y = sizes[there], np.bincount(table.group, table.total, table.groups)[there] / sizes[there]
    effects = np.concatenate([_dummies(row[there]), _dummies(column[there])], axis=1)
    rest = len(there) - int(np.linalg.matrix_rank(effects))
    if not rest:
        return None
    errors, freedom = _errors(table, there, y, len(np.unique(row[there])))
    alone, outside = _alone(y, n, effects), np.eye(len(there)) - _fit(n, effects)
    share = np.trace(outside @ errors @ outside.T) / np.trace(outside * alone @ outside.T)
    noise = alone * max(share, _LEAST)
    spread = _between(outside @ y, outside, noise, rest)
    pull = spread / (spread + noise)
    weights = np.diag(pull) + (1 - pull)[:, None] * _fit(1 / (spread + noise), effects)
    error = np.fmax(((weights @ errors) * weights).sum(1), weights**2 @ alone)
    error += spread * np.square(weights - np.eye(len(there))).sum(1)
    error += 2 * noise**2 / (spread + noise) ** 3 * _unsure(spread, noise, rest)
    mean = np.clip(weights @ y, 0, 1)
    inside = np.clip(mean, 0.5 / n, 1 - 0.5 / n)
    size = inside * (1 - inside) / error
    low, high = wilson(mean * size, size, stdtrit(np.full(len(there), freedom), (1 + LEVEL) / 2))
    mean, low, high = (_spread(each, there, table.groups) for each in (mean, low, high))
    return Shrunk(mean, low, high, float(np.sqrt(spread)))


def _dummies(codes: np.ndarray) -> np.ndarray:
    return (codes[:, None] == np.unique(codes)).astype(np.float64)


def _fit(weight: np.ndarray, effects: np.ndarray) -> np.ndarray:
    """Return the (k, k) matrix that takes values of cells to their additive fit, by weighted least squares."""
    root = np.sqrt(weight)[:, None]
    return effects @ np.linalg.pinv(root * effects) * root.T


def _alone(y: np.ndarray, n: np.ndarray, effects: np.ndarray) -> np.ndarray:
    """Return (k,) p (1 - p) / n at the additive fit, which is kept half an image away from 0 and 1."""
    fitted = np.clip(_fit(n, effects) @ y, 0.5 / n, 1 - 0.5 / n)
    return fitted * (1 - fitted) / n


def _errors(table: Cells, there: np.ndarray, y: np.ndarray, rows: int) -> tuple[np.ndarray, int]:
    """Return the (k, k) covariance of measured accuracies, clustered over photos both ways; degrees of freedom."""
    place = np.searchsorted(there, table.group)
    error = (table.total - y[place] * table.size) / np.bincount(place, table.size)[place]
    answer, freedom = -np.diag(np.bincount(place, error**2)), len(error)
    strata = rows, len(np.unique(table.backgrounds.start))
    for way, lost in zip((table.foregrounds, table.backgrounds), strata, strict=True):
        photos = len(way.start)
        sums = np.zeros((photos, len(there)))
        np.add.at(sums, (way.code, place), error)
        answer += sums.T @ sums * (photos / max(1, photos - lost))
        freedom = min(freedom, max(1, photos - lost))
    return answer, freedom


def _between(residual: np.ndarray, outside: np.ndarray, noise: np.ndarray, rest: int) -> float:
    """Return A, above 0."""
    raw = float((np.square(residual).sum() - np.trace(outside * noise @ outside.T)) / np.square(outside).sum())
    error, normal = np.sqrt(_unsure(max(raw, 0.0), noise, rest)), NormalDist()
    at = float(max(raw / error, _LOWEST))
    return float(error) * (at + normal.pdf(at) / normal.cdf(at))


def _unsure(spread: float, noise: np.ndarray, rest: int) -> float:
    """Return the variance of A."""
    return 2 * float(np.square(spread + noise).mean()) / rest


def _spread(values: np.ndarray, there: np.ndarray, cells: int) -> np.ndarray:
    answer = np.full(cells, np.nan)
    answer[there] = values
    return answer
