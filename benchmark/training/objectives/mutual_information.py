"""The mutual information of a part of the features and the other label, in nats: MINE from below, CLUB from above.

Torch half. The label is discrete, so one network gives the score of every label at once; a batch's features with its
labels in all pairs then represent the product of the marginals, where the papers draw a shuffle.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from benchmark.models.training_record import Partition
from benchmark.training.objectives.penalty import Critics, Side
from benchmark.training.objectives.wasserstein import critic

if TYPE_CHECKING:
    from jaxtyping import Float

_NEW = 0.01  # what a batch counts in the moving average, which MINE's authors leave open


def own(table: Float[torch.Tensor, "n n"]) -> Float[torch.Tensor, " n"]:
    """Return the (n,) scores of features with their own label, of an (n, n) table of all labels of a batch."""
    return table.diagonal()


def log_mean_of_others(table: Float[torch.Tensor, "n n"]) -> Float[torch.Tensor, ""]:
    """Return log of the mean of e^score over the n (n - 1) pairs of features with another image's label.

    Without the own labels, whose scores would put the mean of a small batch above that of the product of marginals.
    """
    n = len(table)
    same = torch.eye(n, dtype=torch.bool, device=table.device)
    return table.masked_fill(same, -torch.inf).logsumexp((0, 1)) - math.log(n * (n - 1))


def donsker_varadhan(
    table: Float[torch.Tensor, "n n"], log_average: Float[torch.Tensor, ""]
) -> Float[torch.Tensor, ""]:
    """Return E[T] - log E'[e^T], a lower bound of the mutual information (Belghazi et al., 1801.04062, Definition 3.1).

    E is over images, E' over the product of marginals. The gradient of a batch's logarithm has the batch's own mean
    as denominator, which biases it; here the moving average takes its place (section 3.2).

    Args:
        table: (n, n) scores T of features i with the label of image j.
        log_average: log of the moving average of E'[e^T].
    """
    logs = log_mean_of_others(table)
    # Only its gradient counts, that of E'[e^T] over the average.
    corrected = (logs - log_average).exp()
    return own(table).mean() - logs.detach() - (corrected - corrected.detach())


def contrastive(table: Float[torch.Tensor, "n n"]) -> Float[torch.Tensor, ""]:
    """Return vCLUB: the mean of log q(y_i | z_i) - mean over j of log q(y_j | z_i) (Cheng et al., 2006.12013, 3.2).

    An upper bound of the mutual information where q is the true p(y | z) (their Theorem 3.1), or near to it (3.2).

    Args:
        table: (n, n) log q of the label of image j given features i.
    """
    return own(table).mean() - table.mean()


class _Scores(Critics):
    """Networks that score every label of the other kind.

    Args:
        partition: which features are which part's.
        labels: how many foreground and background labels there are.
        seed: not needed: nothing is drawn but first weights, by torch's own generator.
        critic_steps: steps of these networks per step of the trained one.
        critic_rate: their learning rate.
    """

    ending: tuple[nn.Module, ...] = ()  # the operation after the last layer

    def __init__(
        self, partition: Partition, labels: tuple[int, int], seed: int, critic_steps: int, critic_rate: float
    ) -> None:
        widths = zip((partition.foreground, partition.background), reversed(labels), strict=True)
        critics = [nn.Sequential(*critic(*each), *self.ending) for each in widths]
        super().__init__(critics, seed, critic_steps, critic_rate)

    def tables(self, both: tuple[Side, ...]) -> list[Float[torch.Tensor, "n n"]]:
        """Return each side's (n, n) scores of features i with the label of image j."""
        pairs = zip(self.critics, both, strict=True)
        return [score(side.features).index_select(1, side.other) for score, side in pairs]

    @abstractmethod
    def bounds(self, tables: list[Float[torch.Tensor, "n n"]]) -> Float[torch.Tensor, " 2"]:
        """Return each side's bound, (2,)."""

    def measured(self, both: tuple[Side, ...]) -> Float[torch.Tensor, ""]:
        """Return the sum of both bounds."""
        return self.bounds(self.tables(both)).sum()


class Mine(_Scores):
    """The lower bounds of both sides, which the networks raise and the trained one lowers."""

    log_averages: torch.Tensor

    def __init__(self, *given: Any, **critic: Any) -> None:
        super().__init__(*given, **critic)
        self.register_buffer("log_averages", torch.zeros(2))  # that of scores of 0, near which networks start

    def loss(self, both: tuple[Side, ...]) -> Float[torch.Tensor, ""]:
        """Return minus both bounds; the moving averages take this batch in."""
        tables = self.tables(both)
        logs = torch.stack([log_mean_of_others(each.detach()) for each in tables])
        self.log_averages = torch.logaddexp(self.log_averages + math.log1p(-_NEW), logs + math.log(_NEW))
        return -self.bounds(tables).sum()

    def bounds(self, tables: list[Float[torch.Tensor, "n n"]]) -> Float[torch.Tensor, " 2"]:
        """Return each side's lower bound, (2,)."""
        return torch.stack([donsker_varadhan(*each) for each in zip(tables, self.log_averages, strict=True)])


class Club(_Scores):
    """The upper bounds of both sides, which the trained network lowers; the others learn q(label | part)."""

    ending = (nn.LogSoftmax(1),)

    def loss(self, both: tuple[Side, ...]) -> Float[torch.Tensor, ""]:
        """Return minus the mean log-likelihood of both labels."""
        return -torch.stack([own(each).mean() for each in self.tables(both)]).sum()

    def bounds(self, tables: list[Float[torch.Tensor, "n n"]]) -> Float[torch.Tensor, " 2"]:
        """Return each side's upper bound, (2,)."""
        return torch.stack([contrastive(each) for each in tables])
