"""A neck: a linear map of frozen features, cut in two parts and trained under an objective as a backbone is.

Torch half. Cheap enough for a sweep; it shows what an objective can take out of features that are already there.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmark.models.training_record import Partition
from benchmark.training.batches import paired_order
from benchmark.training.config import NECK
from benchmark.training.network import PAPER
from benchmark.training.objectives.penalty import sides
from benchmark.training.objectives.registry import OBJECTIVES, check_paired
from d3s_dataset.errors import ModelError

STEPS = 400
_BATCH, _RATE = 128, 1e-2
# Foreground photos x images of each in a batch, for an objective that compares those of one photo. Many photos: the
# covariance of features that are invariant has the rank of their number.
PAIRED = (40, 4)


@dataclass(frozen=True, eq=False)
class Labelled:
    """(n, d) float32 features, (n,) labels in 0..k-1, and (2, n) codes of the foreground and background photos."""

    features: np.ndarray
    foreground: np.ndarray
    background: np.ndarray
    sources: np.ndarray


class Neck(nn.Module):
    """A linear map of standardised features to `width` of them, with a linear head on each part."""

    def __init__(self, features: np.ndarray, classes: int, backgrounds: int, width: int) -> None:
        super().__init__()
        given = features.shape[1]
        if given < width:
            raise ModelError(f"{given} features are too few for a neck of {width}: expected a model with that many")
        foreground_width = round(width * PAPER.foreground / PAPER.size)
        if foreground_width in (0, width):
            raise ModelError(f"a neck of {width} features cannot be cut in two parts: expected more")
        self.partition = Partition(foreground=foreground_width, background=width - foreground_width)
        scale = features.std(0)
        scale[scale == 0] = 1
        self.register_buffer("mean", torch.from_numpy(features.mean(0)))
        self.register_buffer("scale", torch.from_numpy(scale))
        self.map = nn.Linear(given, width)
        self.foreground_head = nn.Linear(foreground_width, classes)
        self.background_head = nn.Linear(width - foreground_width, backgrounds)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the mapped features, (n, width)."""
        return self.map((features - self.mean) / self.scale)  # pyright: ignore[reportOperatorIssue]

    def part(self, features: np.ndarray, name: str) -> np.ndarray:
        """Return one part of mapped features."""
        with torch.inference_mode():
            return self(torch.tensor(features))[:, self.partition.columns(name)].numpy()

    def told(self, features: np.ndarray) -> np.ndarray:
        """Return the foreground label predicted by the neck's own head."""
        with torch.inference_mode():
            return self.foreground_head(torch.from_numpy(self.part(features, "foreground"))).argmax(1).numpy()


def train(rows: Labelled, objective: str, weight: float, seed: int, width: int = NECK) -> Neck:
    """Train a neck; library-wide random state is left as it was.

    Cross-entropy on both labels, and the objective's penalty times lambda; Adam on one cycle up to 1e-2.

    Args:
        rows: to learn from.
        objective: a key of `OBJECTIVES` with a penalty.
        weight: lambda.
        seed: of first weights, order and the penalty's draws.
        width: features of the neck, both parts together.

    Raises:
        ModelError: fewer features than that, or too few to be cut.
        ReleaseError: an objective that compares images of one photo where none is in two.
    """
    recipe = OBJECTIVES[objective]
    assert recipe.make is not None
    check_paired(objective, *rows.sources)
    counts = int(rows.foreground.max()) + 1, int(rows.background.max()) + 1
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        neck = Neck(rows.features, *counts, width)
        penalty = recipe.make(neck.partition, counts, seed, **recipe.options)
        optimizer = torch.optim.Adam([*neck.parameters(), *penalty.joint()], lr=_RATE, betas=recipe.betas)
        tensors = [torch.tensor(each) for each in (rows.features, rows.foreground, rows.background)]
        sources = torch.tensor(rows.sources)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=STEPS, cycle_momentum=False)
        batches = _batches(sources, torch.Generator().manual_seed(seed), paired=recipe.per_photo is not None)
        for step in range(STEPS):
            chosen = next(batches)
            features, foreground, background = (each[chosen] for each in tensors)
            both = sides(neck.partition, neck(features), foreground, background, sources[:, chosen])
            loss = functional.cross_entropy(neck.foreground_head(both[0].features), foreground)
            loss = loss + functional.cross_entropy(neck.background_head(both[1].features), background)
            penalty.learn(both)
            loss = loss + penalty(both, weight, step / STEPS)[0]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return neck.eval()


def _batches(sources: torch.Tensor, generator: torch.Generator, *, paired: bool) -> Iterator[torch.Tensor]:
    """Yield the rows of each batch without end: drawn at random, or epochs of `paired_order`."""
    count = sources.shape[1]
    while not paired:
        yield torch.randint(count, (_BATCH,), generator=generator)
    photos, images = PAIRED
    while True:
        order = paired_order(sources, photos, generator)
        yield from order.tensor_split(max(1, count // (photos * images)))
