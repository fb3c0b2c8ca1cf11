"""Multinomial logistic regression with L2, run to a stated gradient norm by L-BFGS.

Torch half. Of our own because scikit-learn's takes longer to the same loss and has no GPU support
(tests/bench/test_probes.py), and torch's L-BFGS compares losses only: in single precision its line search gave up at a
gradient norm of 1.4e-4 on the drawn sample (tests/benchmark/test_sweep.py), where this one continues by the slope.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from jaxtyping import Float, Int

TOLERANCE = 1e-4  # Euclidean norm of the gradient of the mean loss, over all weights and biases
LOOSE = 1e-3  # the same, where many labellings are fitted whose mean accuracy alone counts
LIMIT = 5000  # iterations; few features and a weak penalty took 3,232 on the drawn sample
_PAIRS = 10  # steps that the curvature is taken from
_TRIES = 30  # lengths tried for a step
_DESCENT, _FLAT, _BEYOND = 1e-4, 0.9, 0.1  # Armijo; how far the slope must fall; how far it may rise unasked

Objective = Callable[[torch.Tensor], tuple[float, torch.Tensor]]


@dataclass(frozen=True, eq=False)
class Solution:
    """Weights with the biases as last row, (d + 1, k); the loss there, its gradient's norm, the iterations made."""

    weights: Float[torch.Tensor, "rows k"]
    loss: float
    gradient: float
    iterations: int

    @property
    def converged(self) -> bool:
        """True if the gradient is within the tolerance."""
        return self.gradient <= TOLERANCE

    def logits(self, features: Float[torch.Tensor, "m d"]) -> Float[torch.Tensor, "m k"]:
        """Return the (m, k) logits of (m, d) features."""
        return torch.addmm(self.weights[-1], features, self.weights[:-1])


def solve(
    features: Float[torch.Tensor, "n d"],
    labels: Int[torch.Tensor, " n"],
    classes: int,
    l2: float,
    start: Float[torch.Tensor, "d+1 k"] | None = None,
) -> Solution:
    """Minimise mean cross-entropy + l2 / 2 x the sum of squared weights; biases are free.

    In scikit-learn's terms C = 1 / (l2 x rows).

    Args:
        features: (n, d) float32 or float64, standardised.
        labels: (n,) int64 in 0..classes-1.
        classes: k.
        l2: above 0.
        start: (d + 1, k) weights to start from; zeros without.
    """
    shape = features.shape[1] + 1, classes
    weights = torch.zeros(shape, dtype=features.dtype, device=features.device) if start is None else start
    return minimise(_objective(features, labels, l2), weights)


def solve_all(
    features: Float[torch.Tensor, "n d"],
    labels: Int[torch.Tensor, "r n"],
    classes: int,
    l2: float,
) -> Float[torch.Tensor, "rows r k"]:
    """Return the (d + 1, r, k) weights of r labellings of the same rows, found together, to `LOOSE` each.

    For permutation nulls: the sum of their losses is minimised, since features are then multiplied once for all.

    Args:
        features: (n, d) float32 or float64, standardised.
        labels: (r, n) int64 in 0..classes-1.
        classes: k.
        l2: above 0.
    """
    r, n = labels.shape
    flat = (torch.arange(n, device=labels.device)[:, None] * r + torch.arange(r, device=labels.device)) * classes
    place = (flat + labels.T).reshape(-1)

    def evaluate(weights: torch.Tensor) -> tuple[float, torch.Tensor]:
        logits = torch.addmm(weights[-1], features, weights[:-1])
        logs = functional.log_softmax(logits.reshape(n, r, classes), dim=2).reshape(-1)
        loss = -logs[place].double().sum() / n + l2 / 2 * weights[:-1].double().square().sum()
        error = logs.exp_()
        error[place] -= 1
        error = error.reshape(n, -1) / n
        gradient = torch.empty_like(weights)
        torch.mm(features.T, error, out=gradient[:-1])
        gradient[:-1] += l2 * weights[:-1]
        gradient[-1] = error.sum(0)
        return float(loss), gradient

    start = torch.zeros(features.shape[1] + 1, r * classes, dtype=features.dtype, device=features.device)
    return minimise(evaluate, start, LOOSE * r**0.5).weights.reshape(-1, r, classes)


def _objective(features: torch.Tensor, labels: torch.Tensor, l2: float) -> Objective:
    rows = torch.arange(len(labels), device=labels.device)

    def evaluate(weights: torch.Tensor) -> tuple[float, torch.Tensor]:
        logs = functional.log_softmax(torch.addmm(weights[-1], features, weights[:-1]), dim=1)
        # Single precision would lose the change of the loss near its end.
        loss = -logs[rows, labels].double().mean() + l2 / 2 * weights[:-1].double().square().sum()
        error = logs.exp_()
        error[rows, labels] -= 1
        error /= len(labels)
        gradient = torch.empty_like(weights)
        torch.mm(features.T, error, out=gradient[:-1])
        gradient[:-1] += l2 * weights[:-1]
        gradient[-1] = error.sum(0)
        return float(loss), gradient

    return evaluate


def minimise(objective: Objective, weights: Float[torch.Tensor, " *shape"], tolerance: float | None = None) -> Solution:
    """Minimise a convex function by L-BFGS (Nocedal & Wright, "Numerical Optimization", 2006, 7.5).

    A step is tried at its full length first. Where the loss has too few digits left to show a descent, the slope shows
    it: that of a convex function rises (Hager & Zhang, SIAM J. Optim. 16, 2005, approximate Wolfe conditions).

    Args:
        objective: weights to (loss, gradient).
        weights: where to start.
        tolerance: the gradient's norm at the end, `TOLERANCE` without.
    """
    tolerance = TOLERANCE if tolerance is None else tolerance
    loss, gradient = objective(weights)
    pairs: list[tuple[torch.Tensor, torch.Tensor, float]] = []
    for iteration in range(LIMIT):
        if not float(gradient.norm()) > tolerance:
            return Solution(weights, loss, float(gradient.norm()), iteration)
        way = _direction(gradient, pairs)
        found = _search(objective, weights, loss, _dot(gradient, way), way)
        if found is None:
            break
        step, (loss, after) = found
        moved, turned = step * way, after - gradient
        if (curvature := _dot(moved, turned)) > 0:
            pairs = [*pairs, (moved, turned, 1 / curvature)][-_PAIRS:]
        weights, gradient = weights + moved, after
    else:
        iteration = LIMIT
    return Solution(weights, loss, float(gradient.norm()), iteration)


def _direction(gradient: torch.Tensor, pairs: list[tuple[torch.Tensor, torch.Tensor, float]]) -> torch.Tensor:
    """Return minus the inverse curvature times the gradient (algorithm 7.4 there)."""
    way, shares = -gradient, []
    for moved, turned, inverse in reversed(pairs):
        shares.append(inverse * _dot(moved, way))
        way = way - shares[-1] * turned
    if not pairs:
        return way / max(1.0, float(gradient.norm()))
    _, turned, inverse = pairs[-1]
    way = way / (inverse * _dot(turned, turned))
    for (moved, turned, inverse), share in zip(pairs, reversed(shares), strict=True):
        way = way + (share - inverse * _dot(turned, way)) * moved
    return way


def _search(
    objective: Objective, weights: torch.Tensor, loss: float, slope: float, way: torch.Tensor
) -> tuple[float, tuple[float, torch.Tensor]] | None:
    """Return a length of the step with loss and gradient there, or None where no length leads down."""
    low, high, step = 0.0, float("inf"), 1.0
    for _ in range(_TRIES):
        made, gradient = objective(weights + step * way)
        there = _dot(gradient, way)
        descends = made <= loss + _DESCENT * step * slope or there <= _BEYOND * -slope
        if there < _FLAT * slope and descends:
            low = step
        elif there > _FLAT * -slope or not descends:
            high = step
        else:
            return step, (made, gradient)
        step = 2 * step if high == float("inf") else (low + high) / 2
    return None


def _dot(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(torch.vdot(one.reshape(-1), other.reshape(-1)))
