"""The linear probe: logistic regression whose L2 is chosen on held-out rows from a grid, strongest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from benchmark.probing.probes import logistic
from benchmark.probing.probes.base import AT_EDGE, Choice, Fitted, Labelled, calibrate, on_edge

if TYPE_CHECKING:
    from jaxtyping import Float

L2 = tuple(10.0**power for power in range(3, -9, -1))  # strongest first


def linear(learn: Labelled, held: Labelled, whole: Labelled, classes: int, seed: int) -> Fitted:
    """Fit it; see `base.Fit`."""
    best, chosen, start, near = Choice("", float("inf"), 1.0), L2[0], None, None
    losses, least = [], False
    for l2 in L2:
        start = logistic.solve(*learn, classes, l2, start).weights
        loss, temperature = calibrate(_logits(start, held[0]), held[1])
        losses.append(loss)
        if loss < best.loss:
            best, chosen, near = Choice(f"l2 {l2:g}", loss, temperature), l2, start
        if least := negligible(start, l2):
            break
    assert near is not None  # the first of the grid is below infinity
    found = logistic.solve(*whole, classes, chosen, near)
    edge = on_edge(losses, len(losses) - 1 if least else None)
    ending = f"gradient norm {found.gradient:.1e} after {found.iterations} iterations" + AT_EDGE * edge
    choice = Choice(best.name, best.loss, best.temperature, found.converged and not edge, ending)

    def again(
        features: torch.Tensor, labels: torch.Tensor, _learn: torch.Tensor, _held: torch.Tensor, rows: torch.Tensor
    ) -> torch.Tensor:
        weights = logistic.solve_all(features, labels, classes, chosen)
        return (torch.tensordot(rows, weights[:-1], 1) + weights[-1]).argmax(2).T

    return Fitted(choice, _logits(near, held[0]), found.logits, again)


def _logits(weights: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    return torch.addmm(weights[-1], rows, weights[:-1])


def negligible(weights: Float[torch.Tensor, "rows k"], l2: float) -> bool:
    """Return whether a penalty's gradient is below the solver's tolerance: weaker ones add nothing."""
    return l2 * float(weights[:-1].norm()) < logistic.TOLERANCE
