"""Selective prediction: what a model gets wrong when it may abstain where its confidence is low. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics.accuracy import hits
from benchmark.metrics.registry import Metric
from benchmark.schemas.predictions import Predictions

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


def area_under_risk_coverage(
    confidence: Float[np.ndarray, " n"], right: Bool[np.ndarray, " n"], labels: Int[np.ndarray, " n"], count: int
) -> Float[np.ndarray, " count"]:
    """Return each group's area under the risk-coverage curve (AURC; Geifman, Uziel & El-Yaniv, ICLR 2019, section 2).

    At coverage k/n the k images of highest confidence are answered; their risk is the share of wrong top-1 answers, and
    the area is the mean of it over k = 1..n. Images of equal confidence count as in the mean over all their orders.

    Args:
        confidence: (n,) probability of the best class.
        right: (n,) bool, whether it is the true one.
        labels: (n,) group of each, in 0..count-1.
        count: how many groups.

    Returns:
        (count,) in [0, 1], 0 where every answer is right, NaN for an empty group.
    """
    return np.array([_area(confidence[own], right[own]) for own in (labels == group for group in range(count))])


def _area(confidence: np.ndarray, right: np.ndarray) -> float:
    if not len(right):
        return np.nan
    _, place, sizes = np.unique(-confidence.astype(np.float64), return_inverse=True, return_counts=True)
    wrong = np.bincount(place, weights=~right)
    # Within a run of equal confidences each place holds the run's mean error.
    answered = np.cumsum(np.repeat(wrong / sizes, sizes))
    return float(np.mean(answered / np.arange(1, len(right) + 1)))


def _aurc(predictions: Predictions, labels: np.ndarray, count: int) -> np.ndarray:
    if predictions.probability is None:
        return np.full(count, np.nan)
    right = hits(predictions.foreground, predictions.prediction, 1)
    return area_under_risk_coverage(predictions.probability[:, 0], right, labels, count)


AURC = Metric("AURC", _aurc, terminal=True)
