"""Kernel dependence: the Hilbert-Schmidt independence criterion between each part of the features and the other label.

Torch half. One Gaussian kernel over many features is blind to what stands in few of them: a label written into one of
450 features of unit variance has HSIC 0.00009 at the median width. Therefore the features are divided into small
blocks, at random in every step, each block has a kernel of its own width, and the normalised dependences of the blocks
are added: one readable feature then counts the same however many others there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from benchmark.models.training_record import Partition
from benchmark.training.objectives.penalty import Penalty, Side

if TYPE_CHECKING:
    from jaxtyping import Float, Int

LEAST = 4  # images that the unbiased estimator needs
BLOCK = 4  # features of a block
_TINY = 1e-12


def hsic(first: Float[torch.Tensor, "*b n n"], second: Float[torch.Tensor, "*b n n"]) -> Float[torch.Tensor, "*b"]:
    """Return the unbiased estimate of HSIC (Gretton et al., ALT 2005; estimator: Song et al., JMLR 13, 2012, eq. 5).

    Zero in expectation for independent variables, so that single estimates may be below it; the biased one would be
    far above zero in small batches.

    Args:
        first: (..., n, n) kernel matrices of one variable, n >= 4.
        second: (..., n, n) kernel matrices of the other.
    """
    n = first.shape[-1]
    apart = 1 - torch.eye(n, dtype=first.dtype, device=first.device)
    first, second = first * apart, second * apart
    rows = first.sum(-1), second.sum(-1)
    trace = (first * second).sum((-1, -2))
    ends = rows[0].sum(-1) * rows[1].sum(-1) / ((n - 1) * (n - 2))
    middle = 2 * (rows[0] * rows[1]).sum(-1) / (n - 2)
    return (trace + ends - middle) / (n * (n - 3))


def gaussian(features: Float[torch.Tensor, "*b n d"]) -> Float[torch.Tensor, "*b n n"]:
    """Return (..., n, n) Gaussian kernels of (..., n, d) features; the squared width is the median squared distance.

    The width takes no gradient, and makes the kernel independent of the features' scale.
    """
    products = features @ features.mT
    squares = products.diagonal(dim1=-2, dim2=-1)
    gaps = (squares[..., :, None] + squares[..., None, :] - 2 * products).clamp(min=0)
    apart = ~torch.eye(features.shape[-2], dtype=torch.bool, device=features.device)
    width = gaps.detach()[..., apart].median(-1).values.clamp(min=torch.finfo(gaps.dtype).tiny)
    return torch.exp(-gaps / width[..., None, None])


def same(labels: Int[torch.Tensor, " n"]) -> Float[torch.Tensor, "n n"]:
    """Return the (n, n) kernel of labels: 1 where two are the same, else 0."""
    return (labels[:, None] == labels[None]).float()


def normalised_hsic(
    first: Float[torch.Tensor, "*b n n"], second: Float[torch.Tensor, "*b n n"]
) -> Float[torch.Tensor, "*b"]:
    """Return HSIC over the root of both variables' HSIC with themselves: centred kernel alignment.

    Kornblith et al. (arXiv 1905.00414, section 3), by unbiased estimates as in Nguyen et al. (arXiv 2010.15327). About
    0 for independent variables, 1 for equal kernels; 0 where a variable does not vary in the batch.

    Args:
        first: (..., n, n) kernel matrices of one variable, n >= 4.
        second: (..., n, n) kernel matrices of the other.
    """
    scale = (hsic(first, first).clamp(min=0) * hsic(second, second).clamp(min=0)).clamp(min=_TINY)
    return hsic(first, second) / scale.sqrt() * (scale > _TINY)


class Dependence(Penalty):
    """The sum of both sides' dependences, each the sum over blocks of features.

    Args:
        partition: not needed: a kernel has no weights.
        labels: not needed.
        seed: of the division into blocks.
    """

    def __init__(self, partition: Partition, labels: tuple[int, int], seed: int) -> None:
        super().__init__(seed)

    def forward(self, both: tuple[Side, Side], weight: float, done: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the weighted sum of both sides' dependence, and the sum."""
        total = torch.stack([self._of(side) for side in both]).sum()
        return weight * total, total.detach()

    def _of(self, side: Side) -> torch.Tensor:
        count, width = side.features.shape
        order = torch.randperm(width, generator=self.generator).to(side.features.device)
        # Features that are 0 fill the last block: they change no distance.
        blocks = functional.pad(side.features[:, order], (0, -width % BLOCK)).view(count, -1, BLOCK).transpose(0, 1)
        return normalised_hsic(gaussian(blocks), same(side.other).expand(len(blocks), -1, -1)).sum()
