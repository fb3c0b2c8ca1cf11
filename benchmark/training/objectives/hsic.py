"""Kernel dependence: the Hilbert-Schmidt independence criterion between each part of the features and the other label.

Torch half.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from benchmark.models.training_record import Partition
from benchmark.training.objectives.penalty import Penalty, Side

if TYPE_CHECKING:
    from jaxtyping import Float, Int

LEAST = 4  # images that the unbiased estimator needs


def hsic(first: Float[torch.Tensor, "n n"], second: Float[torch.Tensor, "n n"]) -> Float[torch.Tensor, ""]:
    """Return the unbiased estimate of HSIC (Gretton et al., ALT 2005; estimator: Song et al., JMLR 13, 2012, eq. 5).

    Zero in expectation for independent variables, so that single estimates may be below it; the biased one would be
    far above zero in small batches.

    Args:
        first: (n, n) kernel matrix of one variable, n >= 4.
        second: (n, n) kernel matrix of the other.
    """
    n = len(first)
    first, second = (each - torch.diag(each.diagonal()) for each in (first, second))
    trace = (first * second).sum()
    ends = first.sum() * second.sum() / ((n - 1) * (n - 2))
    middle = 2 * (first.sum(0) @ second.sum(1)) / (n - 2)
    return (trace + ends - middle) / (n * (n - 3))


def gaussian(features: Float[torch.Tensor, "n d"]) -> Float[torch.Tensor, "n n"]:
    """Return the (n, n) Gaussian kernel of (n, d) features; its squared width is the median squared distance.

    The width takes no gradient, and makes the kernel independent of the features' scale.
    """
    products = features @ features.T
    squares = products.diagonal()
    gaps = (squares[:, None] + squares[None] - 2 * products).clamp(min=0)
    apart = ~torch.eye(len(features), dtype=torch.bool, device=features.device)
    width = gaps.detach()[apart].median().clamp(min=torch.finfo(gaps.dtype).tiny)
    return torch.exp(-gaps / width)


def same(labels: Int[torch.Tensor, " n"]) -> Float[torch.Tensor, "n n"]:
    """Return the (n, n) kernel of labels: 1 where two are the same, else 0."""
    return (labels[:, None] == labels[None]).float()


class Dependence(Penalty):
    """The sum of both sides' HSIC.

    Args:
        partition: not needed: a kernel has no weights.
        labels: not needed.
        seed: not needed: nothing is drawn.
    """

    def __init__(self, partition: Partition, labels: tuple[int, int], seed: int) -> None:
        super().__init__(seed)

    def forward(self, both: tuple[Side, Side], weight: float, done: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the weighted sum of both sides' dependence, and the sum."""
        total = torch.stack([hsic(gaussian(side.features), same(side.other)) for side in both]).sum()
        return weight * total, total.detach()
