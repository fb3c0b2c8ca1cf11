"""Several trainings (seeds) tested on one set of images: means over seeds, with intervals over photos and seeds.

Seeds that share a test set share its luck: Student's interval over seeds alone covers 31 % where photos matter most. So
photos are drawn again by the two-way bootstrap of `intervals`, on each image's mean over seeds, and the variance
between seeds is added. Measured where every accuracy is 90 % (tests/benchmark/metrics/test_seeded.py, long form, 400
repeats; 72 photos on ten backgrounds, five seeds), in settings where photos matter most, and where seeds do: all 648
conflicting images 94.5 and 93.3 %, the 72 aligned ones 96.0 and 96.5 %, aligned minus conflicting 93.3 and 95.0 %, a
group of 72 images 96.5 and 96.3 %, the gain over another method 97.0 and 96.3 %, the worst group 97.0 and 96.3 % (95.3
and 94.8 % where one group alone is at 60 %). Its split-sample estimate is off by 0.2 and 0.0 points (1.7 and 0.6 too
high there). Where seeds agree on nothing and photos are nothing, a group of eight photos cannot know that, and 99.8 %
are covered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics.groups import clusters
from benchmark.metrics.intervals import (
    RESAMPLES,
    Intervals,
    Sample,
    accuracy_intervals,
    between_seeds,
    difference_intervals,
)
from benchmark.metrics.statistics import LEVEL, doubts, effective
from benchmark.metrics.worst_group import LEAST_IMAGES, worst_of
from benchmark.schemas.metrics import Spread, Worst

if TYPE_CHECKING:
    from jaxtyping import Bool, Shaped

OVER = "photos and seeds"  # what intervals are over
_FOLDS = 5  # of the split-sample estimate: of a group's few photos, half would often pick another group than the worst


def intervals(
    right: Bool[np.ndarray, "seeds n"], sample: Sample, resamples: int = RESAMPLES, level: float = LEVEL
) -> Intervals:
    """Return the accuracies of all groups and mixes with intervals over photos, and over seeds where there are several.

    Args:
        right: (seeds, n) bool.
        sample: the n images.
        resamples: how many bootstrap samples.
        level: of the intervals.
    """
    seeds = between_seeds(right, sample) if len(right) > 1 else None
    return accuracy_intervals(right.mean(0), sample, seeds=seeds, resamples=resamples, level=level)


def accuracies(right: Bool[np.ndarray, "seeds n"], sample: Sample, found: Intervals | None = None) -> list[Spread]:
    """Return the accuracy of all groups and mixes, with 95 % intervals over photos and seeds.

    Args:
        right: (seeds, n) bool; a single seed gives no interval, since nothing shows what another training would do.
        sample: the n images.
        found: their `intervals`; None: computed here.
    """
    found = found or intervals(right, sample)
    why = [doubts(*photos_of(sample, at), float(mean)) for at, mean in enumerate(found.mean)]
    return [
        Spread(
            mean=mean, ci95=(low, high) if len(right) > 1 else (None, None), doubts=reasons if len(right) > 1 else []
        )
        for mean, low, high, reasons in zip(found.mean, found.low, found.high, why, strict=True)
    ]


def difference(change: Shaped[np.ndarray, "seeds n"], sample: Sample, at: int, resamples: int = RESAMPLES) -> Spread:
    """Return a mean difference with its 95 % interval over photos and seeds.

    Args:
        change: (seeds, n) in [-1, 1].
        sample: the n images.
        at: which of the groups and mixes.
        resamples: how many bootstrap samples.
    """
    seeds = between_seeds(change, sample) if len(change) > 1 else None
    found = difference_intervals(change.mean(0), sample, seeds=seeds, resamples=resamples)
    if seeds is None:
        return Spread(mean=found.mean[at], ci95=(None, None))
    why = doubts(*photos_of(sample, at), 0.5)
    return Spread(mean=found.mean[at], ci95=(found.low[at], found.high[at]), doubts=why)


def worst(
    right: Bool[np.ndarray, "seeds n"],
    sample: Sample,
    names: list[str],
    resamples: int = RESAMPLES,
    least: int = LEAST_IMAGES,
) -> Worst | None:
    """Return the worst group by the benchmark's own rule, its interval over photos and seeds; None: all are too small.

    Each end of the interval is a 95 % limit by itself, since hardly both can miss: the lower end does where a single
    group is the worst, the upper end where many are.

    Args:
        right: (seeds, n) bool.
        sample: the n images.
        names: of the groups.
        resamples: how many bootstrap samples.
        least: images that a group needs.
    """
    found = intervals(right, sample, resamples, 2 * LEVEL - 1)
    lowest = worst_of(names, right.mean(0), sample, found, least, _FOLDS)
    return lowest if lowest is None or len(right) > 1 else lowest.model_copy(update={"ci95": (None, None)})


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
