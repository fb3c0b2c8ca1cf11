"""Worst-group accuracy: as measured, with its 95 % simultaneous interval, and the split-sample estimate.

The lowest of many measured accuracies is low partly by luck. Three numbers show how reliable it is: the plug-in
(`accuracy.worst`), an interval for the lowest accuracy whichever group has it (`worst_interval`), and the split-sample
estimate below, where the group is chosen on other photos than it is scored on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics.accuracy import mean, worst
from benchmark.metrics.groups import clusters, ranks
from benchmark.metrics.intervals import SEED, Intervals, Sample, simultaneous
from benchmark.schemas import metrics as scores

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Shaped

SPLITS = 50
FOLDS = 2
LEAST_IMAGES = 30  # for a group of superclass x background to be called the worst


def worst_interval(found: Intervals, groups: Int[np.ndarray, " g"]) -> tuple[float, float]:
    """Return an interval of `found.level` for the lowest accuracy among the chosen groups, whichever has it.

    The lower end is the lowest of the groups' separate ones: it is too high only if that of the truly worst group is.
    The upper end is too low if that of any group is, so it is the lowest of simultaneous upper ends (max-t).

    Args:
        found: the groups' separate intervals.
        groups: (g,) which groups.
    """
    groups = groups[~np.isnan(found.low[groups])]
    if not len(groups):
        return float("nan"), float("nan")
    return float(found.low[groups].min()), float(simultaneous(found, groups)[1].min())


def worst_of(
    names: Sequence[str],
    right: Shaped[np.ndarray, " n"],
    sample: Sample,
    found: Intervals,
    least: int,
    folds: int = FOLDS,
) -> scores.Worst | None:
    """Return the worst group of those that are large enough; None where none is.

    Args:
        names: of the groups.
        right: (n,) bool, or shares of seeds that are right.
        sample: the images.
        found: the groups' separate intervals.
        least: images that a group needs.
        folds: of `split_sample`.
    """
    groups = np.flatnonzero(found.counts[0, : len(names)] >= least)
    lowest = worst(np.where(np.isin(np.arange(len(names)), groups), found.mean[: len(names)], np.nan))
    if lowest is None:
        return None
    split = split_sample(right, sample, groups, splits=max(1, SPLITS * FOLDS**2 // folds**2), folds=folds)
    return scores.Worst(
        name=names[lowest],
        top1=float(found.mean[lowest]),
        ci95=worst_interval(found, groups),
        split_sample=split.estimate,
        picked=float(split.picked[lowest]),
    )


@dataclass(frozen=True, eq=False)
class SplitSample:
    """The `estimate`, NaN where no split leaves images on both sides; (groups,) `picked`, how often each is chosen."""

    estimate: float
    picked: Float[np.ndarray, " groups"]


def split_sample(
    right: Shaped[np.ndarray, " n"],
    sample: Sample,
    groups: Int[np.ndarray, " g"],
    *,
    splits: int = SPLITS,
    seed: int = SEED,
    folds: int = FOLDS,
) -> SplitSample:
    """Return the accuracy of the group that looks worst, on photos that took no part in the choice.

    Each fold of the foreground photos scores what the others choose; the mean over seeded splits into folds. Where
    images share background photos those have folds too, because a hard background photo makes the choice as well as the
    score: then images outside a fold of either kind choose, and those in both folds score.

    The estimate has no bias for what it is: the accuracy of the group that such parts pick. That lies above the lowest
    accuracy as far as the pick can be wrong (`picked`), where the plug-in lies below: among ten equal backgrounds of
    200 photos the plug-in is 5 to 7 points too low, of 2,000 photos 2 to 3 (tests/benchmark/metrics/test_worst.py).
    With more folds more photos choose, and equal groups are scored less precisely.

    Args:
        right: (n,) bool.
        sample: the images.
        groups: (g,) which groups may be chosen.
        splits: how many splits.
        seed: of the splits.
        folds: of either kind of photo in each split, two or more.
    """
    kept = np.isin(sample.group, groups[groups >= 0])
    right, group = right[kept], sample.group[kept]
    foregrounds = ranks(sample.foreground_source[kept])
    backgrounds = clusters(sample.background_source[kept], sample.background[kept])
    alone = np.bincount(backgrounds)[backgrounds] == 1
    rng, picked = np.random.default_rng(seed), np.zeros(sample.groups)
    members = [np.flatnonzero(group == each) for each in range(sample.groups)]
    scores: list[float] = []
    for _ in range(splits):
        fold = _folds(foregrounds, folds, rng), _folds(backgrounds, folds, rng)
        means = _without(right, group, fold, alone, sample.groups, folds)
        for one, other in product(range(folds)[::-1], repeat=2):
            lowest = worst(means[one, other])
            if lowest is None:
                continue
            rows = members[lowest]
            judge = rows[(fold[0][rows] == one) & ((fold[1][rows] == other) | alone[rows])]
            if len(judge):
                picked[lowest] += 1
                scores.append(mean(right[judge]))
    return SplitSample(mean(np.array(scores)), picked / max(1, len(scores)))


def _without(
    right: np.ndarray,
    group: np.ndarray,
    fold: tuple[np.ndarray, np.ndarray],
    alone: np.ndarray,
    groups: int,
    folds: int,
) -> np.ndarray:
    """Return (folds, folds, groups) means without a fold of foreground and one of background photos.

    Images that are `alone` with their background photo are only without the first.
    """
    cell = (fold[0] * (folds + 1) + np.where(alone, folds, fold[1])) * groups + group
    shape, others = (folds, folds + 1, groups), 1.0 - np.eye(folds)
    columns = np.concatenate([others, np.ones((folds, 1))], axis=1)
    counts, totals = (
        np.einsum("af,fbg,cb->acg", others, np.bincount(cell, weights, np.prod(shape)).reshape(shape), columns)
        for weights in (None, right)
    )
    return np.divide(totals, counts, out=np.full_like(totals, np.nan), where=counts > 0)


def _folds(photo: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Return (n,) which fold an image's photo falls into."""
    count = photo.max(initial=-1) + 1
    return ((count - 1 - rng.permutation(count)) * folds // max(1, count))[photo]
