"""Where a model looks, by occlusion: which share of the drop of its answer's probability lies on the object.

Occlusion sensitivity (Zeiler & Fergus, ECCV 2014, section 4.2): one cell of a grid over the image is covered at a time,
and the fall of the probability of the model's own answer is what that cell is worth. Pure functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics.compute import sample_of
from benchmark.metrics.groups import by_background
from benchmark.metrics.intervals import difference_intervals
from benchmark.metrics.statistics import doubts, photos_of_all
from benchmark.schemas.experiments import Attribution
from benchmark.schemas.predictions import Predictions, take

if TYPE_CHECKING:
    from jaxtyping import Float, Int

ALL = "all images"


def cells_on(box: Int[np.ndarray, " 4"], size: tuple[int, int], grid: int) -> Float[np.ndarray, "grid grid"]:
    """Return which share of each cell's area lies in a box.

    Args:
        box: left, top, right, bottom in pixels; right and bottom are outside.
        size: width and height of the image in pixels.
        grid: cells per side.
    """
    width, height = size
    return np.outer(_covered(box[1], box[3], height, grid), _covered(box[0], box[2], width, grid))


def _covered(low: int, high: int, length: int, grid: int) -> np.ndarray:
    """Return which share of each cell of one side lies between two ends, (grid,)."""
    ends = np.linspace(0, length, grid + 1)
    inside = np.clip(np.minimum(ends[1:], high) - np.maximum(ends[:-1], low), 0, None)
    return inside / (length / grid)


def share_on_object(drop: Float[np.ndarray, "grid grid"], on: Float[np.ndarray, "grid grid"]) -> float:
    """Return the share of an answer's drop that lies on the object; NaN where covering no cell lowers it.

    Args:
        drop: the fall of the probability where each cell is covered; a rise counts as none.
        on: `cells_on` of the object's box. A drop is spread evenly over its cell.
    """
    fall = np.clip(drop, 0, None)
    total = float(fall.sum())
    return float((fall * on).sum() / total) if total > 0 else float("nan")


def attributions(
    shares: Float[np.ndarray, " n"],
    areas: Float[np.ndarray, " n"],
    images: Predictions,
    backgrounds: Sequence[str],
) -> dict[str, Attribution]:
    """Return the mean share of the drop on the object, on each background and on all images (`all images`, last).

    Args:
        shares: (n,) `share_on_object`; images with NaN are left out and counted.
        areas: (n,) share of the image's area that the box covers: what a model that looks everywhere alike gives.
        images: the n images, whose photos the intervals resample.
        backgrounds: the release's background names in label order.
    """
    known = np.flatnonzero(~np.isnan(shares))
    shares, areas, kept = shares[known], areas[known], take(images, known)
    lacking = np.bincount(np.delete(images.background, known), minlength=len(backgrounds))
    groups = by_background(kept, backgrounds)
    found = difference_intervals(shares, sample_of(kept, groups)) if len(kept) else None
    answer: dict[str, Attribution] = {}
    for place, name in enumerate([*groups.names, ALL]):
        rows = groups.labels == place if name != ALL else np.ones(len(kept), dtype=bool)
        n, low, high = int(rows.sum()), float("nan"), float("nan")
        why: list[str] = []
        if found is not None and n:
            low, high = (float(np.clip(end[place], 0, 1)) for end in (found.low, found.high))
            size, n_foregrounds, n_backgrounds = (
                photos_of_all(found.photos) if name == ALL else found.photos[:, place].tolist()
            )
            why = doubts(size, n_foregrounds, n_backgrounds, 0.5)
        answer[name] = Attribution(
            n=n,
            undefined=int(lacking.sum() if name == ALL else lacking[place]),
            share=float(shares[rows].mean()) if n else None,
            ci95=(low, high),
            area=float(areas[rows].mean()) if n else None,
            doubts=why,
        )
    return answer
