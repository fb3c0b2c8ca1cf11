"""Gradient reversal (Ganin and Lempitsky, arXiv 1409.7495): a head reads the other label from each part of the
features, and what teaches the head unteaches the network.

Torch half.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from benchmark.models.training_record import Partition
from benchmark.training.objectives.penalty import Penalty, Side

if TYPE_CHECKING:
    from jaxtyping import Float

_HIDDEN = 256
_STEEPNESS = 10.0  # gamma of section 4.2


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: torch.Tensor, weight: float) -> torch.Tensor:
        ctx.weight = weight
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        return -ctx.weight * grads[0], None


def reverse(features: Float[torch.Tensor, "n d"], weight: float) -> Float[torch.Tensor, "n d"]:
    """Return features as they are, whose gradient is multiplied by -weight (eq. 14)."""
    return _Reverse.apply(features, weight)  # pyright: ignore[reportReturnType] - apply is untyped


def ramp(done: float) -> float:
    """Return the share of lambda that counts when a share of the training is done: 0 at first, 1 at the end."""
    return 2 / (1 + math.exp(-_STEEPNESS * done)) - 1


class Adversary(Penalty):
    """The readers' cross-entropy in nats, which they lower and the network raises through the reversed gradient.

    Args:
        partition: which features are which part's.
        labels: how many foreground and background labels there are.
        seed: not needed: nothing is drawn but first weights, by torch's own generator.
    """

    def __init__(self, partition: Partition, labels: tuple[int, int], seed: int) -> None:
        super().__init__(seed)
        widths = zip((partition.foreground, partition.background), reversed(labels), strict=True)
        self.readers = nn.ModuleList(
            nn.Sequential(nn.Linear(width, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, count)) for width, count in widths
        )

    def forward(self, both: tuple[Side, Side], weight: float, done: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the readers' losses, reversed towards the network, and their sum."""
        strength = weight * ramp(done)
        losses = [
            functional.cross_entropy(reader(reverse(side.features, strength)), side.other)
            for reader, side in zip(self.readers, both, strict=True)
        ]
        loss = torch.stack(losses).sum()
        return loss, loss.detach()

    def joint(self) -> list[nn.Parameter]:
        """Return the readers' parameters."""
        return list(self.readers.parameters())
