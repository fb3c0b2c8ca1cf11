"""Nearest neighbours by cosine as a probe: how many of them vote is chosen on held-out rows."""

from dataclasses import replace

import torch
from torch.nn import functional

from benchmark.probing.probes.base import AT_EDGE, Choice, Labelled, Reader, calibrate, on_edge

NEIGHBOURS = (1, 3, 5, 10, 20, 50, 100, 200, 500)
_CHUNK = 1024  # rows compared with all others at once


def knn(learn: Labelled, held: Labelled, whole: Labelled, classes: int, seed: int) -> tuple[Choice, Reader]:
    """Fit it; see `base.Fit`."""
    best, chosen, losses = Choice("", float("inf"), 1.0), NEIGHBOURS[0], []
    near = _nearest(held[0], learn, NEIGHBOURS[-1])
    for count in NEIGHBOURS:
        loss, temperature = calibrate(_votes(near, count, classes), held[1])
        losses.append(loss)
        if loss < best.loss:
            best, chosen = Choice(f"k {count}", loss, temperature, ending="nothing to converge"), count
    if on_edge(losses, 0):  # fewer than one neighbour there cannot be
        best = replace(best, converged=False, ending=best.ending + AT_EDGE)
    return best, lambda rows: _votes(_nearest(rows, whole, chosen), chosen, classes)


def _nearest(rows: torch.Tensor, among: Labelled, count: int) -> torch.Tensor:
    """Return the (m, count) labels of the rows most alike by cosine, nearest first."""
    others = functional.normalize(among[0], dim=1).T
    alike = (functional.normalize(part, dim=1) @ others for part in rows.split(_CHUNK))
    return torch.cat([among[1][part.topk(min(count, len(among[1]))).indices] for part in alike])


def _votes(near: torch.Tensor, count: int, classes: int) -> torch.Tensor:
    """Return log shares of the votes of the first `count` neighbours; one vote more is spread over all classes."""
    near = near[:, :count]
    one = torch.ones(near.shape, device=near.device)
    votes = torch.zeros(len(near), classes, device=near.device).scatter_add_(1, near, one)
    return ((votes + 1 / classes) / (near.shape[1] + 1)).log()
