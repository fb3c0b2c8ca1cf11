"""Classes that a background pulls answers to: wrong answers on it against those on the same photos elsewhere.

Elsewhere is a control set (the same objects without the background) or, where there is none, the other backgrounds.
Both are matched photo by photo, so that a class is not over-predicted merely because its look-alikes stand there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics.compute import sample_of
from benchmark.metrics.groups import Groups
from benchmark.metrics.intervals import difference_intervals
from benchmark.metrics.statistics import doubts, photos_of_all
from benchmark.schemas.predictions import Predictions, take

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Shaped


@dataclass(frozen=True, eq=False)
class Matched:
    """Images on one background and, of the same foreground photos, those that they are compared with.

    `here` holds n images, `there` m; `photo_here` (n,) and `photo_there` (m,) number their photos in 0..photos-1, each
    of which is on both sides.
    """

    here: Predictions
    there: Predictions
    photo_here: Int[np.ndarray, " n"]
    photo_there: Int[np.ndarray, " m"]
    photos: int

    def counts(self) -> tuple[Int[np.ndarray, " photos"], Int[np.ndarray, " photos"]]:
        """Return how many images each photo has here and there, (photos,) each."""
        return _count(self.photo_here, self.photos), _count(self.photo_there, self.photos)

    def wrongly(self, label: int) -> tuple[Bool[np.ndarray, " n"], Bool[np.ndarray, " m"]]:
        """Return which images here (n,) and there (m,) are wrongly answered with a class."""
        return _wrongly(self.here, label), _wrongly(self.there, label)


@dataclass(frozen=True)
class Excess:
    """Difference in how often one class is the wrong answer, here minus there.

    Attributes:
        label: the class.
        n: images here.
        here: share of them that are wrongly answered with it.
        there: the same share of the images compared with, photo by photo.
        excess: `here` minus `there`.
        ci95: its interval, over photos of objects and backgrounds (`intervals.difference_intervals`); what the images
            compared with have is taken as given where they are more than one per photo.
        doubts: why it may not cover 95 %.
    """

    label: int
    n: int
    here: float
    there: float
    excess: float
    ci95: tuple[float, float]
    doubts: list[str]


def matched(here: Predictions, there: Predictions) -> Matched:
    """Match images on one background with those of the same foreground photos elsewhere; others are left out.

    Args:
        here: n images.
        there: m images: of a control set, or on other backgrounds.
    """
    common = np.intersect1d(here.foreground_source.astype(str), there.foreground_source.astype(str))
    kept, other = (_of_photos(table, common) for table in (here, there))
    return Matched(kept[0], other[0], kept[1], other[1], len(common))


def excess_tests(pair: Matched) -> tuple[Int[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Test every class that is a wrong answer here: (k,) labels in order, (k,) one-sided p-values, not corrected.

    The test is `stratified_p` with one stratum per foreground photo. It compares these background photos: that others
    would do the same, the interval of `Excess` shows.
    """
    here, there = _photos_by_answer(pair.here, pair.photo_here), _photos_by_answer(pair.there, pair.photo_there)
    counts, nobody = pair.counts(), np.zeros(0, dtype=np.int64)
    drawn: list[int] = counts[0].tolist()
    size: list[int] = (counts[0] + counts[1]).tolist()
    found: list[float] = []
    for label, photos in here.items():
        both: list[int] = [*photos.tolist(), *there.get(label, nobody).tolist()]
        marked = Counter(both)
        found.append(_tail(Counter((drawn[each], marks, size[each]) for each, marks in marked.items()), len(photos)))
    return np.array(list(here), dtype=np.int64), np.array(found, dtype=np.float64)


def stratified_p(
    won: Int[np.ndarray, " s"], drawn: Int[np.ndarray, " s"], marked: Int[np.ndarray, " s"], size: Int[np.ndarray, " s"]
) -> float:
    """Return the exact one-sided p of as many marked images here, if here and there are exchangeable in each stratum.

    The sum of independent hypergeometric counts, as in the exact form of the Cochran-Mantel-Haenszel test (Mantel &
    Haenszel, JNCI 22, 1959). With one image here and one there per stratum it is McNemar's exact test.

    Args:
        won: (s,) marked images here.
        drawn: (s,) images here.
        marked: (s,) marked images here and there.
        size: (s,) images here and there.
    """
    marks = np.flatnonzero(marked > 0)
    forms = Counter(zip(drawn[marks].tolist(), marked[marks].tolist(), size[marks].tolist(), strict=True))
    return _tail(forms, int(won.sum()))


def _tail(forms: Counter[tuple[int, int, int]], won: int) -> float:
    """Return the chance of as many marked images here, from the forms (here, marked, all) of strata that have any."""
    return float(min(1.0, _distribution(tuple(sorted(forms.items())))[won:].sum()))


@lru_cache(maxsize=1 << 12)
def _distribution(forms: tuple[tuple[tuple[int, int, int], int], ...]) -> Float[np.ndarray, " m"]:
    """Return the distribution of the marked images here, from the forms of strata and how many have each.

    Strata of one form have one distribution: it is convolved once and raised to their number. Most classes are a wrong
    answer once or twice, so few sets of forms come again and again.
    """
    chances = np.ones(1)
    for (here, count, whole), times in forms:
        every = comb(whole, here)
        ways = [comb(count, k) * comb(whole - count, here - k) / every for k in range(min(here, count) + 1)]
        chances = np.convolve(chances, _power(np.array(ways, dtype=np.float64), times))
    return chances


def _power(chances: Float[np.ndarray, " k"], times: int) -> Float[np.ndarray, " m"]:
    """Return the distribution of the sum of so many independent counts, by repeated squaring."""
    answer = np.ones(1)
    while times:
        if times % 2:
            answer = np.convolve(answer, chances)
        chances, times = np.convolve(chances, chances), times // 2
    return answer


def shares(pair: Matched, label: int) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Return which images here are wrongly answered with a class, and the share of their photos' images there that are.

    Args:
        pair: matched images.
        label: the class.

    Returns:
        (n,) of 0 and 1, and (n,) in [0, 1].
    """
    here, there = pair.wrongly(label)
    share = _count(pair.photo_there[there], pair.photos) / np.maximum(pair.counts()[1], 1)
    return here.astype(np.float64), share[pair.photo_here]


def excess(pair: Matched, label: int) -> Excess:
    """Measure how much more often a class is the wrong answer here than there.

    Args:
        pair: matched images.
        label: the class.
    """
    here, there = shares(pair, label)
    change = here - there
    if not len(change):
        nothing = float("nan")
        return Excess(label, 0, nothing, nothing, nothing, (nothing, nothing), [])
    own = np.zeros(len(change), dtype=np.int64)
    found = difference_intervals(change, sample_of(pair.here, Groups(own, ("here",))))
    return Excess(
        label=label,
        n=len(change),
        here=float(here.mean()),
        there=float(there.mean()),
        excess=float(change.mean()),
        ci95=(float(found.low[0]), float(found.high[0])),
        doubts=doubts(*photos_of_all(found.photos), 0.5),
    )


def truths(pair: Matched, label: int) -> list[tuple[int, int]]:
    """Return the classes that are wrongly answered with a class here, the commonest first: (class, images)."""
    labels, counts = np.unique(pair.here.foreground[pair.wrongly(label)[0]], return_counts=True)
    order: Sequence[int] = np.lexsort((labels, -counts)).tolist()
    return [(int(labels[place]), int(counts[place])) for place in order]


def _of_photos(table: Predictions, photos: Shaped[np.ndarray, " p"]) -> tuple[Predictions, Int[np.ndarray, " n"]]:
    """Return the images of some photos in the order of their keys, and which photo each is of."""
    source = table.foreground_source.astype(str)
    rows = np.flatnonzero(np.isin(source, photos))
    rows = rows[np.argsort(table.key[rows].astype(str))]  # sums of floats depend on the order of rows
    return take(table, rows), np.searchsorted(photos, source[rows])


def _photos_by_answer(table: Predictions, photo: Int[np.ndarray, " n"]) -> dict[int, Int[np.ndarray, " k"]]:
    """Return wrong answer -> photos of the images that have it."""
    answer = table.prediction[:, 0]
    wrong = np.flatnonzero(answer != table.foreground)
    wrong = wrong[np.argsort(answer[wrong], kind="stable")]
    labels, starts = np.unique(answer[wrong], return_index=True)
    return dict(zip(labels.tolist(), np.split(photo[wrong], starts[1:]), strict=True)) if len(labels) else {}


def _wrongly(table: Predictions, label: int) -> Bool[np.ndarray, " n"]:
    return (table.prediction[:, 0] == label) & (table.foreground != label)


def _count(photo: Int[np.ndarray, " n"], photos: int) -> Int[np.ndarray, " photos"]:
    return np.bincount(photo, minlength=photos)
