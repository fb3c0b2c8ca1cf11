"""Linear discriminant analysis as a probe, in closed form: its shrinkage is chosen on held-out rows.

The covariance within classes is S = (1 - c) W + c t I, with t the mean variance (tr W / d), as scikit-learn's
`LinearDiscriminantAnalysis(solver="lsqr", shrinkage=c)`. W is the total scatter T less that between classes, which has
the rank of the class means M (d x k): W = T - M P M', P the classes' shares. So one eigendecomposition of T serves
every shrinkage and every labelling of the same rows, and S^-1 M = A^-1 M (I - (1 - c) P M' A^-1 M)^-1 with
A = (1 - c) T + c t I (Woodbury), all of it k x k.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from benchmark.probing.probes.base import AT_EDGE, Choice, Fitted, Labelled, Reader, Refit, calibrate, on_edge, one_hot

if TYPE_CHECKING:
    from jaxtyping import Float, Int

SHRINKAGE = (1.0, 0.9, 0.7, 0.5, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4, 1e-5, 1e-6)  # strongest first
_RANK = 1e-10  # of the largest variance: directions below have none
_COLUMNS = 512  # labellings x classes solved at once


@dataclass(frozen=True, eq=False)
class Scatter:
    """Rows in the axes of their total scatter: (n, r) `rows`, (r,) `variance`; (d,) `mean`, (d, r) `axes`."""

    rows: Float[torch.Tensor, "n r"]
    variance: Float[torch.Tensor, " r"]
    mean: Float[torch.Tensor, " d"]
    axes: Float[torch.Tensor, "d r"]

    def __call__(self, features: Float[torch.Tensor, "m d"]) -> Float[torch.Tensor, "m r"]:
        """Return (m, r) coordinates of (m, d) features."""
        return (features.double() - self.mean) @ self.axes


def scatter(features: Float[torch.Tensor, "n d"]) -> Scatter:
    """Return the total scatter of (n, d) features, by the smaller of the two Gram matrices."""
    rows = features.double()
    mean, n = rows.mean(0), len(rows)
    rows = rows - mean
    wide = rows.shape[1] > n
    variance, vectors = torch.linalg.eigh((rows @ rows.T if wide else rows.T @ rows) / n)
    some = variance > _RANK * variance.max().clamp_min(1e-300)
    variance, vectors = variance[some], vectors[:, some]
    axes = rows.T @ vectors / (n * variance).sqrt() if wide else vectors
    return Scatter(rows @ axes, variance, mean, axes)


def discriminant(
    found: Scatter, labels: Int[torch.Tensor, "s n"], classes: int, shrinkage: float
) -> tuple[Float[torch.Tensor, "s r k"], Float[torch.Tensor, "s k"]]:
    """Return the discriminant functions of s labellings: (s, r, k) weights in the scatter's axes and (s, k) biases.

    Args:
        found: of the n rows.
        labels: (s, n) int64.
        classes: k; one without a row has a mean of 0 and the prior of a k-th of a row.
        shrinkage: c, above 0.
    """
    member = one_hot(labels, classes)
    count = member.sum(1)
    means = torch.einsum("nr,snk->srk", found.rows, member) / count.clamp_min(1)[:, None]
    share = count / len(found.rows)
    spread = (found.variance.sum() - (share[:, None] * means.square()).sum((1, 2))) / len(found.axes)
    inner = (1 - shrinkage) * found.variance + shrinkage * spread.clamp_min(1e-12)[:, None]
    scaled = means / inner[..., None]
    gram = means.transpose(1, 2) @ scaled
    rest = torch.eye(classes, dtype=gram.dtype, device=gram.device) - (1 - shrinkage) * share[..., None] * gram
    weights = torch.linalg.solve(rest.transpose(1, 2), scaled.transpose(1, 2)).transpose(1, 2)
    prior = (count.clamp_min(1 / classes) / len(found.rows)).log()
    return weights, prior - (means * weights).sum(1) / 2


def lda(learn: Labelled, held: Labelled, whole: Labelled, classes: int, seed: int) -> Fitted:
    """Fit it; see `base.Fit`."""
    best, chosen, losses, kept = Choice("", float("inf"), 1.0), SHRINKAGE[0], [], None
    found = scatter(learn[0])
    rows = found(held[0])
    for shrinkage in SHRINKAGE:
        weights, bias = discriminant(found, learn[1][None], classes, shrinkage)
        logits = rows @ weights[0] + bias[0]
        loss, temperature = calibrate(logits, held[1])
        losses.append(loss)
        if loss < best.loss:
            best, chosen, kept = Choice(f"shrinkage {shrinkage:g}", loss, temperature), shrinkage, logits
    assert kept is not None
    edge = on_edge(losses, 0)  # beyond full shrinkage nothing lies
    best = replace(best, converged=not edge, ending="closed form" + AT_EDGE * edge)
    return Fitted(best, kept, _reader(whole, classes, chosen), _again(classes, chosen))


def _reader(whole: Labelled, classes: int, shrinkage: float) -> Reader:
    found = scatter(whole[0])
    weights, bias = discriminant(found, whole[1][None], classes, shrinkage)
    full = found.axes @ weights[0]
    return lambda rows: (rows.double() - found.mean) @ full + bias[0]


def _again(classes: int, shrinkage: float) -> Refit:
    def again(features: torch.Tensor, labels: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        found = scatter(features)
        at, best = found(rows), []
        for some in labels.split(max(1, _COLUMNS // classes)):
            weights, bias = discriminant(found, some, classes, shrinkage)
            best.append((torch.einsum("mr,srk->smk", at, weights) + bias[:, None]).argmax(2))
        return torch.cat(best)

    return again
