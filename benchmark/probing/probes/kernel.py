"""RBF kernel ridge regression on indicators of the classes as a probe, in closed form.

k(x, y) = exp(-|x - y|^2 / (2 w^2)); (K + r I) a = Y less the classes' shares (Saunders et al., ICML 1998). Width w, as
a multiple of the median distance, and ridge r are chosen on held-out rows; one eigendecomposition of K serves all
ridges of a width. Double precision: small ridges lie below the rounding of single precision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmark.probing.probes.base import AT_EDGE, Choice, Fitted, Labelled, calibrate, on_edge, one_hot

if TYPE_CHECKING:
    from jaxtyping import Float

WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # of the median distance
RIDGES = tuple(10.0**power for power in range(5, -8, -1))  # far above the largest eigenvalue nothing changes
MOST = 6000  # rows learnt from: time grows with their cube, memory with their square
_FOR_MEDIAN = 1000  # rows whose distances give the median
_CHUNK = 1024  # rows compared with all others at once


def kernel(learn: Labelled, held: Labelled, whole: Labelled, classes: int, seed: int) -> Fitted:
    """Fit it, to `MOST` training rows drawn by the seed where there are more, which its ending states.

    See `base.Fit`. The widest kernel of the grid is no edge: beyond it lies the linear one, which `linear` and `lda`
    read.
    """
    few = learn[0][_drawn(len(learn[0]), seed)], learn[1][_drawn(len(learn[1]), seed)]
    unit = _median(few[0])
    apart, across = _squared(few[0], few[0]), _squared(held[0], few[0])
    wanted = one_hot(few[1], classes)
    share = wanted.mean(0)
    losses, best = np.full((len(WIDTHS), len(RIDGES)), np.inf), None
    for i, width in enumerate(WIDTHS):
        values, vectors = torch.linalg.eigh(_rbf(apart, width * unit))
        seen, rows = vectors.T @ (wanted - share), _rbf(across, width * unit) @ vectors
        for j, ridge in enumerate(RIDGES):
            logits = rows @ (seen / (values.clamp_min(0) + ridge)[:, None]) + share
            losses[i, j], temperature = calibrate(logits, held[1])
            if best is None or losses[i, j] < best[0]:
                best = losses[i, j], temperature, width, ridge, logits
    assert best is not None
    loss, temperature, width, ridge, kept = best
    edge = on_edge(list(losses.min(1)), len(WIDTHS) - 1) or on_edge(list(losses.min(0)))
    left = f"; learnt from {MOST} of {len(whole[0])} rows, drawn by the seed" * (len(whole[0]) > MOST)
    choice = Choice(
        f"width {width:g}, ridge {ridge:g}", float(loss), temperature, not edge, "closed form" + AT_EDGE * edge + left
    )

    def solved(features: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the rows used, (s, n, k) weights and (s, 1, k) shares of (s, n) labellings."""
        some = _drawn(len(features), seed)
        features, labels = features[some], labels[:, some]
        inner = _rbf(_squared(features, features), width * unit)
        inner.diagonal().add_(ridge)
        indicators = one_hot(labels, classes)
        shares = indicators.mean(1, keepdim=True)
        return features, _solve(inner, indicators - shares), shares

    features, weights, shares = solved(whole[0], whole[1][None])

    def read(rows: torch.Tensor) -> torch.Tensor:
        parts = (_rbf(_squared(part, features), width * unit) @ weights[0] for part in rows.split(_CHUNK))
        return torch.cat(list(parts)) + shares[0]

    def again(
        features: torch.Tensor, labels: torch.Tensor, _learn: torch.Tensor, _held: torch.Tensor, rows: torch.Tensor
    ) -> torch.Tensor:
        features, weights, shares = solved(features, labels)
        alike = [_rbf(_squared(part, features), width * unit) for part in rows.split(_CHUNK)]
        best = [torch.cat([part @ each for part in alike]) for each in weights]
        return torch.stack([(each + share).argmax(1) for each, share in zip(best, shares, strict=True)])

    return Fitted(choice, kept, read, again)


def _drawn(rows: int, seed: int) -> torch.Tensor:
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    return torch.sort(order[:MOST]).values


def _solve(inner: torch.Tensor, wanted: Float[torch.Tensor, "s n k"]) -> Float[torch.Tensor, "s n k"]:
    columns = wanted.permute(1, 0, 2).reshape(len(inner), -1)
    found = torch.cholesky_solve(columns, torch.linalg.cholesky(inner))
    return found.reshape(len(inner), len(wanted), -1).permute(1, 0, 2)


def _median(rows: torch.Tensor) -> float:
    """Return the median distance between some of the rows."""
    some = rows[:: max(1, len(rows) // _FOR_MEDIAN)]
    apart = _squared(some, some)[~torch.eye(len(some), dtype=torch.bool, device=some.device)]
    return max(float(apart.median()) ** 0.5, 1e-6) if len(apart) else 1.0


def _squared(rows: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Return (m, n) float64 squared distances."""
    rows, others = rows.double(), others.double()
    square = rows.square().sum(1)[:, None] + others.square().sum(1) - 2 * rows @ others.T
    return square.clamp_min_(0)


def _rbf(squared: torch.Tensor, width: float) -> torch.Tensor:
    return (squared / (-2 * width**2)).exp_()
