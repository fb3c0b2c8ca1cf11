"""The worst group: as measured, with an interval for whichever is the worst in truth, and without the choice's luck.

The lowest of many measured accuracies is low partly by luck. Three numbers say how much to believe: the plug-in
(`metrics.worst`), an interval that holds for all groups at once (`intervals.simultaneous`), and the split-sample
estimate below, where the group is chosen on other photos than it is scored on.
"""

import numpy as np

from benchmark.intervals import SEED, Intervals, Sample, simultaneous
from benchmark.metrics import group_means, worst

SPLITS = 50
LEAST_IMAGES = 30  # for a group of superclass x background to be called the worst


def worst_interval(found: Intervals, groups: np.ndarray) -> tuple[float, float]:
    """Return a 95 % interval for the lowest accuracy among the chosen groups, whichever has it.

    Args:
        found: the groups' separate intervals.
        groups: (g,) which groups.
    """
    low, high = simultaneous(found, groups)
    known = ~np.isnan(low)
    return (float(low[known].min()), float(high[known].min())) if known.any() else (float("nan"), float("nan"))


def split_sample(
    right: np.ndarray, sample: Sample, groups: np.ndarray, *, splits: int = SPLITS, seed: int = SEED
) -> float:
    """Return the accuracy of the group that looks worst, on photos that had no say in the choice.

    Half of the foreground photos choose and the other half score; both swap roles; the mean over seeded splits. Where
    images share background photos those are halved too, because a hard background photo makes the choice as well as
    the score: then images of the first half of both kinds choose and those of the second half of both kinds score.
    So the estimate is free of the choice's luck, for the group that a sample of such halves picks: it lies above
    the lowest accuracy as far as that pick can be wrong.

    Args:
        right: (n,) bool.
        sample: the images.
        groups: (g,) which groups may be chosen.
        splits: how many splits.
        seed: of the splits.

    Returns:
        NaN where no split leaves an image on both sides.
    """
    eligible = np.isin(np.arange(sample.groups), groups)
    kept = (sample.group >= 0) & eligible[np.maximum(sample.group, 0)]
    right, group = right[kept], sample.group[kept]
    front = np.unique(sample.foreground_source[kept], return_inverse=True)[1].reshape(-1)
    behind = np.unique(np.stack([sample.background, sample.background_source])[:, kept], axis=1, return_inverse=True)[1]
    shared = (sample.background_source[kept] >= 0) & (np.bincount(behind.reshape(-1))[behind.reshape(-1)] > 1)
    rng = np.random.default_rng(seed)
    scores = []
    for _ in range(splits):
        first, second = _halves(front, rng), _halves(behind.reshape(-1), rng)
        for side in (False, True):
            for other in (False, True):
                choose = (first == side) & ((second == other) | ~shared)
                judge = (first != side) & ((second != other) | ~shared)
                scores.append(_scored(right, group, choose, judge, sample.groups))
    known = [each for each in scores if not np.isnan(each)]
    return float(np.mean(known)) if known else float("nan")


def _halves(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return (n,) bool: whether an image's photo falls in the second half."""
    count = photo.max(initial=-1) + 1
    return (rng.permutation(count) < count // 2)[photo]


def _scored(right: np.ndarray, group: np.ndarray, choose: np.ndarray, judge: np.ndarray, groups: int) -> float:
    lowest = worst(group_means(right[choose], group[choose], groups)[0])
    return float("nan") if lowest is None else float(group_means(right[judge], group[judge], groups)[0][lowest])
