"""95 % intervals for accuracies, and for paired differences, where images share photos.

The interval is Wilson's (JASA 22, 1927) with two changes. The number of images is divided by the design effect: how
many times the variance clustered both ways (`bootstrap`; Cameron, Gelbach & Miller, 2011) exceeds that of independent
images, never below 1 (Kish, "Survey Sampling", 1965; for Wilson's interval Franco et al., J. Survey Stat. Method. 7,
2019). And 1.96 is replaced by the studentised two-way bootstrap's own 95 % quantile of |t| on the logit scale
(symmetric bootstrap-t: Hall, JRSS B 50, 1988; drawn as in Owen, 2007), or by Student's with as many degrees of freedom
as there are photos of the rarer kind less one, where that is larger (Cameron, Gelbach & Miller, 2011). No interval is
narrower than plain Wilson, which alone is used where every image has photos of its own.

Measured coverage, by simulation with effects of both photos on the probit scale
(tests/benchmark/metrics/test_coverage.py, long form; 60 to 200 foreground photos on each of ten backgrounds, 30 or 50
background photos each, p in 0.1 .. 0.95):

- A background: 95.6 % on average over 45 settings, 92.7 to 97.3 % (1,500 to 2,500 intervals each); 96.7 where photos do
  not matter, 95.4 where both kinds do, 94.7 where background photos matter as much as all else together.
- All images: 95.2 % on average; over the five accuracies 93.5 to 96.9 %.
- The worst of ten equal backgrounds (max-t, `simultaneous`): 97.5 % on average, 92 to 100 %.

Outside 60 effective foreground photos, 30 effective background photos per background, 30 images, accuracy in 0.1 ..
0.95, an interval carries its `doubts`: with one of 30 photos behind 60 % of the images it covers 77 to 83 %. Photos of
one class are taken as independent draws: for the fixed 1000 classes that errs on the wide side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics.bootstrap import Cells, Moments, cells, observed, resampled
from benchmark.metrics.groups import distinct
from benchmark.metrics.statistics import LEVEL, effective, logit, ndtri, stdtr, stdtrit, two_sided, upper, wilson

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Shaped

RESAMPLES = 1000
SEED = 0


@dataclass(frozen=True, eq=False)
class Sample:
    """n images and the photos they share; groups and mixes define the means that are computed.

    Shapes: `foreground_source`, `background_source` (codes; -1 in the latter: no photo), `background`, `group`
    (0..groups-1; -1 belongs to none) are (n,) int. `mixes` is (m, groups): each row weighs the groups to one more mean.
    """

    foreground_source: Int[np.ndarray, " n"]
    background_source: Int[np.ndarray, " n"]
    background: Int[np.ndarray, " n"]
    group: Int[np.ndarray, " n"]
    groups: int
    mixes: Float[np.ndarray, "m groups"]

    def cells(self, values: Shaped[np.ndarray, " n"]) -> Cells:
        """Return (n,) values of the images as cells."""
        photos = self.foreground_source, self.background_source, self.background
        return cells(values, *photos, self.group, self.groups)


@dataclass(frozen=True, eq=False)
class Intervals:
    """k = groups + mixes means: (k,) `mean`, `low`, `high`; (k, r) `pivots` of the bootstrap; (k,) effective `size`.

    `counts` is (3, k): images, foreground photos, background photos; `photos` (3, k) the same with effective numbers of
    photos (`statistics.effective`), the input of `doubts`; `freedom` (k,) degrees of freedom; `level` of all intervals.
    """

    mean: Float[np.ndarray, " k"]
    low: Float[np.ndarray, " k"]
    high: Float[np.ndarray, " k"]
    pivots: Float[np.ndarray, "k r"]
    size: Float[np.ndarray, " k"]
    counts: Int[np.ndarray, "3 k"]
    photos: Float[np.ndarray, "3 k"]
    freedom: Shaped[np.ndarray, " k"]
    level: float = LEVEL


@dataclass(frozen=True, eq=False)
class Seeds:
    """Variation between trainings: (k,) `variance` of the mean over them, and its degrees of `freedom`."""

    variance: Float[np.ndarray, " k"]
    freedom: int

    def added(
        self, variance: Float[np.ndarray, " k"], freedom: Shaped[np.ndarray, " k"]
    ) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
        """Return the variance of photos and seeds together, and its degrees of freedom.

        They are Satterthwaite's (Biometrics Bulletin 2, 1946).

        Args:
            variance: (k,) that of photos.
            freedom: (k,) its degrees of freedom.
        """
        whole = variance + self.variance
        parts = variance**2 / freedom + self.variance**2 / self.freedom
        return whole, np.divide(whole**2, parts, out=freedom.astype(np.float64), where=parts > 0)


def between_seeds(values: Shaped[np.ndarray, "seeds n"], sample: Sample) -> Seeds:
    """Return what trainings add to the variance of the k means over them, beyond the noise of single images.

    All are tested on the same images: two-way analysis of variance, seeds x images, both random. What an image's own
    values vary by from seed to seed is taken off, since the bootstrap over photos counts it already.

    Args:
        values: (seeds, n), two seeds or more.
        sample: the n images.
    """
    own = (sample.group == np.arange(sample.groups)[:, None]) / np.maximum(_sizes(sample), 1)[:, None]
    mixes = np.where(_sizes(sample) > 0, sample.mixes, 0)
    weight = np.concatenate([own, mixes / mixes.sum(1, keepdims=True) @ own])
    means, rest = values @ weight.T, values - values.mean(1, keepdims=True)
    noise = weight**2 @ rest.var(0, ddof=1)
    return Seeds(np.maximum(means.var(0, ddof=1) - noise, 0) / len(values), len(values) - 1)


def _sizes(sample: Sample) -> np.ndarray:
    return np.bincount(sample.group[sample.group >= 0], minlength=sample.groups)


def accuracy_intervals(
    right: Shaped[np.ndarray, " n"],
    sample: Sample,
    *,
    seeds: Seeds | None = None,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    level: float = LEVEL,
) -> Intervals:
    """Return the accuracies of all groups and mixes with intervals of a level, 95 % unless given.

    Args:
        right: (n,) bool, or the mean over several trainings of each image.
        sample: the images.
        seeds: how those trainings differ.
        resamples: how many bootstrap samples.
        seed: of the bootstrap. The answer depends on it and on the images, not on their order (where only some images
            lack a background photo, the order picks among equally good draws).
        level: of the intervals.

    Returns:
        `low` and `high` in [0, 1]; NaN for no image, and where a single photo is shared by all: how another
        would differ is unknown.
    """
    table = sample.cells(right)
    here, drawn = observed(table, sample.mixes), resampled(table, sample.mixes, resamples, seed)
    counts, freedom = _counts(table, sample.mixes)
    change = logit(_inside(drawn)) - logit(_inside(here))
    several = seeds is not None
    pivots = change * np.sqrt(_effective(drawn, several) * _inside(drawn) * (1 - _inside(drawn)))
    mean, size, alone = here.mean[:, 0], _effective(here, several)[:, 0], here.size[:, 0]
    if seeds:
        inside = _inside(here)[:, 0] * (1 - _inside(here)[:, 0])
        variance, freedom = seeds.added(inside / size, freedom)
        size = inside / variance
        alone = np.fmax(alone, size)  # means over seeds vary less than right and wrong do
    student, normal = stdtrit(freedom, (1 + level) / 2), two_sided(level)
    quantile = np.fmax(upper(np.abs(pivots), level), student)
    quantile = np.where((counts[1:] == counts[0]).all(0), student if seeds else normal, quantile)
    low, high = _ends(mean, alone, size, quantile, normal, counts)
    return Intervals(mean, low, high, pivots, size, counts, _photos(table, len(sample.mixes)), freedom, level)


def simultaneous(
    found: Intervals, groups: Int[np.ndarray, " g"]
) -> tuple[Float[np.ndarray, " g"], Float[np.ndarray, " g"]]:
    """Return intervals that cover all chosen groups at once, by the bootstrap's largest |t| (max-t).

    Whatever group is the worst in truth, its accuracy lies between the least of the lows and the least of the highs in
    `found.level` of samples (Westfall & Young, "Resampling-Based Multiple Testing", 1993).

    Args:
        found: separate intervals.
        groups: (g,) which of them.
    """
    counts = found.counts[:, groups]
    each = (1 + found.level ** (1 / max(1, len(groups)))) / 2  # of that many independent groups
    student = stdtrit(found.freedom[groups], each)
    quantile = np.fmax(upper(_highest(np.abs(found.pivots[groups]))[None], found.level), student)
    alone = np.fmax(counts[0], found.size[groups])  # more than images where values are means over seeds
    return _ends(found.mean[groups], alone, found.size[groups], quantile, ndtri(each), counts)


@dataclass(frozen=True, eq=False)
class Differences:
    """k paired differences: (k,) `mean`, `low`, `high`, two-sided `p`; (3, k) `counts`, `photos` as in `Intervals`.

    (k,) `error` is the standard error, `quantile` how many of them the interval is wide, `freedom` degrees of freedom.
    """

    mean: Float[np.ndarray, " k"]
    low: Float[np.ndarray, " k"]
    high: Float[np.ndarray, " k"]
    p: Float[np.ndarray, " k"]
    counts: Int[np.ndarray, "3 k"]
    photos: Float[np.ndarray, "3 k"]
    error: Float[np.ndarray, " k"]
    quantile: Float[np.ndarray, " k"]
    freedom: Shaped[np.ndarray, " k"]


def difference_intervals(
    change: Shaped[np.ndarray, " n"],
    sample: Sample,
    *,
    seeds: Seeds | None = None,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Differences:
    """Return mean differences of all groups and mixes, with 95 % intervals and tests against 0.

    Interval and test share the studentised two-way bootstrap (symmetric |t|), or Student's distribution where that is
    wider; p is never below 1 / (resamples + 1), except where no photo is shared, where Student's alone is used.

    Args:
        change: (n,) in [-1, 1]: right in one, minus right in the other, on the same image.
        sample: the images.
        seeds: how several trainings differ, where `change` is their mean.
        resamples: how many bootstrap samples.
        seed: of the bootstrap.

    Returns:
        NaN where there is no image or a single photo is shared by all; no difference on any image has p = 1.
    """
    table = sample.cells(change)
    here, drawn = observed(table, sample.mixes), resampled(table, sample.mixes, resamples, seed)
    counts, freedom = _counts(table, sample.mixes)
    mean, least = here.mean[:, 0], here.size**-2.0  # one image that differs: the least anybody could have seen
    error = np.sqrt(np.fmax(here.variance, np.fmax(here.noise, least)))[:, 0]
    # Resampled noise would do for many images that differ; of few it is a count too small to divide by.
    noise = np.fmax(here.noise, least) * here.size / drawn.size
    effect = np.divide(drawn.variance, drawn.noise, out=np.ones_like(drawn.noise), where=drawn.noise > 0)
    pivots = np.abs(drawn.mean - here.mean) / np.sqrt(noise * np.maximum(effect, 1))
    known, ratio = _known(counts), np.abs(mean) / error
    pivots[(counts[1:] == counts[0]).all(0)] = np.nan  # nothing is shared: Student's test alone
    if seeds:
        variance, freedom = seeds.added(error**2, freedom)
        error = np.sqrt(variance)
        ratio = np.abs(mean) / error
    quantile = np.fmax(upper(pivots), stdtrit(freedom, (1 + LEVEL) / 2))
    beyond = (1 + (pivots >= ratio[:, None] - 1e-12).sum(1)) / (1 + (~np.isnan(pivots)).sum(1))
    p = np.fmax(np.where(np.isnan(pivots).all(1), np.nan, beyond), 2 * stdtr(freedom, -ratio))
    low, high = np.maximum(mean - quantile * error, -1), np.minimum(mean + quantile * error, 1)
    low, high, p, error = (np.where(known, each, np.nan) for each in (low, high, p, error))
    photos = _photos(table, len(sample.mixes))
    return Differences(mean, low, high, p, counts, photos, error, quantile, freedom)


def _highest(pivots: np.ndarray) -> np.ndarray:
    """Return the largest of each column, NaN left out."""
    return np.where(
        np.isnan(pivots).all(0), np.nan, np.where(np.isnan(pivots), -np.inf, pivots).max(0, initial=-np.inf)
    )


def _ends(
    mean: np.ndarray, n: np.ndarray, size: np.ndarray, quantile: np.ndarray, alone: float, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    # Where all are right or all wrong nothing varies: images of a photo may then all agree, and photos are what counts.
    fixed = (mean == 0) | (mean == 1)
    floor = np.where(fixed, np.minimum(n, counts[1:].min(0)), n)
    plain, wide = wilson(mean * floor, floor, alone), wilson(mean * size, size, quantile)
    known = _known(counts)
    low = np.where(fixed, plain[0], np.minimum(plain[0], wide[0]))
    high = np.where(fixed, plain[1], np.maximum(plain[1], wide[1]))
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


def _known(counts: np.ndarray) -> np.ndarray:
    """Return where there is an image, and no single photo shared by all."""
    return (counts[0] > 0) & ((counts[0] == 1) | (counts[1:] > 1).all(0))


def _inside(moments: Moments) -> np.ndarray:
    """Return the means, kept half an image away from 0 and 1, where a logit is infinite."""
    return np.clip(moments.mean, 0.5 / moments.size, 1 - 0.5 / moments.size)


def _effective(moments: Moments, several: bool) -> np.ndarray:
    """Return how many independent images would be as precise, at most as many as there are.

    Values that are means over several seeds vary less than right and wrong: then the least variance is that of
    independent images with such values.
    """
    mean = _inside(moments)
    if several:
        least = np.fmax(moments.variance, moments.noise)
        return np.divide(mean * (1 - mean), least, out=moments.size.copy(), where=least > 0)
    return moments.size / np.maximum(moments.variance * moments.size / (mean * (1 - mean)), 1)


def _counts(table: Cells, mixes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (3, k) images, foreground and background photos; (k,) degrees of freedom."""
    ways = [distinct(way.code, table.group)[0][1] for way in (table.foregrounds, table.backgrounds)]
    own = [
        np.bincount(table.group, table.size, table.groups),
        *(np.bincount(way, minlength=table.groups) for way in ways),
    ]
    whole = np.array([table.size.sum(), len(table.foregrounds.start), len(table.backgrounds.start)])
    # A mix spans all groups.
    counts = np.concatenate([np.stack(own), np.tile(whole[:, None], (1, len(mixes)))], axis=1).astype(np.int64)
    freedom = counts[1:].min(0) - 1
    strata = len(np.unique(table.backgrounds.start))
    freedom[table.groups :] = min(whole[1] - 1, whole[2] - strata)
    return counts, np.maximum(freedom, 1)


def _photos(table: Cells, mixes: int) -> np.ndarray:
    """Return (3, k) images, effective foreground and background photos of groups and mixes; a mix spans all groups."""
    codes, together = (table.foregrounds.code, table.backgrounds.code), np.zeros_like(table.group)
    own = np.bincount(table.group, table.size, table.groups), *_each(codes, table.group, table.size, table.groups)
    whole = np.array([table.size.sum(keepdims=True), *_each(codes, together, table.size, 1)])
    return np.concatenate([np.stack(own), np.tile(whole, (1, mixes))], axis=1)


def _each(codes: tuple[np.ndarray, ...], group: np.ndarray, size: np.ndarray, groups: int) -> list[np.ndarray]:
    return [effective(code, group, size, groups) for code in codes]
