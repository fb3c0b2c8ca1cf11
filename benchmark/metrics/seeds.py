"""Several trainings (seeds) tested on one set of images: means over seeds, with intervals over photos and seeds.

Seeds that share a test set share its luck: an interval over seeds alone covers 83 % or less where photos matter. So
photos are drawn again by the two-way bootstrap of `intervals`, on each image's mean over seeds, and the variance
between seeds is added. Measured where every accuracy is 90 % (tests/benchmark/metrics/test_seeded.py, long form; 72
photos on ten backgrounds, five seeds): 96.5 % (photos matter most) and 95.0 % (seeds do) for the 648 conflicting
images, 97 to 99 % for 72, and more where seeds agree on nothing, since no interval is narrower than that of a single
seed's images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics.compute import worst_of
from benchmark.metrics.groups import clusters
from benchmark.metrics.intervals import Intervals, Sample, accuracy_intervals, between_seeds, difference_intervals
from benchmark.metrics.statistics import doubts, effective
from benchmark.metrics.worst_group import LEAST_IMAGES
from benchmark.schemas.metrics import Spread, Worst

if TYPE_CHECKING:
    from jaxtyping import Bool, Shaped

OVER = "photos and seeds"  # what intervals are over


def accuracies(right: Bool[np.ndarray, "seeds n"], sample: Sample) -> list[Spread]:
    """Return the accuracy of all groups and mixes, with 95 % intervals over photos and seeds.

    Args:
        right: (seeds, n) bool; a single seed gives no interval, since nothing shows what another training would do.
        sample: the n images.
    """
    found = _intervals(right, sample)
    why = [doubts(*photos_of(sample, at), float(mean)) for at, mean in enumerate(found.mean)]
    return [
        Spread(
            mean=mean, ci95=(low, high) if len(right) > 1 else (None, None), doubts=reasons if len(right) > 1 else []
        )
        for mean, low, high, reasons in zip(found.mean, found.low, found.high, why, strict=True)
    ]


def difference(change: Shaped[np.ndarray, "seeds n"], sample: Sample, at: int) -> Spread:
    """Return a mean difference with its 95 % interval over photos and seeds.

    Args:
        change: (seeds, n) in [-1, 1].
        sample: the n images.
        at: which of the groups and mixes.
    """
    seeds = between_seeds(change, sample) if len(change) > 1 else None
    found = difference_intervals(change.mean(0), sample, seeds=seeds)
    if seeds is None:
        return Spread(mean=found.mean[at], ci95=(None, None))
    why = doubts(*photos_of(sample, at), 0.5)
    return Spread(mean=found.mean[at], ci95=(found.low[at], found.high[at]), doubts=why)


def worst(
    right: Bool[np.ndarray, "seeds n"], sample: Sample, names: list[str], least: int = LEAST_IMAGES
) -> Worst | None:
    """Return the worst group by the benchmark's own rule, its interval over photos and seeds; None: all are too small.

    Args:
        right: (seeds, n) bool.
        sample: the n images.
        names: of the groups.
        least: images that a group needs.
    """
    found = worst_of(names, right.mean(0), sample, _intervals(right, sample), least)
    return found if found is None or len(right) > 1 else found.model_copy(update={"ci95": (None, None)})


def _intervals(right: np.ndarray, sample: Sample) -> Intervals:
    return accuracy_intervals(right.mean(0), sample, seeds=between_seeds(right, sample) if len(right) > 1 else None)


def photos_of(sample: Sample, at: int) -> tuple[int, float, float]:
    """Return images, effective foreground photos, and effective background photos of the background with fewest.

    Args:
        sample: the images.
        at: which of the groups and mixes.
    """
    used = np.r_[np.eye(sample.groups), sample.mixes > 0][at] > 0
    rows = (sample.group >= 0) & used[sample.group]
    one = np.ones(int(rows.sum()))
    foregrounds = np.unique(sample.foreground_source[rows], return_inverse=True)[1]
    background = np.unique(sample.background[rows], return_inverse=True)[1]
    backgrounds = clusters(sample.background_source[rows], sample.background[rows])
    zeros, count = np.zeros_like(background), int(background.max(initial=-1)) + 1
    n_foregrounds, n_backgrounds = (float(effective(each, zeros, one, 1)[0]) for each in (foregrounds, backgrounds))
    fewest = float(effective(backgrounds, background, one, count).min(initial=np.inf))
    return len(one), n_foregrounds, n_backgrounds if n_backgrounds == len(one) else fewest
