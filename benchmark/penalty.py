"""What an objective adds to cross-entropy: a penalty on what each part of the features tells of the other label.

Torch half.
"""

from typing import NamedTuple

import torch
from torch import nn

from benchmark.partition import Partition


class Side(NamedTuple):
    """One part of the features, (n, d) float32, and the label it shall not tell, (n,) int64."""

    features: torch.Tensor
    other: torch.Tensor


def sides(
    partition: Partition, features: torch.Tensor, foreground: torch.Tensor, background: torch.Tensor
) -> tuple[Side, Side]:
    """Return the foreground part beside the background label, and the background part beside the foreground label."""
    front, behind = (features[:, partition.columns(part)] for part in ("foreground", "background"))
    return Side(front, background), Side(behind, foreground)


class Penalty(nn.Module):
    """A penalty on two `Side`s, foreground part first. All it draws comes from its own generator, kept in its state.

    Args:
        seed: of the generator.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)

    def learn(self, both: tuple[Side, Side]) -> None:
        """Train what the penalty measures with, on features without gradient; nothing unless a critic is trained."""

    def forward(self, both: tuple[Side, Side], weight: float, done: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what to add to the loss, and the penalty as measured.

        Args:
            both: the sides of a batch.
            weight: lambda.
            done: share of the training that is done, in [0, 1].
        """
        raise NotImplementedError

    def joint(self) -> list[nn.Parameter]:
        """Return the parameters that the network's own optimiser trains."""
        return []

    def get_extra_state(self) -> dict[str, object]:
        """Return what a checkpoint needs beside the weights."""
        return {"generator": self.generator.get_state()}

    def set_extra_state(self, state: dict[str, torch.Tensor]) -> None:
        """Take a checkpoint's extra state."""
        self.generator.set_state(state["generator"])
