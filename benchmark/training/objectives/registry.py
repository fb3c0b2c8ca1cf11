"""The objectives of training, as data: what each adds to cross-entropy, and its recipe.

Needs no torch before a penalty is made. Numbers of the paper are those of arXiv 2211.10370 and its authors' code; it
trains 100,000 steps, so its schedule is kept in shares.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.models.training_record import Partition
from d3s_dataset.utils.plugins import PluginTable

if TYPE_CHECKING:
    from benchmark.training.objectives.penalty import Penalty


def _wasserstein(partition: Partition, labels: tuple[int, int], seed: int, **critic: Any) -> "Penalty":
    from benchmark.training.objectives.wasserstein import Wasserstein

    return Wasserstein(partition, labels, seed, **critic)


def _adversarial(partition: Partition, labels: tuple[int, int], seed: int) -> "Penalty":
    from benchmark.training.objectives.adversarial import Adversary

    return Adversary(partition, labels, seed)


def _hsic(partition: Partition, labels: tuple[int, int], seed: int) -> "Penalty":
    from benchmark.training.objectives.hsic import Dependence

    return Dependence(partition, labels, seed)


def _mine(partition: Partition, labels: tuple[int, int], seed: int, **critic: Any) -> "Penalty":
    from benchmark.training.objectives.mutual_information import Mine

    return Mine(partition, labels, seed, **critic)


def _club(partition: Partition, labels: tuple[int, int], seed: int, **critic: Any) -> "Penalty":
    from benchmark.training.objectives.mutual_information import Club

    return Club(partition, labels, seed, **critic)


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Recipe of one training objective.

    Attributes:
        summary: what it adds to cross-entropy on the foreground label.
        make: (partition, numbers of labels, seed, critic's settings) to its penalty; None adds nothing, and nothing is
            split.
        weight: default lambda.
        rate: default peak learning rate of the network.
        betas: of its optimiser.
        decay: its weight decay.
        cycles: whether the first beta falls while the rate rises (Smith and Topin).
        warm_up: default share of the steps with cross-entropy alone.
        critic_steps: default critic steps per network step; None without a critic.
        critic_rate: default learning rate of the critics.
        least: images per step that it needs.
    """

    summary: str
    make: Callable[..., "Penalty"] | None = None
    weight: float = 0.0
    rate: float = 3e-3
    betas: tuple[float, float] = (0.9, 0.999)
    decay: float = 0.05
    cycles: bool = True
    warm_up: float = 0.0
    critic_steps: int | None = None
    critic_rate: float | None = None
    least: int = 2


_BUILT_IN = {
    "erm": Objective(summary="nothing"),
    "wasserstein": Objective(
        summary="the paper's Wasserstein critics",
        make=_wasserstein,
        weight=1.0,
        rate=5e-3,  # with these betas, the paper's Adam
        betas=(0.0, 0.9),
        decay=0.0,
        cycles=False,
        warm_up=0.02,  # 2,000 of 100,000 steps
        critic_steps=4,
        critic_rate=5e-3,
    ),
    "adversarial": Objective(summary="gradient reversal", make=_adversarial, weight=1.0),
    "hsic": Objective(summary="kernel dependence", make=_hsic, weight=10.0, least=4),
    "mine": Objective(
        summary="mutual information from below", make=_mine, weight=0.1, critic_steps=4, critic_rate=1e-3
    ),
    "club": Objective(
        summary="mutual information from above", make=_club, weight=0.1, critic_steps=4, critic_rate=1e-3
    ),
}
OBJECTIVES: PluginTable[Objective] = PluginTable("d3s.objectives", "objective", _BUILT_IN, Objective)
