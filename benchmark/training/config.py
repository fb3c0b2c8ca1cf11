"""Hyperparameters of training. Needs no torch."""

from dataclasses import dataclass, field
from typing import Any

# Features of a neck. A map that keeps all dimensions can be undone, however small it makes some of them: then nothing
# is lost to a probe that is scaled and run to convergence.
NECK = 32


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of a training.

    Attributes:
        model: timm's name.
        objective: a key of `objectives.OBJECTIVES`.
        epochs: passes over the images of the release.
        size: side of a training view in pixels.
        batch_size: images per step.
        rate: peak learning rate of the network.
        seed: of first weights, order, views and the penalty's draws.
        weight: lambda, the penalty weight.
        background_gradient: share of the background part's gradient that reaches the network.
        foreground_features: number of pooled features for the foreground; None for the paper's share of them.
        warm_up: share of the steps with cross-entropy alone.
        critic_steps: critic steps per network step; None without a critic.
        critic_rate: learning rate of the critics.
        critic_input: features that critics or readers see, `raw` or `normalised`; None where neither is meant.
        readers: readers per part of the features; None without readers.
        per_photo: images of a foreground photo per step; None: images in any order.
        freeze: stages of the network that are not trained, the stem first.
        freeze_statistics: batch norm keeps its running statistics.
        kwargs: arguments of the model, such as `pad_type`.
        precision: of the passes through the network: `fp32`, `bf16` (autocast), or `auto`, bf16 where the device has
            units for its backward pass too.
    """

    model: str
    objective: str = "erm"
    epochs: int = 12
    size: int = 112
    batch_size: int = 32
    rate: float = 3e-3
    seed: int = 0
    weight: float = 0.0
    background_gradient: float = 1.0
    foreground_features: int | None = None
    warm_up: float = 0.0
    critic_steps: int | None = None
    critic_rate: float | None = None
    critic_input: str | None = None
    readers: int | None = None
    per_photo: int | None = None
    freeze: int = 0
    freeze_statistics: bool = False
    kwargs: dict[str, Any] = field(default_factory=dict)
    precision: str = "auto"
