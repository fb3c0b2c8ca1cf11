"""Retention of the object in features: its nearest neighbour on another background, and the model's own head.

Torch half. Leakage alone can be minimised trivially by destroying all information, or all but the model's own
prediction, which leaves the accuracy of its head as it was. These two numbers show either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from benchmark.inference.features import Features
from benchmark.probing.leakage import share
from benchmark.schemas.experiments import Kept

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

_CHUNK = 1024  # rows compared with all others at once


def kept(
    features: Features, part: str, values: Float[np.ndarray, "n d"], rows: Int[np.ndarray, " m"], device: str = "cpu"
) -> Kept:
    """Return what some rows keep.

    Args:
        features: labels, photos and head.
        part: `all`, `foreground` or `background`: which columns the neighbour is looked for in.
        values: (n, d) all columns, raw or erased.
        rows: (m,) numbers of the rows: photos that no eraser was fitted on.
        device: where.
    """
    right = same_photo(values[np.ix_(rows, columns(features, part))], *_photos(features, rows), device)
    head = None
    if features.head is not None:
        best = features.head(values[rows]).argmax(1)
        head = share(best == features.foreground[rows], features, rows)
    return Kept(features=part, recall=share(right, features, rows), head=head)


def columns(features: Features, part: str) -> Int[np.ndarray, " columns"]:
    """Return the numbers of the columns of a part."""
    every = np.arange(features.values.shape[1])
    return every if part == "all" or features.partition is None else every[features.partition.columns(part)]


def same_photo(
    values: Float[np.ndarray, "m d"],
    photo: Int[np.ndarray, " m"],
    background: Int[np.ndarray, " m"],
    device: str = "cpu",
) -> Bool[np.ndarray, " m"]:
    """Return (m,) bool: of the rows on another background the one most alike (cosine) shows the same photo.

    Args:
        values: (m, d).
        photo: (m,) codes of foreground photos.
        background: (m,) labels.
        device: where.
    """
    rows = functional.normalize(torch.as_tensor(values, dtype=torch.float32, device=device), dim=1)
    backgrounds = torch.as_tensor(background, device=device)
    best = [
        (part @ rows.T).masked_fill_(own[:, None] == backgrounds, -2.0).argmax(1)
        for part, own in zip(rows.split(_CHUNK), backgrounds.split(_CHUNK), strict=True)
    ]
    return photo[torch.cat(best).cpu().numpy()] == photo


def _photos(features: Features, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return features.foreground_source[rows], features.background[rows]
