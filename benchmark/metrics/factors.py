"""Groups by size and place of the object, and failure points over levels of severity: what a release varies by plan.

Bins are the planned values where they are few, as of a grid, and terciles of drawn ones else, so that every bin holds
images enough for an interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics.groups import Groups
from benchmark.metrics.intervals import Sample, accuracy_intervals
from benchmark.schemas.predictions import Predictions
from benchmark.schemas.text import codes, stored

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

NO_ROOM = "no room"  # the place of an object that fills the image
_FEW = 8  # different values that are a grid
_BINS = 3


def binned(values: Float[np.ndarray, " n"]) -> Groups:
    """Group images by a value in [0, 1], ascending; NaN is the last group, where there is one.

    Args:
        values: (n,), compared with two decimals: whole pixels move planned ones by less.
    """
    exact = np.round(values.astype(np.float64), 2)
    known = ~np.isnan(exact)
    grid = np.unique(exact[known])
    if len(grid) <= _FEW:
        labels, names = np.searchsorted(grid, exact), [f"{each:.2f}" for each in grid]
    else:
        edges = np.unique(np.round(np.quantile(exact[known], np.arange(_BINS + 1) / _BINS), 2))
        labels = np.clip(np.searchsorted(edges, exact, side="right") - 1, 0, len(edges) - 2)
        names = [f"{low:.2f} to {high:.2f}" for low, high in pairwise(edges)]
    labels = np.where(known, labels, len(names))
    return Groups(labels.astype(np.int64), tuple(names if known.all() else [*names, NO_ROOM]))


def by_level(severity: Float[np.ndarray, " n"]) -> tuple[Groups, Float[np.ndarray, " levels"]]:
    """Group images by level of severity, ascending; returns the levels too."""
    levels, labels = np.unique(severity, return_inverse=True)
    return Groups(labels.reshape(-1).astype(np.int64), tuple(f"{each:g}" for each in levels)), levels


@dataclass(frozen=True, eq=False)
class Ladders:
    """l ladders with an image at each of k levels, each a photo of an object on a background photo.

    `first` is (l,) int, the place of the lowest level that is wrong among the k, k where none is: the failure point
    then lies beyond the greatest level (censored). `sample` holds the ladders' photos, grouped by background;
    `incomplete` counts ladders that lack a level, which are left out.
    """

    first: Int[np.ndarray, " l"]
    sample: Sample
    levels: int
    incomplete: int

    def censored(self, group: Int[np.ndarray, " l"], groups: int) -> Int[np.ndarray, " groups"]:
        """Return how many ladders of each group are right at every level."""
        return np.bincount(group[self.first == self.levels], minlength=groups)


def ladders(predictions: Predictions, right: Bool[np.ndarray, " n"], levels: Groups, backgrounds: int) -> Ladders:
    """Return the failure points of images that are joined in ladders.

    Args:
        predictions: with `ladder`.
        right: (n,) bool, whether the answer is right.
        levels: the images by level of severity.
        backgrounds: how many there are.
    """
    ladder, k = codes(stored(predictions, "ladder")), len(levels)
    order = np.lexsort((levels.labels, ladder))
    names, start, size = np.unique(ladder[order], return_index=True, return_counts=True)
    # A level stands once in a ladder (d3s_dataset.check), so that k images are all levels.
    whole = size == k
    rows = order[start[whole][:, None] + np.arange(k)] if whole.any() else np.zeros((0, k), dtype=np.int64)
    wrong = ~right[rows]
    first = np.where(wrong.any(1), wrong.argmax(1), k)
    background = predictions.background[rows[:, 0]]
    names_of = ("foreground_source", "background_source")
    photo, scene = (codes(stored(predictions, name))[rows[:, 0]] for name in names_of)
    mixes = np.bincount(background, minlength=backgrounds)[None].astype(np.float64)
    sample = Sample(photo, scene, background, background, backgrounds, mixes)
    return Ladders(first, sample, k, len(names) - int(whole.sum()))


@dataclass(frozen=True, eq=False)
class Failures:
    """Of g groups of ladders at k levels: (g,) `n` and `censored`; (g, k) share `failed` at or below, `low`, `high`."""

    n: Int[np.ndarray, " g"]
    censored: Int[np.ndarray, " g"]
    failed: Float[np.ndarray, "g k"]
    low: Float[np.ndarray, "g k"]
    high: Float[np.ndarray, "g k"]

    def median(self, group: int) -> tuple[int | None, int | None, int | None]:
        """Return the place of the median failure point among the levels, and its interval's ends; None: beyond them.

        It is the lowest level at or below which half of the ladders fail; its 95 % interval has the levels at which
        the interval of that share contains one half (Brookmeyer & Crowley, Biometrics 38, 1982).
        """
        ends = (self.failed[group], self.high[group], self.low[group])
        found = [np.flatnonzero(each >= 0.5) for each in ends]
        mean, low, high = (int(each[0]) if len(each) else None for each in found)
        return mean, low, high


def failures(found: Ladders, groups: int) -> Failures:
    """Return how many ladders fail by each level, with intervals clustered over photos.

    Args:
        found: the ladders, in their sample's groups.
        groups: how many.
    """
    k, sample = found.levels, found.sample
    rows = np.repeat(np.arange(len(found.first)), k)
    level = np.tile(np.arange(k), len(found.first))
    failed = found.first[rows] <= level
    photo, scene, background = (
        each[rows] for each in (sample.foreground_source, sample.background_source, sample.background)
    )
    n, group = np.bincount(sample.group, minlength=groups), sample.group[rows] * k + level
    if not len(rows):
        none = np.full((groups, k), np.nan)
        return Failures(n, n, none, none, none)
    sizes = np.bincount(group, minlength=groups * k)[None].astype(np.float64)
    made = accuracy_intervals(failed, Sample(photo, scene, background, group, groups * k, sizes))
    mean, low, high = (each[: groups * k].reshape(groups, k) for each in (made.mean, made.low, made.high))
    return Failures(n, found.censored(sample.group, groups), mean, low, high)
