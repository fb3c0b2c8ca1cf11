"""Calibration of probabilities: calibration error, Brier score, negative log-likelihood. Pure functions.

Also selective prediction: the errors that are left when a model may abstain where its confidence is low.

The mean of `loss` is the negative log-likelihood in nats (`accuracy.group_means`), so it needs no function here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics.accuracy import group_means, hits
from benchmark.metrics.registry import Metric
from benchmark.schemas.predictions import Predictions

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

BINS = 15  # of equal width over [0, 1]


def calibration_error(
    confidence: Float[np.ndarray, " n"],
    right: Bool[np.ndarray, " n"],
    labels: Int[np.ndarray, " n"],
    count: int,
    bins: int = BINS,
) -> Float[np.ndarray, " count"]:
    """Return each group's expected calibration error of top-1 (Guo et al., ICML 2017, eq. 3).

    Confidences fall into bins of equal width, closed on the right (the first also holds 0); the error is the mean over
    images of |accuracy - mean confidence| of their bin. With few images in a bin it is biased upwards.

    Args:
        confidence: (n,) probability of the best class.
        right: (n,) bool, whether it is the true one.
        labels: (n,) group of each, in 0..count-1.
        count: how many groups.
        bins: how many bins.

    Returns:
        (count,) in [0, 1], NaN for an empty group.
    """
    place = _bins(confidence, bins)
    excess = right.astype(np.float64) - confidence
    gaps = np.abs(np.bincount(labels * bins + place, weights=excess, minlength=count * bins))
    sizes = np.bincount(labels, minlength=count)
    return np.divide(gaps.reshape(count, bins).sum(1), sizes, out=np.full(count, np.nan), where=sizes > 0)


def brier(
    loss: Float[np.ndarray, " n"] | None,
    squares: Float[np.ndarray, " n"] | None,
    labels: Int[np.ndarray, " n"],
    count: int,
) -> Float[np.ndarray, " count"]:
    """Return each group's Brier score over all classes (Brier, Monthly Weather Review 78, 1950, eq. 2).

    The sum over classes of (p - y)^2 is 1 - 2 p_true + sum of p^2, where p_true = exp(-loss); it lies in [0, 2].

    Args:
        loss: (n,) cross-entropy in nats.
        squares: (n,) sum of squared probabilities. Where predictions lack either, all are NaN.
        labels: (n,) group of each, in 0..count-1.
        count: how many groups.

    Returns:
        (count,), NaN for an empty group.
    """
    if loss is None or squares is None:
        return np.full(count, np.nan)
    return group_means(1 - 2 * np.exp(-loss.astype(np.float64)) + squares, labels, count)[0]


def calibration_curve(
    confidence: Float[np.ndarray, " n"], right: Bool[np.ndarray, " n"], bins: int = BINS
) -> tuple[Int[np.ndarray, " bins"], Float[np.ndarray, " bins"], Float[np.ndarray, " bins"]]:
    """Return what `calibration_error` compares, bin by bin: (bins,) images, mean confidence, accuracy.

    Args:
        confidence: (n,) probability of the best class.
        right: (n,) bool, whether it is the true one.
        bins: how many, of equal width over [0, 1].

    Returns:
        Confidence and accuracy are NaN in an empty bin.
    """
    place = _bins(confidence, bins)
    sure, size = group_means(confidence, place, bins)
    return size, sure, group_means(right, place, bins)[0]


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
    order = np.argsort(-confidence)
    falling, first = confidence[order], np.ones(len(order), dtype=bool)
    np.not_equal(falling[1:], falling[:-1], out=first[1:])
    start = np.flatnonzero(first)
    wrong, sizes = np.add.reduceat(~right[order], start, dtype=np.int64), np.diff(start, append=len(order))
    del order, falling, first, start
    # Within a run of equal confidences each place holds the run's mean error.
    answered = np.repeat(wrong / sizes, sizes)
    np.cumsum(answered, out=answered)
    answered /= np.arange(1, len(right) + 1)
    return float(np.mean(answered))


def _bins(confidence: np.ndarray, bins: int) -> np.ndarray:
    return np.clip(np.ceil(confidence.astype(np.float64) * bins).astype(np.int64) - 1, 0, bins - 1)


def _ece(predictions: Predictions, labels: np.ndarray, count: int) -> np.ndarray:
    if predictions.probability is None:
        return np.full(count, np.nan)
    right = hits(predictions.foreground, predictions.prediction, 1)
    return calibration_error(predictions.probability[:, 0], right, labels, count)


def _brier(predictions: Predictions, labels: np.ndarray, count: int) -> np.ndarray:
    return brier(predictions.loss, predictions.squares, labels, count)


def _loss(predictions: Predictions, labels: np.ndarray, count: int) -> np.ndarray:
    return np.full(count, np.nan) if predictions.loss is None else group_means(predictions.loss, labels, count)[0]


def _aurc(predictions: Predictions, labels: np.ndarray, count: int) -> np.ndarray:
    if predictions.probability is None:
        return np.full(count, np.nan)
    right = hits(predictions.foreground, predictions.prediction, 1)
    return area_under_risk_coverage(predictions.probability[:, 0], right, labels, count)


ECE = Metric("ECE", _ece, terminal=True)
BRIER = Metric("Brier", _brier, percent=False)
LOSS = Metric("loss, nats", _loss, percent=False)
AURC = Metric("AURC", _aurc, terminal=True)
