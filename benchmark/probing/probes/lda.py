"""Linear discriminant analysis as a probe, in closed form: its shrinkage is chosen on held-out rows.

The covariance within classes is S = (1 - c) W + c t I, with t the mean variance (tr W / d), as scikit-learn's
`LinearDiscriminantAnalysis(solver="lsqr", shrinkage=c)`. W is the total scatter T less that between classes, which has
the rank of the class means M (d x k): W = T - M P M', P the classes' shares. So one eigendecomposition of T serves
every shrinkage and every labelling of the same rows, and S^-1 M = A^-1 M (I - (1 - c) P M' A^-1 M)^-1 with
A = (1 - c) T + c t I (Woodbury), all of it k x k.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from benchmark.probing.probes.base import AT_EDGE, Choice, Fitted, Labelled, Reader, Refit, calibrate, on_edge, one_hot

if TYPE_CHECKING:
    from jaxtyping import Float, Int

SHRINKAGE = (1.0, 0.7, 0.4, 0.2, 0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-5)  # strongest first
_TEMPERATURES = tuple(math.exp(power) for power in range(-2, 7))  # at which shrinkages are compared
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


def shrinkages(
    learn: Scatter, labels: Int[torch.Tensor, "s n"], rows: torch.Tensor, truth: Int[torch.Tensor, "s h"], classes: int
) -> Float[torch.Tensor, "s c"]:
    """Return the (s, c) losses in nats on held-out rows that each of `SHRINKAGE` has, at the best of `_TEMPERATURES`.

    Args:
        learn: scatter of the n rows learnt from.
        labels: (s, n) their labellings.
        rows: (h, d) held-out rows.
        truth: (s, h) their labels.
        classes: k.
    """
    at, losses = learn(rows), []
    place = truth[..., None]
    for shrinkage in SHRINKAGE:
        weights, bias = discriminant(learn, labels, classes, shrinkage)
        logits = (torch.einsum("hr,srk->shk", at, weights) + bias[:, None]).float()
        logits = logits - logits.gather(2, place)  # so that a loss is the logarithm of a sum
        each = [(logits / heat).logsumexp(2).mean(1) for heat in _TEMPERATURES]
        losses.append(torch.stack(each).amin(0))
    return torch.stack(losses, 1)


def lda(learn: Labelled, held: Labelled, whole: Labelled, classes: int, seed: int) -> Fitted:
    """Fit it; see `base.Fit`. `again` chooses the shrinkage of each labelling anew, by the same rule."""
    found = scatter(learn[0])
    losses = shrinkages(found, learn[1][None], held[0], held[1][None], classes)[0]
    chosen = SHRINKAGE[int(losses.argmin())]
    weights, bias = discriminant(found, learn[1][None], classes, chosen)
    kept = found(held[0]) @ weights[0] + bias[0]
    loss, temperature = calibrate(kept, held[1])
    edge = on_edge(losses.tolist(), 0)  # beyond full shrinkage nothing lies
    best = Choice(f"shrinkage {chosen:g}", loss, temperature, not edge, "closed form" + AT_EDGE * edge)
    return Fitted(best, kept, _reader(whole, classes, chosen), _again(classes))


def _reader(whole: Labelled, classes: int, shrinkage: float) -> Reader:
    found = scatter(whole[0])
    weights, bias = discriminant(found, whole[1][None], classes, shrinkage)
    full = found.axes @ weights[0]
    return lambda rows: (rows.double() - found.mean) @ full + bias[0]


def _again(classes: int) -> Refit:
    def again(
        features: torch.Tensor, labels: torch.Tensor, learn: torch.Tensor, held: torch.Tensor, rows: torch.Tensor
    ) -> torch.Tensor:
        part, found = scatter(features[learn]), scatter(features)
        at, best = found(rows), torch.zeros(len(labels), len(rows), dtype=torch.int64, device=rows.device)
        for some in torch.arange(len(labels), device=rows.device).split(max(1, _COLUMNS // classes)):
            given = labels[some]
            chosen = shrinkages(part, given[:, learn], features[held], given[:, held], classes).argmin(1)
            for index in chosen.unique():
                same = some[chosen == index]
                weights, bias = discriminant(found, labels[same], classes, SHRINKAGE[int(index)])
                best[same] = (torch.einsum("mr,srk->smk", at, weights) + bias[:, None]).argmax(2)
        return best

    return again
