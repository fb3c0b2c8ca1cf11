"""Nearest neighbours by cosine as a probe: how many of them vote is chosen on held-out rows."""

from dataclasses import replace

import torch
from torch.nn import functional

from benchmark.probing.probes.base import AT_EDGE, Choice, Fitted, Labelled, calibrate, on_edge

NEIGHBOURS = (1, 3, 5, 10, 20, 50, 100, 200, 500)
_CHUNK = 1024  # rows compared with all others at once


def knn(learn: Labelled, held: Labelled, whole: Labelled, classes: int, seed: int) -> Fitted:
    """Fit it; see `base.Fit`."""
    best, chosen, losses = Choice("", float("inf"), 1.0), NEIGHBOURS[0], []
    near = learn[1][_nearest(held[0], learn[0], NEIGHBOURS[-1])]
    for count in NEIGHBOURS:
        loss, temperature = calibrate(_votes(near, count, classes), held[1])
        losses.append(loss)
        if loss < best.loss:
            best, chosen = Choice(f"k {count}", loss, temperature, ending="nothing to converge"), count
    if on_edge(losses, 0):  # fewer than one neighbour there cannot be
        best = replace(best, converged=False, ending=best.ending + AT_EDGE)

    def read(rows: torch.Tensor) -> torch.Tensor:
        return _votes(whole[1][_nearest(rows, whole[0], chosen)], chosen, classes)

    def again(
        features: torch.Tensor, labels: torch.Tensor, _learn: torch.Tensor, _held: torch.Tensor, rows: torch.Tensor
    ) -> torch.Tensor:
        found = _nearest(rows, features, chosen)
        return torch.stack([_votes(each[found], chosen, classes).argmax(1) for each in labels])

    return Fitted(best, _votes(near, chosen, classes), read, again)


def _nearest(rows: torch.Tensor, among: torch.Tensor, count: int) -> torch.Tensor:
    """Return the (m, count) numbers of the rows most alike by cosine, nearest first."""
    others = functional.normalize(among, dim=1).T
    alike = (functional.normalize(part, dim=1) @ others for part in rows.split(_CHUNK))
    return torch.cat([part.topk(min(count, len(among))).indices for part in alike])


def _votes(near: torch.Tensor, count: int, classes: int) -> torch.Tensor:
    """Return log shares of the votes of the first `count` neighbours; one vote more is spread over all classes."""
    near = near[:, :count]
    one = torch.ones(near.shape, device=near.device)
    votes = torch.zeros(len(near), classes, device=near.device).scatter_add_(1, near, one)
    return ((votes + 1 / classes) / (near.shape[1] + 1)).log()
