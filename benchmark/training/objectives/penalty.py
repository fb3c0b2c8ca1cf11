"""Penalties that objectives add to cross-entropy: on the information in each part of the features on the other label.

Torch half.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from benchmark.models.training_record import Partition

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Side(NamedTuple):
    """One part of the features, (n, d) float32, and the label it must not encode, (n,) int64."""

    features: Float[torch.Tensor, "n d"]
    other: Int[torch.Tensor, " n"]


def sides(
    partition: Partition,
    features: Float[torch.Tensor, "n d"],
    foreground: Int[torch.Tensor, " n"],
    background: Int[torch.Tensor, " n"],
) -> tuple[Side, Side]:
    """Return the foreground part with the background label, and the background part with the foreground label."""
    foreground_features, background_features = (
        features[:, partition.columns(part)] for part in ("foreground", "background")
    )
    return Side(foreground_features, background), Side(background_features, foreground)


class Penalty(nn.Module, ABC):
    """A penalty on two `Side`s, foreground part first. All it draws comes from its own generator, kept in its state.

    Args:
        seed: of the generator.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)

    def learn(self, both: tuple[Side, Side]) -> None:
        """Train what the penalty measures with, on features without gradient; nothing unless a critic is trained."""

    @abstractmethod
    def forward(
        self, both: tuple[Side, Side], weight: float, done: float
    ) -> tuple[Float[torch.Tensor, ""], Float[torch.Tensor, ""]]:
        """Return what to add to the loss, and the penalty as measured.

        Args:
            both: the sides of a batch.
            weight: lambda.
            done: share of the training that is done, in [0, 1].
        """

    def joint(self) -> list[nn.Parameter]:
        """Return the parameters that the network's own optimiser trains."""
        return []

    def get_extra_state(self) -> dict[str, object]:
        """Return the state of a checkpoint other than the weights."""
        return {"generator": self.generator.get_state()}

    def set_extra_state(self, state: dict[str, torch.Tensor]) -> None:
        """Take a checkpoint's extra state."""
        self.generator.set_state(state["generator"])


class Critics(Penalty):
    """A penalty measured by trained critics, one per side: they have their own steps, and are frozen for the network's.

    Args:
        critics: those of the foreground and of the background part.
        seed: of the generator.
        steps: theirs per step of the network, all on the batch at hand, which cost no pass through the network.
        rate: learning rate of their Adam.
        betas: of it.
    """

    def __init__(
        self,
        critics: Sequence[nn.Module],
        seed: int,
        steps: int,
        rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        super().__init__(seed)
        self.critics = nn.ModuleList(critics)
        self._steps = steps
        self._optimizer = torch.optim.Adam(self.critics.parameters(), lr=rate, betas=betas)

    @abstractmethod
    def loss(self, both: tuple[Side, ...]) -> Float[torch.Tensor, ""]:
        """Return what the critics lower."""

    @abstractmethod
    def measured(self, both: tuple[Side, ...]) -> Float[torch.Tensor, ""]:
        """Return what the network lowers: the sum over both sides."""

    def learn(self, both: tuple[Side, Side]) -> None:
        """Take the critics' steps."""
        still = tuple(Side(each.features.detach(), each.other) for each in both)
        for _ in range(self._steps):
            self._optimizer.zero_grad(set_to_none=True)
            self.loss(still).backward()
            self._optimizer.step()

    def forward(
        self, both: tuple[Side, Side], weight: float, done: float
    ) -> tuple[Float[torch.Tensor, ""], Float[torch.Tensor, ""]]:
        """Return the weighted sum over both sides, and the sum."""
        self.critics.requires_grad_(False)
        total = self.measured(both)
        self.critics.requires_grad_(True)
        return weight * total, total.detach()

    def get_extra_state(self) -> dict[str, object]:
        """Return the generator's and the critics' optimiser's state."""
        return {**super().get_extra_state(), "optimizer": self._optimizer.state_dict()}

    def set_extra_state(self, state: dict) -> None:
        """Take a checkpoint's extra state."""
        super().set_extra_state(state)
        self._optimizer.load_state_dict(state["optimizer"])
