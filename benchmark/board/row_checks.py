"""Rows of a submission that no softmax gives: five probabilities of 1, a loss that they contradict."""

import numpy as np

from benchmark.schemas.predictions import Predictions
from d3s_dataset.errors import ResultError

_SUM = 1e-4  # how far float32 sums of probabilities may exceed 1
_NATS = 1e-3  # how far a float32 loss may lie from the logarithm of a float32 probability, plus that share of it
_SMALLEST = 1e-30  # probabilities below lose float32's precision; their logarithm is not compared


def check_rows(predictions: Predictions) -> None:
    """Raise ResultError if a row's probabilities and loss are not of one distribution over all classes.

    The five probabilities sum to 1 at most. Where the label is among the five, the loss is minus the logarithm of its
    probability; where it is not, the loss is no lower than the fifth's. `squares` hold those of the five, at least.
    """
    probability = predictions.probability.astype(np.float64)
    loss, truth = predictions.loss.astype(np.float64), predictions.prediction == predictions.foreground[:, None]
    listed = truth.any(1)
    own = np.where(listed, (probability * truth).sum(1), probability[:, -1])
    expected = -np.log(np.maximum(own, _SMALLEST))
    slack = _NATS * (1 + expected)
    comparable = own > _SMALLEST
    total = probability.sum(1)
    checks = {
        "its five probabilities sum to more than 1": total > 1 + _SUM,
        "its loss is not minus the logarithm of the label's probability":
            listed & comparable & (np.abs(loss - expected) > slack),
        "its loss is lower than the fifth class leaves room for": ~listed & (loss < expected - slack),
        "its loss leaves the label more than the five classes leave over":
            ~listed & (np.exp(-loss) > np.maximum(1 - total, 0) + _SUM),
    }  # fmt: skip
    if predictions.squares is not None:
        checks["its sum of squared probabilities is less than that of the five"] = (
            predictions.squares < (probability**2).sum(1) - _SUM
        )
    for text, wrong in checks.items():
        if wrong.any():
            raise ResultError(f"image {predictions.key[int(wrong.argmax())]}: {text}")
