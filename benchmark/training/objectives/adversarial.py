"""Gradient reversal (Ganin and Lempitsky, arXiv 1409.7495): heads read the other label from each part of the
features, and what teaches the heads unteaches the network.

Torch half. The paper has one head per part. One head can be misled while the label stays readable to others, so the
default is several, of which one is re-initialised every `RENEW` steps, in turn: the network also has to hide the label
from heads that did not learn along with it. They read normalised features, so that the loss cannot be raised by making
features small.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from benchmark.models.training_record import Partition
from benchmark.training.objectives.penalty import INPUTS, Penalty, Side

if TYPE_CHECKING:
    from jaxtyping import Float

_HIDDEN = 256
_STEEPNESS = 10.0  # gamma of section 4.2
READERS = 4
RENEW = 50  # steps


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
    """The readers' mean cross-entropy in nats, which they lower and the network raises through the reversed gradient.

    Args:
        partition: which features are which part's.
        labels: how many foreground and background labels there are.
        seed: of the weights of readers that are re-initialised.
        readers: heads per part; a single one, as in the paper, is never re-initialised.
        critic_input: `raw` features, as in the paper, or `normalised` ones.
    """

    def __init__(
        self,
        partition: Partition,
        labels: tuple[int, int],
        seed: int,
        readers: int = READERS,
        critic_input: str = "normalised",
    ) -> None:
        super().__init__(seed)
        self._input = INPUTS[critic_input]
        widths = list(zip((partition.foreground, partition.background), reversed(labels), strict=True))
        self.readers = nn.ModuleList(
            nn.ModuleList(
                nn.Sequential(nn.Linear(width, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, count)) for _ in range(readers)
            )
            for width, count in widths
        )
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def learn(self, both: tuple[Side, Side]) -> None:
        """Count a step, and re-initialise the next reader of each part when it is time."""
        self.steps += 1  # pyright: ignore[reportOperatorIssue, reportAttributeAccessIssue] - a registered tensor
        turn, left = divmod(int(self.steps), RENEW)  # pyright: ignore[reportArgumentType]
        for readers in self.readers:
            heads = list(readers)  # pyright: ignore[reportArgumentType] - a list of modules
            if not left and len(heads) > 1:
                self._renew(heads[turn % len(heads)])

    def forward(self, both: tuple[Side, Side], weight: float, done: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the readers' losses, reversed towards the network, and their sum over both parts."""
        strength = weight * ramp(done)
        losses = []
        for readers, side in zip(self.readers, both, strict=True):
            passed = reverse(self._input(side.features), strength)
            heads = list(readers)  # pyright: ignore[reportArgumentType] - a list of modules
            losses.append(torch.stack([functional.cross_entropy(head(passed), side.other) for head in heads]).mean())
        loss = torch.stack(losses).sum()
        return loss, loss.detach()

    def joint(self) -> list[nn.Parameter]:
        """Return the readers' parameters."""
        return list(self.readers.parameters())

    @torch.no_grad()
    def _renew(self, reader: nn.Module) -> None:
        """Draw a reader's weights anew, uniform as in torch's linear layers, from the penalty's own generator."""
        for layer in reader.modules():
            if isinstance(layer, nn.Linear):
                bound = layer.in_features**-0.5
                for each in layer.parameters():
                    each.copy_(torch.empty(each.shape).uniform_(-bound, bound, generator=self.generator))
