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
IDENTIFY = (1e3, 1.0, 1e-2)  # L2 of JTT's first head: the strongest is one step of gradient descent from zero
UPWEIGHT = (5.0, 20.0, 100.0)  # how often an error of the first head counts for the second
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
    rows, truth, parts, held, (mean, scale) = _prepared(features, labels, groups, photo, seed)
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


def jtt(features: np.ndarray, labels: Labels, groups: np.ndarray, photo: np.ndarray, classes: int, seed: int) -> Head:
    """Return the head of "just train twice" (Liu et al., arXiv 2107.09044, algorithm 1).

    A first head's training errors count `UPWEIGHT` times for a second head. Their early stopping of the first is strong
    L2 here, its counterpart for a linear head; L2 of the second is what suits a plain head. Strength and weight are
    those whose worst group has the lowest loss on held-out photos, as in their section 4.3, but of the groups there are
    in training: no conflicting image is looked at where none is drawn. A first head without errors leaves a plain head.

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
    rows, truth, parts, held, (mean, scale) = _prepared(features, labels, groups, photo, seed)
    learn, target = rows[~held], truth[~held]
    l2, start = _plain_strength(rows, truth, held, classes)
    best: tuple[float, float, float] | None = None
    for first in IDENTIFY:
        wrong = _errors(learn, target, classes, first)
        for up in UPWEIGHT if wrong.any() else UPWEIGHT[:1]:
            found = _weighted(learn, target, 1 + (up - 1) * wrong, classes, l2, start)
            loss = float(_losses(found.weights, rows[held], truth[held], parts[held]).max())
            best = min(best or (loss, first, up), (loss, first, up))
    assert best is not None
    _, first, up = best
    weight = 1 + (up - 1) * _errors(rows, truth, classes, first)
    solution = _weighted(rows, truth, weight, classes, l2, start)
    _check(solution.converged, f"gradient norm {solution.gradient:.1e} after {solution.iterations} iterations")
    return Head(solution.weights, mean, scale)


def _prepared(
    features: np.ndarray, labels: Labels, groups: np.ndarray, photo: np.ndarray, seed: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, tuple[np.ndarray, np.ndarray]]:
    """Return standardised rows, labels, groups numbered from 0, which rows are held out; then mean and scale."""
    mean, scale = features.mean(0), features.std(0)
    scale[scale == 0] = 1
    rows = torch.from_numpy((features - mean) / scale)
    parts = torch.from_numpy(np.unique(groups, return_inverse=True)[1])
    held = torch.from_numpy(hold_out(photo, labels, seed))
    return rows, torch.from_numpy(labels), parts, held, (mean, scale)


def _plain_strength(
    rows: torch.Tensor, labels: torch.Tensor, held: torch.Tensor, classes: int
) -> tuple[float, torch.Tensor]:
    """Return the L2 that a plain head chooses on held-out rows (`plain`), and its weights there."""
    losses, found, start, least = [], [], None, False
    for l2 in probes.L2:
        start = logistic.solve(rows[~held], labels[~held], classes, l2, start).weights
        found.append(start)
        losses.append(probes.calibrate(torch.addmm(start[-1], rows[held], start[:-1]), labels[held])[0])
        if least := probes.negligible(start, l2):
            break
    chosen = int(np.argmin(losses))
    _check(not probes.on_edge(losses, len(losses) - 1 if least else None), f"l2 {probes.L2[chosen]:g} is at the edge")
    return probes.L2[chosen], found[chosen]


def _errors(rows: torch.Tensor, labels: torch.Tensor, classes: int, l2: float) -> torch.Tensor:
    """Return (n,) 1 where a head of that strength, fitted on these rows, is wrong about them, else 0."""
    solution = logistic.solve(rows, labels, classes, l2)
    _check(solution.converged, f"gradient norm {solution.gradient:.1e} after {solution.iterations} iterations")
    return (solution.logits(rows).argmax(1) != labels).to(rows.dtype)


def _weighted(
    rows: torch.Tensor, labels: torch.Tensor, weight: torch.Tensor, classes: int, l2: float, start: torch.Tensor
) -> logistic.Solution:
    """Minimise the weighted mean cross-entropy + l2 / 2 x the sum of squared weights."""
    share, place = weight / weight.sum(), torch.arange(len(labels))

    def evaluate(weights: torch.Tensor) -> tuple[float, torch.Tensor]:
        weights = weights.detach().requires_grad_()
        logs = torch.addmm(weights[-1], rows, weights[:-1]).log_softmax(1)
        loss = -(share * logs[place, labels]).sum() + l2 / 2 * weights[:-1].square().sum()
        (gradient,) = torch.autograd.grad(loss, weights)
        return loss.item(), gradient

    return logistic.minimise(evaluate, start)


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
