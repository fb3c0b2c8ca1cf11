"""A small network with two hidden layers as a probe: what a reader that is not linear finds in features.

Torch half. Deterministic by a seed on one device; the library's own random state is never touched.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from benchmark.probing.probes.base import Choice, Labelled, Reader, calibrate

if TYPE_CHECKING:
    from jaxtyping import Float, Int

HIDDEN = (512, 512)
EPOCHS = 200  # at most
PATIENCE = 8  # epochs without a better loss on held-out rows
_BATCH, _RATE, _DECAY = 256, 1e-3, 1e-2
_BETTER = 1e-3  # nats that count


@dataclass(frozen=True, eq=False)
class Trained:
    """A network, its held-out loss (NaN: none was requested), after how many epochs, and whether that was the best."""

    network: nn.Module
    loss: float
    epochs: int
    stopped: bool

    def logits(self, features: Float[torch.Tensor, "m d"]) -> Float[torch.Tensor, "m k"]:
        """Return the (m, k) logits of (m, d) features."""
        with torch.inference_mode():
            return self.network(features)


def train(
    features: Float[torch.Tensor, "n d"],
    labels: Int[torch.Tensor, " n"],
    classes: int,
    seed: int,
    held: tuple[Float[torch.Tensor, "h d"], Int[torch.Tensor, " h"]] | None = None,
    epochs: int | None = None,
) -> Trained:
    """Train by AdamW; with held-out rows until their loss no longer falls, and then with the best weights restored.

    Args:
        features: (n, d) float32, standardised.
        labels: (n,) int64 in 0..classes-1.
        classes: k.
        seed: of weights and order.
        held: features and labels of held-out rows; without, all `epochs` are made.
        epochs: at most so many; `EPOCHS` without.
    """
    epochs = epochs or EPOCHS
    draw = torch.Generator().manual_seed(seed)
    network = _network(features.shape[1], classes, draw).to(features.device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_DECAY)
    best, kept, at = float("inf"), copy.deepcopy(network.state_dict()), 0
    for epoch in range(1, epochs + 1):
        for rows in torch.randperm(len(labels), generator=draw).to(features.device).split(_BATCH):
            optimiser.zero_grad()
            functional.cross_entropy(network(features[rows]), labels[rows]).backward()
            optimiser.step()
        if held is None:
            continue
        with torch.inference_mode():
            loss = float(functional.cross_entropy(network(held[0]), held[1]))
        if loss < best - _BETTER:
            best, kept, at = loss, copy.deepcopy(network.state_dict()), epoch
        elif epoch - at >= PATIENCE:
            break
    if held is None:
        return Trained(network, float("nan"), epochs, stopped=True)
    network.load_state_dict(kept)
    return Trained(network, best, at, stopped=at + PATIENCE <= epochs)


def _network(size: int, classes: int, draw: torch.Generator) -> nn.Module:
    layers: list[nn.Module] = []
    for width in HIDDEN:
        layers += [_layer(size, width, draw), nn.ReLU()]
        size = width
    return nn.Sequential(*layers, _layer(size, classes, draw))


def _layer(size: int, width: int, draw: torch.Generator) -> nn.Linear:
    # Made without numbers, so that the library's random state stays.
    layer = nn.Linear(size, width, device="meta").to_empty(device="cpu")
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", generator=draw)
    nn.init.zeros_(layer.bias)
    return layer


def mlp(learn: Labelled, held: Labelled, whole: Labelled, classes: int, seed: int) -> tuple[Choice, Reader]:
    """Fit it; see `base.Fit`."""
    found = train(*learn, classes, seed, held)
    loss, temperature = calibrate(found.logits(held[0]), held[1])
    epochs = max(1, found.epochs)
    ending = f"held-out loss {found.loss:.3f} at epoch {found.epochs}, {'' if found.stopped else 'still '}the lowest"
    again = train(*whole, classes, seed, epochs=epochs)
    return Choice(f"{epochs} epochs", loss, temperature, found.stopped, ending), again.logits
