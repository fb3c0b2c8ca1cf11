"""Linear heads on frozen features for groups that are paired with backgrounds: plain and robust.

Torch half. All are convex and run to a stated gradient norm; one that was not is an error, because an unfinished head
looks like a robust one.
"""

import numpy as np
import torch

from benchmark.probing import probes
from benchmark.probing.folds import hold_out
from benchmark.probing.probes import logistic
from d3s_dataset.errors import ResultError

Labels = np.ndarray
_SHARP = 50.0  # of the smooth maximum over groups: at most log(groups) / _SHARP nats above the largest loss


class Head:
    """A linear head on standardised features: (m, d) to (m,) labels."""

    def __init__(self, weights: torch.Tensor, mean: np.ndarray, scale: np.ndarray) -> None:
        self._weights, self._mean, self._scale = weights, mean, scale

    def __call__(self, features: np.ndarray) -> Labels:
        """Return the label of each row."""
        rows = torch.from_numpy((features - self._mean) / self._scale)
        return torch.addmm(self._weights[-1], rows, self._weights[:-1]).argmax(1).numpy()


def plain(features: np.ndarray, labels: Labels, photo: np.ndarray, classes: int, seed: int) -> probes.Probe:
    """Return a logistic regression (empirical risk minimisation), its L2 chosen on held-out photos.

    Args:
        features: (n, d).
        labels: (n,) in 0..classes-1.
        photo: (n,) codes of foreground photos.
        classes: k.
        seed: of what is held out.

    Raises:
        ResultError: too few photos, or a head that did not converge.
    """
    held = hold_out(photo, labels, seed)
    probe = probes.fit("linear", features, labels, held, classes=classes, seed=seed)
    _check(probe.report.converged, probe.report.ending)
    return probe


def group_dro(
    features: np.ndarray, labels: Labels, groups: np.ndarray, photo: np.ndarray, classes: int, seed: int
) -> Head:
    """Return the head whose worst group's loss is lowest (Sagawa et al., arXiv 1911.08731, eq. 4).

    Their online steps are replaced by L-BFGS on a smooth maximum, which converges; L2 is the strength whose worst group
    has the lowest loss on held-out photos, since regularisation is what makes it work (their section 3).

    Args:
        features: (n, d).
        labels: (n,) in 0..classes-1.
        groups: (n,) codes of label x attribute.
        photo: (n,) codes of foreground photos.
        classes: k.
        seed: of what is held out.

    Raises:
        ResultError: too few photos, or a head that did not converge.
    """
    mean, scale = features.mean(0), features.std(0)
    scale[scale == 0] = 1
    rows = torch.from_numpy((features - mean) / scale)
    truth, parts = torch.from_numpy(labels), torch.from_numpy(np.unique(groups, return_inverse=True)[1])
    held = torch.from_numpy(hold_out(photo, labels, seed))
    losses, start, least = [], None, False
    for l2 in probes.L2:
        start = _worst_group(rows[~held], truth[~held], parts[~held], classes, l2, start).weights
        losses.append(float(_losses(start, rows[held], truth[held], parts[held]).max()))
        if least := probes.negligible(start, l2):
            break
    chosen = probes.L2[int(np.argmin(losses))]
    edge = probes.on_edge(losses, len(losses) - 1 if least else None)
    _check(not edge, f"l2 {chosen:g} is at the edge of its grid")
    solution = _worst_group(rows, truth, parts, classes, chosen, None)
    _check(solution.converged, f"gradient norm {solution.gradient:.1e} after {solution.iterations} iterations")
    return Head(solution.weights, mean, scale)


def _worst_group(
    rows: torch.Tensor, labels: torch.Tensor, parts: torch.Tensor, classes: int, l2: float, start: torch.Tensor | None
) -> logistic.Solution:
    def evaluate(weights: torch.Tensor) -> tuple[float, torch.Tensor]:
        weights = weights.detach().requires_grad_()
        worst = (_SHARP * _losses(weights, rows, labels, parts)).logsumexp(0) / _SHARP
        loss = worst + l2 / 2 * weights[:-1].square().sum()
        (gradient,) = torch.autograd.grad(loss, weights)
        return loss.item(), gradient

    zeros = torch.zeros(rows.shape[1] + 1, classes, dtype=rows.dtype)
    return logistic.minimise(evaluate, zeros if start is None else start)


def _losses(weights: torch.Tensor, rows: torch.Tensor, labels: torch.Tensor, parts: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of each group that has rows."""
    logs = torch.addmm(weights[-1], rows, weights[:-1]).log_softmax(1)
    loss = -logs[torch.arange(len(labels)), labels]
    count = torch.bincount(parts)
    sums = torch.zeros(len(count), dtype=loss.dtype).index_add_(0, parts, loss)
    return (sums / count)[count > 0]


def _check(converged: bool, ending: str) -> None:
    if not converged:
        raise ResultError(f"a linear head did not converge ({ending}): its accuracy would mean nothing")
