"""Two-way resampling of photos: group means and their variances, in every bootstrap sample.

The same foreground photo stands on many backgrounds and the same background photo behind many objects, so images are
no independent draws. Both kinds of photo are drawn again with replacement, each way on its own, and an image counts
as often as the product of both counts: the pigeonhole bootstrap (Owen, Annals of Applied Statistics 1(2), 2007). The
backgrounds themselves are fixed, so background photos are drawn within their background.

Next to its means every sample gets their closed-form variance, clustered both ways: V(foreground photos) +
V(background photos) - V(pairs) (Cameron, Gelbach & Miller, JBES 29(2), 2011, eq. 2.11, without its factors near 1).
The pigeonhole bootstrap alone counts the noise of single images three times (Owen, theorem 3); so does this variance
inside a bootstrap sample, where copies of a photo share their noise, but not on the data themselves. The ratio of the
two, which `intervals` builds on, is therefore right whether photos matter or not.

Images become cells (foreground photo, background photo, group). Samples are made in blocks, so that memory beyond the
cells themselves is a few MB, whatever the number of samples. Where many models are scored on the same images the draws
are the same too, and so are the images of each sample: within `draws_kept` both are made once, for some MB more.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics.groups import clusters, distinct, ranks

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Shaped
    from scipy import sparse

    Matrix = sparse.csr_array | sparse.csc_array

_BLOCK = 1 << 15  # photos x samples held at once: more leaves a core's cache
_TOGETHER = 4  # such blocks at once where draws are kept: less of NumPy's own work; of 8, memory is the bound
_MOST_KEPT = 1 << 24  # numbers of one set of draws that is kept: 16 MB
_KEPT = ContextVar("_KEPT", default=False)
# How often foreground and background photos are drawn, (photos, samples) each; images in each row of `_Kernel`.
_Counts = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Way:
    """One kind of photo: (c,) `code` of each cell, (photos,) first and one-past-last code of each photo's stratum."""

    code: Int[np.ndarray, " c"]
    start: Int[np.ndarray, " photos"]
    stop: Int[np.ndarray, " photos"]


@dataclass(frozen=True, eq=False)
class Cells:
    """n values as c cells: (c,) `group`, `total` of the values and `size`; `groups` counts the groups."""

    foregrounds: Way
    backgrounds: Way
    group: Int[np.ndarray, " c"]
    total: Float[np.ndarray, " c"]
    size: Float[np.ndarray, " c"]
    groups: int

    @cached_property
    def kernel(self) -> _Kernel:
        """Matrices that `observed` and `resampled` share."""
        return _Kernel(self)


def cells(
    values: Shaped[np.ndarray, " n"],
    foreground_source: Int[np.ndarray, " n"],
    background_source: Int[np.ndarray, " n"],
    background: Int[np.ndarray, " n"],
    group: Int[np.ndarray, " n"],
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
    columns = values, foreground_source, background_source, background, group
    if not kept.all():
        columns = tuple(each[kept] for each in columns)
    values, foreground_source, background_source, background, group = columns
    backgrounds, foregrounds = clusters(background_source, background), ranks(foreground_source)
    stratum = np.zeros(int(backgrounds.max(initial=-1)) + 1, dtype=np.int64)
    stratum[backgrounds] = background
    photos = int(foregrounds.max(initial=-1)) + 1
    (foreground_codes, background_codes, own), cell = distinct(foregrounds, backgrounds, group)
    del foregrounds, backgrounds
    return Cells(
        foregrounds=_way(foreground_codes, np.zeros(photos, dtype=np.int64)),
        backgrounds=_way(background_codes, stratum),
        group=own,
        total=np.bincount(cell, weights=values, minlength=len(own)),
        size=np.bincount(cell, minlength=len(own)).astype(np.float64),
        groups=groups,
    )


def _way(code: np.ndarray, stratum: np.ndarray) -> Way:
    return Way(code, np.searchsorted(stratum, stratum), np.searchsorted(stratum, stratum, side="right"))


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of k means in each of r samples: (k, r) `mean`, `variance`, `noise` (of pairs alone) and `size`.

    The k means are those of the groups, then of the mixes. `size` is the number of images, for a mix Kish's effective
    number 1 / sum(weight^2 / n). All are NaN where a sample holds no image.
    """

    mean: Float[np.ndarray, "k r"]
    variance: Float[np.ndarray, "k r"]
    noise: Float[np.ndarray, "k r"]
    size: Float[np.ndarray, "k r"]


def observed(table: Cells, mixes: Float[np.ndarray, "m groups"]) -> Moments:
    """Return the moments of the data themselves (r = 1).

    Args:
        table: the images.
        mixes: (m, groups) weights; each row is one more mean, over the groups that hold images.
    """
    one, other = (np.ones((len(way.start), 1)) for way in (table.foregrounds, table.backgrounds))
    return table.kernel(mixes, one, other, table.kernel.size @ one)


def resampled(table: Cells, mixes: Float[np.ndarray, "m groups"], resamples: int, seed: int) -> Moments:
    """Return the moments of `resamples` bootstrap samples; `seed` decides them.

    Args:
        table: the images.
        mixes: (m, groups) weights; each row is one more mean, over the groups that hold images.
        resamples: how many samples.
        seed: of the draws.
    """
    kernel = table.kernel
    widths = _widths(resamples, len(table.foregrounds.start) + len(kernel.group))
    draws = _draws((table.foregrounds, table.backgrounds), kernel.size, widths, seed)
    parts = [kernel(mixes, *(counts.astype(np.float64) for counts in each)) for each in draws]
    return Moments(*(np.concatenate([getattr(each, name) for each in parts], axis=1) for name in vars(parts[0])))


@contextmanager
def draws_kept() -> Generator[None]:
    """Keep the draws of `resampled`, some MB, also for later such contexts: for many models on the same images.

    Blocks of samples are larger, too. All numbers stay what they are.
    """
    before = _KEPT.set(True)
    try:
        yield
    finally:
        _KEPT.reset(before)


def _widths(resamples: int, size: int) -> tuple[int, ...]:
    """Return how many samples each block has."""
    step = max(1, _BLOCK // max(1, size))
    # NumPy sums a single column in another order: what is a block of one sample stays one.
    whole = resamples - (resamples % step == 1)
    large = step * _TOGETHER if _KEPT.get() and step > 1 else step
    return *(min(large, whole - start) for start in range(0, whole, large)), *[1] * (resamples - whole)


def _draws(ways: tuple[Way, Way], size: Matrix, widths: tuple[int, ...], seed: int) -> Iterable[_Counts]:
    """Return the draws of all samples, block by block; `size` holds the images of each row and foreground photo."""
    rows = size.shape[0]
    numbers = sum(widths) * (sum(len(way.start) for way in ways) + rows)
    if not _KEPT.get() or numbers > _MOST_KEPT:
        return _drawn(ways, size, widths, seed)
    same = *(each for way in ways for each in (way.start, way.stop)), size.indptr, size.indices, size.data
    return _drawn_once(_Images(tuple(each.tobytes() for each in same), ways, size), widths, seed)


@dataclass(frozen=True)
class _Images:
    """Photos and images that samples are drawn from, compared by `same`."""

    same: tuple[bytes, ...]
    ways: tuple[Way, Way] = field(compare=False)
    size: Matrix = field(compare=False)


@lru_cache(maxsize=4)
def _drawn_once(images: _Images, widths: tuple[int, ...], seed: int) -> list[_Counts]:
    draws = _drawn(images.ways, images.size, widths, seed)
    return [(_small(one), _small(other), _small(sizes)) for one, other, sizes in draws]


def _small(counts: np.ndarray) -> np.ndarray:
    return counts.astype(np.min_scalar_type(int(counts.max(initial=0))))


def _drawn(ways: tuple[Way, Way], size: Matrix, widths: tuple[int, ...], seed: int) -> Iterator[_Counts]:
    one, other = np.random.default_rng(seed).spawn(2)
    for width in widths:
        foregrounds, backgrounds = _draw(ways[0], width, one), _draw(ways[1], width, other)
        yield foregrounds, backgrounds, size @ foregrounds.astype(np.float64)


def _draw(way: Way, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return how often each photo is drawn, (photos, samples): as many draws per stratum as it has photos.

    Samples are drawn one after the other, so that it does not matter how many are drawn at once.
    """
    photos = len(way.start)
    # As whole numbers would be drawn from 0 to 2^53, five times as fast as numpy's between bounds of their own.
    drawn = way.start + (rng.random((samples, photos)) * (way.stop - way.start)).astype(np.int64)
    place = drawn * samples + np.arange(samples)[:, None]
    return np.bincount(place.reshape(-1), minlength=photos * samples).reshape(photos, samples)


class _Kernel:
    """Counts of photos, (photos, r) each way, and `size` times those of foreground photos, (rows, r), to moments.

    A sum over images is a sum over pairs of photos: their counts times something that no sample changes. So foreground
    photos go through sparse matrices once, to `rows` (a background photo in a group), of which there are few.
    """

    def __init__(self, table: Cells) -> None:
        (self.group, self.backgrounds), row = distinct(table.group, table.backgrounds.code)
        self.to_group = _sum_by(self.group, table.groups)
        self.to_background = _sum_by(self.backgrounds, len(table.backgrounds.start))
        t, s, shape = table.total, table.size, (len(self.group), len(table.foregrounds.start))
        # Where each image is a cell of its own, sizes are 1, and the products are what is there already.
        single, whole = bool((s == 1).all()), bool(((t == 0) | (t == 1)).all())
        make = _Matrices(row, table.foregrounds.code, shape)
        self.total, self.size = make(t), make(s)
        self.total_by_photo, self.size_by_photo = self.total.T, self.size.T
        tt = self.total if single and whole else make(t * t)
        self.products = (tt, self.total, self.size) if single else (tt, make(t * s), make(s * s))
        self.shared = _Shared(table, row, len(self.group))

    def __call__(
        self, mixes: np.ndarray, foregrounds: np.ndarray, backgrounds: np.ndarray, sizes: np.ndarray
    ) -> Moments:
        drawn = backgrounds[self.backgrounds]
        totals = self.total @ foregrounds
        count = self.to_group @ (drawn * sizes)
        share = np.divide(1, count, out=np.zeros_like(count), where=count > 0)
        mean = self.to_group @ (drawn * totals) * share
        own = mean[self.group]
        error = totals - own * sizes
        known = {id(self.total): totals, id(self.size): sizes}
        tt, ts, ss = (known[id(each)] if id(each) in known else each @ foregrounds for each in self.products)
        square = drawn * np.maximum(tt - own * (2 * ts - own * ss), 0)  # of each image's error, summed
        alone = self.to_group @ square * share**2
        along = self.shared(foregrounds, drawn, mean, self.to_group @ (drawn * square)) * share**2
        across = self.to_group @ (drawn * error**2) * share**2
        rows = [(np.where(count > 0, mean, np.nan), along + across - alone, alone, count)]
        for mix in mixes:
            part = _parts(mix, count)
            weight = (part * share)[self.group]
            lone = (part**2 * alone).sum(0)
            mixed = drawn * weight
            line = self.total_by_photo @ mixed - self.size_by_photo @ (mixed * own)
            spread = (foregrounds * line**2).sum(0) + (backgrounds * (self.to_background @ (weight * error)) ** 2).sum(
                0
            )
            rows.append(((part * mean).sum(0), spread - lone, lone, _kish(part, count)))
        return _stack(rows)


class _Matrices:
    """Sparse matrices of cells' values, at (row, column) of each cell; a cell of value 0 adds nothing and is left out.

    Those without such a cell share their places in memory. Columns that are more than rows, and than a core's cache
    holds, are gone through in order, so that only among the fewer rows memory is jumped about in: a product with
    1,200,000 photos and 48,000 rows takes a third of the time.
    """

    def __init__(self, row: np.ndarray, column: np.ndarray, shape: tuple[int, int]) -> None:
        from scipy import sparse

        cells = np.arange(len(row), dtype=row.dtype)
        self._kind = sparse.csc_array if shape[1] > max(_BLOCK, shape[0]) else sparse.csr_array
        placed = self._kind((cells, (row, column)), shape=shape)
        self.order, self.at, self.shape = placed.data, (placed.indices, placed.indptr), shape

    def __call__(self, values: np.ndarray) -> Matrix:
        values, (indices, starts) = values[self.order], self.at
        kept = values != 0
        if not kept.all():
            values, indices = values[kept], indices[kept]
            starts = np.concatenate([starts[:1], np.cumsum(kept, dtype=starts.dtype)])[starts]
        return self._kind((values, indices, starts), shape=self.shape)


class _Shared:
    """Squared errors summed within each foreground photo, then over a group's photos.

    Where each photo has one cell per group, as in a crossed release, that is the sum of squares, which is known.
    """

    def __init__(self, table: Cells, row: np.ndarray, rows: int) -> None:
        (group, photo), cluster = distinct(table.group, table.foregrounds.code)
        self.none = len(group) == len(row)
        if self.none:
            return
        self.group, self.foregrounds = group, photo
        self.to_group = _sum_by(self.group, table.groups)
        make = _Matrices(cluster, row, (len(self.group), rows))
        self.total, self.size = make(table.total), make(table.size)

    def __call__(self, foregrounds: np.ndarray, drawn: np.ndarray, mean: np.ndarray, squares: np.ndarray) -> np.ndarray:
        if self.none:
            return squares
        error = self.total @ drawn - mean[self.group] * (self.size @ drawn)
        return self.to_group @ (foregrounds[self.foregrounds] * error**2)


def _parts(mix: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the (groups, r) weights of a mix over the groups that a sample holds; NaN where it holds none of them."""
    part = np.where(sizes > 0, mix[:, None], 0.0)
    whole = part.sum(0)
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _kish(part: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    inverse = np.divide(part**2, sizes, out=np.zeros_like(part), where=sizes > 0).sum(0)
    return np.divide(1, inverse, out=np.full_like(inverse, np.nan), where=inverse > 0)


def _sum_by(code: np.ndarray, count: int) -> sparse.csr_array:
    from scipy import sparse

    return sparse.csr_array((np.ones(len(code)), (code, np.arange(len(code)))), shape=(count, len(code)))


def _stack(rows: list[tuple[np.ndarray, ...]]) -> Moments:
    mean, variance, noise, size = (np.vstack(each) for each in zip(*rows, strict=True))
    empty = np.isnan(mean)
    return Moments(mean, *(np.where(empty, np.nan, each) for each in (variance, noise, size)))
