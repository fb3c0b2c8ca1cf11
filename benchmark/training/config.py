"""Hyperparameters of training. Needs no torch."""

from dataclasses import dataclass


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
        foreground_features: number of pooled features for the foreground; None for the paper's share of them.
        warm_up: share of the steps with cross-entropy alone.
        critic_steps: critic steps per network step; None without a critic.
        critic_rate: learning rate of the critics.
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
    foreground_features: int | None = None
    warm_up: float = 0.0
    critic_steps: int | None = None
    critic_rate: float | None = None
    precision: str = "auto"
