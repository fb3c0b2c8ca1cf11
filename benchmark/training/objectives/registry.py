"""The objectives of training, as data: what each adds to cross-entropy, and its recipe.

Needs no torch before a penalty is made. Numbers of the paper are those of arXiv 2211.10370 and its authors' code; it
trains 100,000 steps, so its schedule is kept in shares.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.models.training_record import Partition
from d3s_dataset.errors import ReleaseError
from d3s_dataset.utils.plugins import PluginTable

if TYPE_CHECKING:
    from jaxtyping import Int

    from benchmark.training.objectives.penalty import Penalty


def _wasserstein(partition: Partition, labels: tuple[int, int], seed: int, **critic: Any) -> Penalty:
    from benchmark.training.objectives.wasserstein import Wasserstein

    return Wasserstein(partition, labels, seed, **critic)


def _adversarial(partition: Partition, labels: tuple[int, int], seed: int, **readers: Any) -> Penalty:
    from benchmark.training.objectives.adversarial import Adversary

    return Adversary(partition, labels, seed, **readers)


def _hsic(partition: Partition, labels: tuple[int, int], seed: int) -> Penalty:
    from benchmark.training.objectives.hsic import Dependence

    return Dependence(partition, labels, seed)


def _mine(partition: Partition, labels: tuple[int, int], seed: int, **critic: Any) -> Penalty:
    from benchmark.training.objectives.mutual_information import Mine

    return Mine(partition, labels, seed, **critic)


def _club(partition: Partition, labels: tuple[int, int], seed: int, **critic: Any) -> Penalty:
    from benchmark.training.objectives.mutual_information import Club

    return Club(partition, labels, seed, **critic)


def _pair(partition: Partition, labels: tuple[int, int], seed: int) -> Penalty:
    from benchmark.training.objectives.pair import Pair

    return Pair(partition, labels, seed)


OPTIONS = ("critic_steps", "critic_rate", "critic_input", "readers")  # of an objective, which its penalty is made with


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Recipe of one training objective.

    Attributes:
        summary: what it adds to cross-entropy on the foreground label.
        make: (partition, numbers of labels, seed, critic's settings) to its penalty; None adds nothing, and nothing is
            split.
        weight: default lambda.
        background_gradient: default share of the background part's gradient that reaches the network.
        rate: default peak learning rate of the network.
        betas: of its optimiser.
        decay: its weight decay.
        cycles: whether the first beta falls while the rate rises (Smith and Topin).
        warm_up: default share of the steps with cross-entropy alone.
        critic_steps: default critic steps per network step; None without a critic.
        critic_rate: default learning rate of the critics.
        critic_input: default features that critics or readers see, `raw` or `normalised`; None where neither is meant.
        readers: default number of readers per part; None without readers.
        least: images per step that it needs.
        per_photo: default number of images of a foreground photo per step, for a penalty that compares them; None
            where the order of images does not matter.
    """

    summary: str
    make: Callable[..., Penalty] | None = None
    weight: float = 0.0
    background_gradient: float = 1.0
    rate: float = 3e-3
    betas: tuple[float, float] = (0.9, 0.999)
    decay: float = 0.05
    cycles: bool = True
    warm_up: float = 0.0
    critic_steps: int | None = None
    critic_rate: float | None = None
    critic_input: str | None = None
    readers: int | None = None
    least: int = 2
    per_photo: int | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The default settings that `make` takes beside partition, labels and seed."""
        return {name: getattr(self, name) for name in OPTIONS if getattr(self, name) is not None}


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
        critic_input="raw",
    ),
    "adversarial": Objective(
        summary="gradient reversal", make=_adversarial, weight=1.0, critic_input="normalised", readers=4
    ),
    "hsic": Objective(summary="kernel dependence", make=_hsic, weight=1.0, least=4),
    "mine": Objective(
        summary="mutual information from below", make=_mine, weight=0.1, critic_steps=4, critic_rate=1e-3
    ),
    "club": Objective(
        summary="mutual information from above", make=_club, weight=0.1, critic_steps=4, critic_rate=1e-3
    ),
    "pair": Objective(
        summary="invariance of a photo's features over what it is composed with",
        make=_pair,
        weight=30.0,
        background_gradient=0.05,  # at 1 the background part fills the layers that both share with the background
        least=4,
        per_photo=4,
    ),
}
OBJECTIVES: PluginTable[Objective] = PluginTable("d3s.objectives", "objective", _BUILT_IN, Objective)


def check_paired(
    objective: str, foreground_source: Int[np.ndarray, " n"], background_source: Int[np.ndarray, " n"]
) -> None:
    """Raise ReleaseError if an objective compares images of one foreground photo and no photo is in two of them.

    Args:
        objective: a key of `OBJECTIVES`.
        foreground_source: (n,) codes of foreground photos, -1 where an image uses none.
        background_source: (n,) codes of background photos.
    """
    if OBJECTIVES[objective].per_photo is None:
        return
    known = (foreground_source >= 0) & (background_source >= 0)
    pairs = np.unique(np.stack([foreground_source, background_source])[:, known], axis=1)
    if np.unique(pairs[0], return_counts=True)[1].max(initial=0) < 2:
        raise ReleaseError(
            f"no foreground photo of the training images stands on two background photos, whose features {objective} "
            "compares: expected a release that shows a photo on several backgrounds, or another --objective"
        )
