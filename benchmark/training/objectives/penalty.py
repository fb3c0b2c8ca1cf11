"""Penalties that objectives add to cross-entropy: on the information in each part of the features on the other label.

Torch half.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from benchmark.models.training_record import Partition

if TYPE_CHECKING:
    from jaxtyping import Float, Int

EPSILON = 1e-12  # added to a variance: torch's 1e-5 would make it worth it to let features shrink below that


class Side(NamedTuple):
    """One part of the features, (n, d) float32, the label it must not encode, and the photo of its own kind.

    The label and the photo's code are (n,) int64. The foreground part's own photo is the foreground photo.
    """

    features: Float[torch.Tensor, "n d"]
    other: Int[torch.Tensor, " n"]
    photo: Int[torch.Tensor, " n"] | None = None


def sides(
    partition: Partition,
    features: Float[torch.Tensor, "n d"],
    foreground: Int[torch.Tensor, " n"],
    background: Int[torch.Tensor, " n"],
    photos: Int[torch.Tensor, "2 n"] | None = None,
) -> tuple[Side, Side]:
    """Return the foreground part with the background label, and the background part with the foreground label.

    Args:
        partition: which features are which part's.
        features: (n, d), both parts.
        foreground: (n,) labels.
        background: (n,) labels.
        photos: (2, n) codes of the foreground and background photos, for a penalty that compares images of one photo.
    """
    foreground_features, background_features = (
        features[:, partition.columns(part)] for part in ("foreground", "background")
    )
    own = (None, None) if photos is None else photos
    return Side(foreground_features, background, own[0]), Side(background_features, foreground, own[1])


def normalised(features: Float[torch.Tensor, "n d"]) -> Float[torch.Tensor, "n d"]:
    """Return features with mean 0 and variance 1 over a batch: batch norm (arXiv 1502.03167) without its affine map.

    A feature that is constant in the batch stays near 0. With it a penalty cannot be lowered by making features small.
    """
    centred = features - features.mean(0)
    return centred / (centred.square().mean(0) + EPSILON).sqrt()


INPUTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"raw": lambda features: features, "normalised": normalised}


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
        still = tuple(each._replace(features=each.features.detach()) for each in both)
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
