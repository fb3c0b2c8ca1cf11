"""Classes that a background pulls answers to: wrong answers on it against those on the same photos elsewhere.

Elsewhere is a control set (the same objects without the background) or, where there is none, the other backgrounds.
Both are matched photo by photo, so that a class is not over-predicted merely because its look-alikes stand there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics.compute import sample_of
from benchmark.metrics.groups import Groups, distinct
from benchmark.metrics.intervals import difference_intervals
from benchmark.metrics.statistics import doubts, photos_of_all
from benchmark.schemas.predictions import Predictions, take
from benchmark.schemas.text import codes_of, order_of, stored

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

_Forms = tuple[tuple[tuple[int, int, int], int], ...]  # sorted forms of strata (here, marked, all), how many have each


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
    own, other = np.split(codes_of([stored(each, "foreground_source") for each in (here, there)]), [len(here)])
    count = max(own.max(initial=0), other.max(initial=0)) + 1
    common = (_count(own, count) > 0) & (_count(other, count) > 0)
    place = np.where(common, np.cumsum(common) - 1, -1)
    here, own = _of_photos(here, place[own])
    there, other = _of_photos(there, place[other])
    return Matched(here, there, own, other, int(common.sum()))


def excess_tests(pair: Matched) -> tuple[Int[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Test every class that is a wrong answer here: (k,) labels in order, (k,) one-sided p-values, not corrected.

    The test is `stratified_p` with one stratum per foreground photo. It compares these background photos: that others
    would do the same, the interval of `Excess` shows.
    """
    answer, photo = _wrong_answers(pair.here, pair.photo_here)
    answer_there, photo_there = _wrong_answers(pair.there, pair.photo_there)
    labels, own = np.unique(answer, return_inverse=True)
    kept = np.isin(answer_there, labels)
    own_there = np.searchsorted(labels, answer_there[kept])
    # The marked images of every class and photo, then the strata of every class and form.
    pairs = np.concatenate([own, own_there]), np.concatenate([photo, photo_there[kept]])
    (owner, stratum), which = distinct(*pairs)
    drawn, others = pair.counts()
    (owner, *parts), which = distinct(owner, drawn[stratum], np.bincount(which), (drawn + others)[stratum])
    form: Iterator[tuple[int, int, int]] = zip(*(each.tolist() for each in parts), strict=True)
    times: list[int] = np.bincount(which).tolist()
    forms = list(zip(form, times, strict=True))
    ends: list[int] = np.searchsorted(owner, np.arange(len(labels) + 1)).tolist()
    won: list[int] = np.bincount(own).tolist()
    found = [_tail(tuple(forms[ends[at] : ends[at + 1]]), count) for at, count in enumerate(won)]
    return labels.astype(np.int64), np.array(found, dtype=np.float64)


def _wrong_answers(table: Predictions, photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the answers that are wrong, and the photos of their images."""
    wrong = np.flatnonzero(table.prediction[:, 0] != table.foreground)
    return table.prediction[wrong, 0], photo[wrong]


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
    return _tail(tuple(sorted(forms.items())), int(won.sum()))


@lru_cache(maxsize=1 << 14)
def _tail(forms: _Forms, won: int) -> float:
    """Return the chance of as many marked images here, from the forms of strata that have any."""
    return float(min(1.0, _distribution(forms)[won:].sum()))


@lru_cache(maxsize=1 << 12)
def _distribution(forms: _Forms) -> Float[np.ndarray, " m"]:
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


def _of_photos(table: Predictions, photo: Int[np.ndarray, " n"]) -> tuple[Predictions, Int[np.ndarray, " m"]]:
    """Return the images whose photo is not -1 in the order of their keys, and which photo each is of."""
    if (photo < 0).any():
        rows = np.flatnonzero(photo >= 0)
        table, photo = take(table, rows), photo[rows]
    order, _ = order_of(stored(table, "key"))  # sums of floats depend on the order of rows
    return (table, photo) if order is None else (take(table, order), photo[order])


def _wrongly(table: Predictions, label: int) -> Bool[np.ndarray, " n"]:
    return (table.prediction[:, 0] == label) & (table.foreground != label)


def _count(photo: Int[np.ndarray, " n"], photos: int) -> Int[np.ndarray, " photos"]:
    return np.bincount(photo, minlength=photos)
