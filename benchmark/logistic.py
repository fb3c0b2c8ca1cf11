"""Multinomial logistic regression with L2, run to a stated gradient norm by L-BFGS.

Torch half. Not scikit-learn's, which takes longer to the same loss and knows no GPU (tests/bench/test_probes.py).
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch.nn import functional

TOLERANCE = 1e-4  # Euclidean norm of the gradient of the mean loss, over all weights and biases
LIMIT = 2000  # iterations
_PAIRS = 10  # steps that the curvature is taken from

Objective = Callable[[torch.Tensor], tuple[float, torch.Tensor]]


@dataclass(frozen=True, eq=False)
class Solution:
    """Weights with the biases as last row, (d + 1, k); the loss there, its gradient's norm, the iterations made."""

    weights: torch.Tensor
    loss: float
    gradient: float
    iterations: int

    @property
    def converged(self) -> bool:
        """Whether the gradient is as small as asked for."""
        return self.gradient <= TOLERANCE

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """Return the (m, k) logits of (m, d) features."""
        return torch.addmm(self.weights[-1], features, self.weights[:-1])


def solve(
    features: torch.Tensor, labels: torch.Tensor, classes: int, l2: float, start: torch.Tensor | None = None
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


def minimise(objective: Objective, weights: torch.Tensor) -> Solution:
    """Minimise a smooth convex function to `TOLERANCE` by torch's L-BFGS with strong Wolfe line searches.

    Args:
        objective: weights to (loss, gradient).
        weights: where to start.
    """
    weights = weights.clone()
    way = torch.optim.LBFGS(
        [weights], max_iter=LIMIT, max_eval=2 * LIMIT, tolerance_grad=0, tolerance_change=0, history_size=_PAIRS,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def look() -> float:
        loss, weights.grad = objective(weights)
        if float(weights.grad.norm()) <= TOLERANCE:
            raise _Reached
        return loss

    # The optimiser's own criterion is the gradient's largest entry: no norm over all weights.
    with suppress(_Reached):
        way.step(look)  # pyright: ignore[reportArgumentType] - it takes a number as well as a tensor
    loss, gradient = objective(weights)
    return Solution(weights, loss, float(gradient.norm()), way.state[weights]["n_iter"])


class _Reached(Exception):
    """The gradient is small enough."""
