"""Two-way resampling of photos: group means and their variances, in every bootstrap sample.

The same foreground photo stands on many backgrounds and the same background photo behind many objects, so images are
no independent draws. Both kinds of photo are drawn again with replacement, each way on its own, and an image counts
as often as the product says: the pigeonhole bootstrap (Owen, Annals of Applied Statistics 1(2), 2007). The backgrounds
themselves are fixed, so background photos are drawn within their background.

Beside its means every sample gets their closed-form variance, clustered both ways: V(foreground photos) +
V(background photos) - V(pairs) (Cameron, Gelbach & Miller, JBES 29(2), 2011, eq. 2.11, without its factors near 1).
The pigeonhole bootstrap alone counts the noise of single images three times (Owen, theorem 3); so does this variance
inside a bootstrap sample, where copies of a photo share their noise, but not on the data themselves. The ratio of the
two, which `intervals` builds on, is therefore right whether photos matter or not.

Images become cells (foreground photo, background photo, group). Samples are made in blocks, so that memory beyond the
cells themselves is a few MB, whatever the number of samples.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from benchmark.groups import clusters

_Pair = tuple[np.ndarray, np.ndarray]
_BLOCK = 1 << 15  # cells x samples held at once: more leaves a core's cache and takes twice as long


@dataclass(frozen=True, eq=False)
class Way:
    """One kind of photo: (c,) `code` of each cell, (photos,) first and one-past-last code of each photo's stratum."""

    code: np.ndarray
    start: np.ndarray
    stop: np.ndarray


@dataclass(frozen=True, eq=False)
class Cells:
    """n values as c cells: (c,) `group`, `total` of the values and `size`; `groups` counts the groups."""

    front: Way
    behind: Way
    group: np.ndarray
    total: np.ndarray
    size: np.ndarray
    groups: int


@dataclass(frozen=True, eq=False)
class Moments:
    """What each of r samples says about k means: (k, r) `mean`, `variance`, `noise` (of pairs alone) and `size`.

    The k means are those of the groups, then of the mixes. `size` is the number of images, for a mix Kish's effective
    number 1 / sum(weight^2 / n). All are NaN where a sample holds no image.
    """

    mean: np.ndarray
    variance: np.ndarray
    noise: np.ndarray
    size: np.ndarray


def cells(
    values: np.ndarray,
    foreground_source: np.ndarray,
    background_source: np.ndarray,
    background: np.ndarray,
    group: np.ndarray,
    groups: int,
) -> Cells:
    """Gather n images into cells.

    Args:
        values: (n,) numbers: right or wrong, or a difference.
        foreground_source: (n,) int, which foreground photo.
        background_source: (n,) int, which background photo; -1 where an image uses none.
        background: (n,) int, the background's label.
        group: (n,) int in 0..groups-1; images with -1 are left out.
        groups: how many groups.
    """
    kept = group >= 0
    behind = clusters(background_source[kept], background[kept])
    front = np.unique(foreground_source[kept], return_inverse=True)[1].reshape(-1)
    stratum = np.zeros(behind.max(initial=-1) + 1, dtype=np.int64)
    stratum[behind] = background[kept]
    table, cell = np.unique(np.stack([front, behind, group[kept]]), axis=1, return_inverse=True)
    count = table.shape[1]
    return Cells(
        front=_way(table[0], np.zeros(front.max(initial=-1) + 1, dtype=np.int64)),
        behind=_way(table[1], stratum),
        group=table[2],
        total=np.bincount(cell.reshape(-1), weights=values[kept], minlength=count),
        size=np.bincount(cell.reshape(-1), minlength=count).astype(np.float64),
        groups=groups,
    )


def _way(code: np.ndarray, stratum: np.ndarray) -> Way:
    return Way(code, np.searchsorted(stratum, stratum), np.searchsorted(stratum, stratum, side="right"))


def observed(table: Cells, mixes: np.ndarray) -> Moments:
    """Return the moments of the data themselves (r = 1).

    Args:
        table: the images.
        mixes: (m, groups) weights; each row is one more mean, over the groups that hold images.
    """
    ones = [np.ones((len(way.start), 1)) for way in (table.front, table.behind)]
    return _Kernel(table, mixes)(ones[0], ones[1])


def resampled(table: Cells, mixes: np.ndarray, resamples: int, seed: int) -> Moments:
    """Return the moments of `resamples` bootstrap samples; `seed` decides them.

    Args:
        table: the images.
        mixes: (m, groups) weights; each row is one more mean, over the groups that hold images.
        resamples: how many samples.
        seed: of the draws.
    """
    kernel, rng = _Kernel(table, mixes), np.random.default_rng(seed)
    parts = [
        kernel(_draw(table.front, width, rng), _draw(table.behind, width, rng))
        for width in _widths(resamples, max(1, len(table.group)))
    ]
    return Moments(*(np.concatenate([getattr(each, name) for each in parts], axis=1) for name in vars(parts[0])))


def _widths(resamples: int, size: int) -> Iterator[int]:
    step = max(1, _BLOCK // size)
    yield from (min(step, resamples - start) for start in range(0, resamples, step))


def _draw(way: Way, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return how often each photo is drawn, (photos, samples): as many draws a stratum as it has photos."""
    photos = len(way.start)
    drawn = rng.integers(way.start[:, None], way.stop[:, None], size=(photos, samples))
    place = drawn * samples + np.arange(samples)
    return np.bincount(place.reshape(-1), minlength=photos * samples).reshape(photos, samples).astype(np.float64)


class _Kernel:
    """Counts of photos, (photos, r) each way, to moments."""

    def __init__(self, table: Cells, mixes: np.ndarray) -> None:
        self.table, self.mixes = table, mixes
        group, count = table.group, table.groups
        self.in_group = _sum_by(group, count)
        self.totals, self.sizes = _sum_by(group, count, table.total), _sum_by(group, count, table.size)
        self.ways = [_Clusters(way, group, count) for way in (table.front, table.behind)]

    def __call__(self, front: np.ndarray, behind: np.ndarray) -> Moments:
        table, drawn = self.table, (front, behind)
        other = behind[table.behind.code], front[table.front.code]
        weight = other[0] * other[1]
        sizes, totals = self.sizes @ weight, self.totals @ weight
        share = np.divide(1, sizes, out=np.zeros_like(sizes), where=sizes > 0)
        mean = totals * share
        error = (table.total[:, None] - mean[table.group] * table.size[:, None]) * share[table.group]
        noise = self.in_group @ (weight * error**2)
        spread = sum(way.by_group(own, each * error) for way, own, each in zip(self.ways, drawn, other, strict=True))
        rows = [(np.where(sizes > 0, mean, np.nan), spread - noise, noise, sizes)]
        for mix in self.mixes:
            part = _parts(mix, sizes)
            rows.append(((part * mean).sum(0), *self._mix(error * part[table.group], drawn, other), _kish(part, sizes)))
        return _stack(rows)

    def _mix(self, error: np.ndarray, drawn: _Pair, other: _Pair) -> _Pair:
        """Return variance and noise of a mix: (r,) each."""
        noise = (other[0] * other[1] * error**2).sum(0)
        ways = zip(self.ways, drawn, other, strict=True)
        return sum(way.whole(own, each * error) for way, own, each in ways) - noise, noise


def _parts(mix: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the (groups, r) weights of a mix over the groups that a sample holds; NaN where it holds none of them."""
    part = np.where(sizes > 0, mix[:, None], 0.0)
    whole = part.sum(0)
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _kish(part: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    inverse = np.divide(part**2, sizes, out=np.zeros_like(part), where=sizes > 0).sum(0)
    return np.divide(1, inverse, out=np.full_like(inverse, np.nan), where=inverse > 0)


class _Clusters:
    """Sums over the photos of one way: within each group, and over all groups together."""

    def __init__(self, way: Way, group: np.ndarray, groups: int) -> None:
        photo_of, place = np.unique(np.stack([way.code, group]), axis=1, return_inverse=True)
        self.photo, self.count = photo_of[0], len(way.start)
        self.to_cluster = _sum_by(place.reshape(-1), photo_of.shape[1])
        self.to_group = _sum_by(photo_of[1], groups)
        self.to_photo = _sum_by(way.code, self.count)

    def by_group(self, drawn: np.ndarray, error: np.ndarray) -> np.ndarray:
        return self.to_group @ (drawn[self.photo] * (self.to_cluster @ error) ** 2)

    def whole(self, drawn: np.ndarray, error: np.ndarray) -> np.ndarray:
        return (drawn * (self.to_photo @ error) ** 2).sum(0)


def _sum_by(code: np.ndarray, count: int, values: np.ndarray | None = None) -> sparse.csr_array:
    data = np.ones(len(code)) if values is None else values
    return sparse.csr_array((data, (code, np.arange(len(code)))), shape=(count, len(code)))


def _stack(rows: list[tuple[np.ndarray, ...]]) -> Moments:
    mean, variance, noise, size = (np.vstack(each) for each in zip(*rows, strict=True))
    empty = np.isnan(mean)
    return Moments(mean, *(np.where(empty, np.nan, each) for each in (variance, noise, size)))
