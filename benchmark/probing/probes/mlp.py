"""A normalised network with two hidden layers as a probe: what a reader that is not linear finds in features.

Torch half. Batch norm, dropout of a half and label smoothing of 0.1, trained by AdamW. The learning rate falls where
the loss on held-out rows no longer does: training goes back to the best weights and on at a tenth of the rate, and ends
where that does not help either. Width and first rate come from a small grid. Deterministic by a seed on one device; the
library's own random state is never touched.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from benchmark.probing.probes.base import Choice, Fitted, Labelled, Reader, calibrate, one_by_one

if TYPE_CHECKING:
    from jaxtyping import Float, Int

GRID = ((1024, 3e-3), (256, 1e-2))  # hidden width, first rate
EPOCHS = 200  # at most, of all rates together
PATIENCE = 8  # epochs without a better loss on held-out rows, at each rate
FALLS = 1  # how often the rate falls
_FALL, _BATCH, _DECAY = 0.1, 128, 1e-2
_DROP, _SMOOTHING = 0.5, 0.1
_BETTER = 1e-3  # nats that count


@dataclass(frozen=True, eq=False)
class Trained:
    """A network, its held-out loss (NaN: none was requested), each epoch's rate, and whether it ended by itself."""

    network: nn.Module
    loss: float
    rates: tuple[float, ...]
    stopped: bool

    def logits(self, features: Float[torch.Tensor, "m d"]) -> Float[torch.Tensor, "m k"]:
        """Return the (m, k) logits of (m, d) features."""
        with torch.inference_mode():
            return self.network.eval()(features)


def search(learn: Labelled, held: Labelled, classes: int, seed: int, width: int, rate: float) -> Trained:
    """Train until the loss on held-out rows no longer falls at the lowest rate, with the best weights restored.

    Args:
        learn: (n, d) float32 standardised features and (n,) int64 labels in 0..classes-1.
        held: the same of held-out rows.
        classes: k.
        seed: of weights, order and dropout.
        width: of both hidden layers.
        rate: the first.
    """
    training = _Training(*learn, classes, seed, width)
    best, kept, path, made = float("inf"), training.state(), [], 0
    for each in (rate * _FALL**fall for fall in range(FALLS + 1)):
        training.begin(each, kept)
        path, since = list(path), 0
        run = list(path)
        while since < PATIENCE and made < EPOCHS:
            training.epoch()
            run, made, since = [*run, each], made + 1, since + 1
            loss = float(functional.cross_entropy(training.logits(held[0]), held[1]))
            if loss < best - _BETTER:
                best, kept, path, since = loss, training.state(), run, 0
        if since < PATIENCE:
            return Trained(training.network(kept), best, tuple(path), stopped=False)
    return Trained(training.network(kept), best, tuple(path), stopped=True)


def follow(rows: Labelled, classes: int, seed: int, width: int, rates: Sequence[float]) -> Trained:
    """Train with a known rate for every epoch; see `search`."""
    training = _Training(*rows, classes, seed, width)
    for rate, same in groupby(rates):
        training.begin(rate, None)
        for _ in same:
            training.epoch()
    return Trained(training.network(None), float("nan"), tuple(rates), stopped=True)


class _Dropout(nn.Module):
    """Dropout by a generator of its own."""

    def __init__(self, draw: torch.Generator) -> None:
        super().__init__()
        self.draw = draw

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return values
        return values * torch.empty_like(values).bernoulli_(1 - _DROP, generator=self.draw) / (1 - _DROP)


class _Training:
    """One network and its optimiser on some rows."""

    def __init__(
        self,
        features: Float[torch.Tensor, "n d"],
        labels: Int[torch.Tensor, " n"],
        classes: int,
        seed: int,
        width: int,
    ) -> None:
        self.features, self.labels = features, labels
        self.draw = torch.Generator().manual_seed(seed)
        dropout = torch.Generator(features.device).manual_seed(seed)
        self.model = _network(features.shape[1], classes, width, self.draw, dropout).to(features.device)

    def begin(self, rate: float, state: dict[str, torch.Tensor] | None) -> None:
        """Go on from a state, or from here, at another rate."""
        if state is not None:
            self.model.load_state_dict(state)
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=rate, weight_decay=_DECAY)

    def epoch(self) -> None:
        self.model.train()
        for rows in self._batches():
            self.optimiser.zero_grad()
            logits = self.model(self.features[rows])
            functional.cross_entropy(logits, self.labels[rows], label_smoothing=_SMOOTHING).backward()
            self.optimiser.step()

    def _batches(self) -> Iterator[torch.Tensor]:
        order = torch.randperm(len(self.labels), generator=self.draw).to(self.features.device)
        yield from order.tensor_split(max(1, len(order) // _BATCH))  # alike in size: batch norm needs some rows in each

    def logits(self, rows: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return self.model.eval()(rows)

    def state(self) -> dict[str, torch.Tensor]:
        return copy.deepcopy(self.model.state_dict())

    def network(self, state: dict[str, torch.Tensor] | None) -> nn.Module:
        if state is not None:
            self.model.load_state_dict(state)
        return self.model


def _network(size: int, classes: int, width: int, draw: torch.Generator, dropout: torch.Generator) -> nn.Module:
    layers: list[nn.Module] = []
    for _ in range(2):
        layers += [_layer(size, width, draw), nn.BatchNorm1d(width), nn.ReLU(), _Dropout(dropout)]
        size = width
    return nn.Sequential(*layers, _layer(size, classes, draw))


def _layer(size: int, width: int, draw: torch.Generator) -> nn.Linear:
    # Made without numbers, so that the library's random state stays.
    layer = nn.Linear(size, width, device="meta").to_empty(device="cpu")
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", generator=draw)
    nn.init.zeros_(layer.bias)
    return layer


def mlp(learn: Labelled, held: Labelled, whole: Labelled, classes: int, seed: int) -> Fitted:
    """Fit it; see `base.Fit`. `again` trains with the width and rates chosen here: the grid is not searched again."""
    tried = [(width, search(learn, held, classes, seed, width, rate)) for width, rate in GRID]
    width, found = min(tried, key=lambda each: each[1].loss)
    kept = found.logits(held[0])
    loss, temperature = calibrate(kept, held[1])
    epochs = len(found.rates)
    ending = f"held-out loss {found.loss:.3f} at epoch {epochs}, {'' if found.stopped else 'still '}the lowest"
    choice = Choice(f"width {width}, {epochs} epochs", loss, temperature, found.stopped, ending)

    def fitted(rows: Labelled) -> Reader:
        return follow(rows, classes, seed, width, found.rates).logits

    return Fitted(choice, kept, fitted(whole), one_by_one(fitted))
