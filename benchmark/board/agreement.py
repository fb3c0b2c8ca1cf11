"""Agreement of two runs of the same weights on an image: the five classes, their probabilities, and the loss."""

import numpy as np

from benchmark.schemas.predictions import Predictions

TOLERANCE = 0.05  # of log probabilities and losses, in nats; fp32 on two machines differs by about 0.001
_LEAST = 1e-6  # probabilities below are equal: float32 keeps little of them


def agree(sent: Predictions, again: Predictions) -> np.ndarray:
    """Return for each image whether both runs agree, (n,) bool.

    Sorted probabilities and losses lie within the tolerance. Classes are the same place by place, but where the second
    run gives both a probability within the tolerance: equal ones come in any order, and the fifth may be the sixth.

    Args:
        sent: what was sent, (n,) images.
        again: the same images, run again.
    """
    one, two = (_log(each.probability) for each in (sent, again))
    near = (np.abs(one - two) <= TOLERANCE).all(1)
    slack = TOLERANCE + 0.01 * again.loss
    near &= np.abs(sent.loss.astype(np.float64) - again.loss) <= slack
    return near & _same_classes(sent, again, two)


def _same_classes(sent: Predictions, again: Predictions, log: np.ndarray) -> np.ndarray:
    """Return whether each image has the same classes place by place, but for ties of the second run, (n,)."""
    # (n, sent place, place when run again)
    where = sent.prediction[:, :, None] == again.prediction[:, None, :]
    listed = where.any(2)
    # What the second run gives a class that was sent; one beyond its five has at most the fifth's.
    given = np.where(listed, (log[:, None, :] * where).sum(2), log[:, -1:])
    truth = sent.prediction == again.foreground[:, None]
    given = np.where(truth & ~listed, np.maximum(-again.loss, np.log(_LEAST))[:, None], given)
    return np.asarray((np.abs(given - log) <= TOLERANCE).all(1))


def _log(probability: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probability.astype(np.float64), _LEAST))
