"""The training loop: random views, one optimiser step after the other. Torch half, imported when it runs."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from d3s_dataset.command import progress
from d3s_dataset.errors import ModelError

if TYPE_CHECKING:
    import torch

_SMOOTHING = 0.1
_WEIGHT_DECAY = 0.05
_WARM_UP = 0.2  # share of the steps in which the rate rises
COLOURS = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}  # ImageNet's, as in most of timm


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to train. `size` is the side of a training view in pixels, `rate` the peak learning rate."""

    model: str
    objective: str = "erm"
    epochs: int = 12
    size: int = 112
    batch_size: int = 32
    rate: float = 3e-3
    seed: int = 0


def fit(
    network: "torch.nn.Module",
    pixels: "torch.Tensor",
    labels: "torch.Tensor",
    settings: Settings,
    device: "torch.device",
    report: Callable[[str], None],
) -> None:
    """Train a network in place by empirical risk minimisation: plain cross-entropy on the foreground label.

    AdamW on one cycle (Smith and Topin, arXiv 1708.07120), label smoothing 0.1, random views (`augment`).

    Args:
        network: (b, 3, size, size) float to (b, classes) logits.
        pixels: (n, 3, side, side) uint8.
        labels: (n,) int64.
        settings: how.
        device: where.
        report: called with a line after every epoch.

    Raises:
        ModelError: a loss that is not finite.
    """
    import torch
    from timm.optim import create_optimizer_v2  # pyright: ignore[reportPrivateImportUsage] - documented, no __all__

    network.train().to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    optimizer = create_optimizer_v2(network, opt="adamw", lr=settings.rate, weight_decay=_WEIGHT_DECAY)
    steps = max(1, len(labels) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.rate, total_steps=settings.epochs * steps, pct_start=_WARM_UP
    )
    generator = torch.Generator().manual_seed(settings.seed)
    with progress(total=settings.epochs * steps, label="train", unit="step") as bar:
        for epoch in range(1, settings.epochs + 1):
            began = time.monotonic()
            order = torch.randperm(len(labels), generator=generator)
            loss, right = 0.0, 0.0
            for rows in order.tensor_split(steps):
                batch = pixels[rows].to(device), labels[rows].to(device)
                each = _step(network, batch, optimizer, settings.size, generator)
                schedule.step()
                loss, right = loss + each[0] / steps, right + each[1] / len(labels)
                bar.update()
            if not np.isfinite(loss):
                raise ModelError(f"the loss of {settings.model} is not finite in epoch {epoch}: lower --lr")
            spent = time.monotonic() - began
            report(f"epoch {epoch}/{settings.epochs}: loss {loss:.3f}, top-1 {right:.3f} on augmented, {spent:.1f} s")


def _step(
    network: "torch.nn.Module",
    batch: tuple["torch.Tensor", "torch.Tensor"],
    optimizer: "torch.optim.Optimizer",
    size: int,
    generator: "torch.Generator",
) -> tuple[float, int]:
    """Take one optimiser step; return the loss in nats and how many images were right."""
    import torch
    from torch.nn import functional

    from benchmark.augment import augment
    from benchmark.forward import autocast, trains_in_bf16

    pixels, labels = batch
    mean, std = (torch.tensor(COLOURS[name], device=pixels.device).view(3, 1, 1) for name in ("mean", "std"))
    views = ((augment(pixels, size, generator) - mean) / std).contiguous(memory_format=torch.channels_last)
    with autocast(pixels.device, "bf16" if trains_in_bf16(pixels.device) else "fp32"):
        logits = network(views).float()
    loss = functional.cross_entropy(logits, labels, label_smoothing=_SMOOTHING)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.item(), int((logits.argmax(1) == labels).sum())
