"""The paper's penalty (arXiv 2211.10370, section 4): a Wasserstein distance between features with their own labels and
features with shuffled ones, estimated by a critic.

Torch half. Zero distance means that a part of the features is independent of the other label. What the paper leaves
open is chosen here: the critic's layers, and its steps on the batch at hand with fresh shuffles, which cost no
further pass through the network. The paper's critics see features as they are, whose distance also shrinks with the
features' scale: `normalised` ones exclude that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from benchmark.models.training_record import Partition
from benchmark.training.objectives.penalty import INPUTS, Critics, Side

if TYPE_CHECKING:
    from jaxtyping import Float

_HIDDEN = 256
_SLOPE = 0.2
GRADIENT_WEIGHT = 10.0  # the paper's, and Gulrajani et al.'s
BETAS = (0.0, 0.9)  # of Adam, the paper's
_VECTOR = 0.2  # length of a label's vector over the number of features, the paper's


def critic(width: int, outputs: int = 1) -> nn.Sequential:
    """Return a critic: (n, width) to (n, outputs) scores."""
    return nn.Sequential(
        *(nn.Linear(width, _HIDDEN), nn.LeakyReLU(_SLOPE)),
        *(nn.Linear(_HIDDEN, _HIDDEN), nn.LeakyReLU(_SLOPE)),
        nn.Linear(_HIDDEN, outputs),
    )


def distance(
    score: nn.Module, first: Float[torch.Tensor, "n d"], second: Float[torch.Tensor, "n d"]
) -> Float[torch.Tensor, ""]:
    """Return a critic's estimate of the Wasserstein-1 distance between two samples (Arjovsky et al., 1701.07875).

    A lower bound (eq. 3, over samples), where the critic changes by at most 1 over a distance of 1.
    """
    return score(first).mean() - score(second).mean()


def gradient_penalty(
    score: nn.Module, first: Float[torch.Tensor, "n d"], second: Float[torch.Tensor, "n d"], generator: torch.Generator
) -> Float[torch.Tensor, ""]:
    """Return the mean of (|gradient| - 1)^2 at random points between rows (Gulrajani et al., 1704.00028, eq. 3)."""
    share = torch.rand(len(first), 1, generator=generator).to(first.device)
    between = (share * first + (1 - share) * second).detach().requires_grad_()
    (slope,) = torch.autograd.grad(score(between).sum(), between, create_graph=True)
    return ((slope.norm(dim=1) - 1) ** 2).mean()


class Wasserstein(Critics):
    """The paper's penalty: both critics' distances, which the network lowers and the critics raise.

    Args:
        partition: which features are which part's.
        labels: how many foreground and background labels there are.
        seed: of label vectors and shuffles.
        critic_steps: steps of the critics per step of the network.
        critic_rate: learning rate of the critics.
        critic_input: `raw` features, as in the paper, or `normalised` ones.
    """

    def __init__(
        self,
        partition: Partition,
        labels: tuple[int, int],
        seed: int,
        critic_steps: int,
        critic_rate: float,
        critic_input: str = "raw",
    ) -> None:
        width = max(1, round(_VECTOR * partition.size))
        critics = [critic(part + width) for part in (partition.foreground, partition.background)]
        super().__init__(critics, seed, critic_steps, critic_rate, BETAS)
        self._input = INPUTS[critic_input]
        # The vectors of the labels that the foreground part must not encode come first.
        for name, count in zip(("background", "foreground"), reversed(labels), strict=True):
            self.register_buffer(f"{name}_vectors", torch.randn(count, width, generator=self.generator))

    def loss(self, both: tuple[Side, ...]) -> Float[torch.Tensor, ""]:
        """Return minus both distances, on a fresh shuffle, and how far the critics are from changing by 1 over 1."""
        loss = torch.zeros((), device=both[0].features.device)
        for score, joint, shuffled in self._pairs(both):
            steep = gradient_penalty(score, joint, shuffled, self.generator)
            loss = loss - distance(score, joint, shuffled) + GRADIENT_WEIGHT * steep
        return loss

    def measured(self, both: tuple[Side, ...]) -> Float[torch.Tensor, ""]:
        """Return the sum of both distances, on a fresh shuffle."""
        return torch.stack([distance(*each) for each in self._pairs(both)]).sum()

    def _pairs(self, both: tuple[Side, ...]) -> list[tuple[nn.Module, torch.Tensor, torch.Tensor]]:
        """Return each side's critic with (features, vector of the label) joint and shuffled."""
        answer = []
        for score, vectors, side in zip(
            self.critics, (self.background_vectors, self.foreground_vectors), both, strict=True
        ):
            order = torch.randperm(len(side.other), generator=self.generator).to(side.other.device)
            told = vectors[side.other]  # pyright: ignore[reportIndexIssue] - a registered tensor
            features = self._input(side.features)
            answer.append((score, torch.cat([features, told], 1), torch.cat([features, told[order]], 1)))
        return answer
