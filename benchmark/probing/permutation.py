"""The permutation null of a reading: labels permuted over photos of the label's kind, the probe fitted anew.

Chance is not 1 / classes on unseen photos: the photo left out is missing from the mean of its own class, so features
without any effect of the label read less than that. Where labels do not matter, photos are exchangeable among those
that play the same part in every fold (tested on, held out, learnt from): labels are permuted among these, so that every
fold keeps as many photos of each label. All rows of a photo get the new label. The reading of the real labels is then
one more draw of the null's. For LDA, which chooses its shrinkage anew for every permutation, the test is exact; the
others keep the hyperparameters that the real labels chose (the network's grid is not searched again). Needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics.statistics import LEVEL, stdtrit
from benchmark.probing.folds import Fold
from benchmark.schemas.experiments import Null
from d3s_dataset.identity import hashed

if TYPE_CHECKING:
    from jaxtyping import Float, Int

MANY = 100  # permutations whose quantiles stand for the null
_ROUNDING = 1e-12
_PERMUTED = 2  # stream of the order in which labels are dealt out


@dataclass(frozen=True, eq=False)
class Owners:
    """The photos of n rows: (n,) `of` each row, and of each photo its (u,) `label` and (u,) `part` in the folds."""

    of: Int[np.ndarray, " n"]
    label: Int[np.ndarray, " u"]
    part: Int[np.ndarray, " u"]


def owners(labels: Int[np.ndarray, " n"], photo: Int[np.ndarray, " n"], folds: Sequence[Fold]) -> Owners:
    """Return the photos that carry the labels, each with its part: photos of one part may exchange labels.

    A row without a photo (-1) is a photo of its own. Photos of which some fold has rows in training and in the test
    alike (a cut by other photos, or by rows) play one part.

    Args:
        labels: (n,) int, the same on all rows of a photo.
        photo: (n,) codes of the photos of the label's kind.
        folds: of row numbers.
    """
    alone = np.where(photo < 0, np.arange(len(photo)), -1)
    (_, _, label), of = np.unique(np.stack([photo, alone, labels]), axis=1, return_inverse=True)
    of = of.reshape(-1)
    parts = np.zeros((len(folds), len(label)), dtype=np.int64)
    for index, fold in enumerate(folds):
        roles = 1 + fold.learn + 2 * fold.held, np.full(len(fold.test), 4)
        for rows, bits in zip((fold.train, fold.test), roles, strict=True):
            for bit in np.unique(bits):
                parts[index, of[rows[bits == bit]]] |= 1 << int(bit)
    tested = parts >> 4 & 1 == 1
    if (tested & (parts & 15 > 0)).any():
        parts[:] = 0
    return Owners(of, label, np.unique(parts, axis=1, return_inverse=True)[1].reshape(-1))


def permuted(found: Owners, repeats: int, seed: int) -> Int[np.ndarray, "r n"] | None:
    """Return (repeats, n) labels of the rows, or None where no permutation changes which photos share a label.

    That is so where every photo has a label of its own (to permute is to rename), and where no part holds two labels.

    Args:
        found: the photos.
        repeats: how many.
        seed: of the draw.
    """
    mixed = {part for part in np.unique(found.part) if len(np.unique(found.label[found.part == part])) > 1}
    if not mixed or np.bincount(found.label).max() < 2:
        return None
    each = np.arange(len(found.label))
    plain, answer = np.lexsort((each, found.part)), np.empty((repeats, len(each)), dtype=np.int64)
    for repeat in range(repeats):
        answer[repeat, plain] = found.label[np.lexsort((hashed(seed, _PERMUTED, repeat, each), found.part))]
    return answer[:, found.of]


def compared(
    accuracy: float, ci95: tuple[float, float], null: Float[np.ndarray, " r"], spread: float | None = None
) -> Null:
    """Return a reading against its null: the difference to the null's mean with its 95 % interval, and p.

    The interval holds every difference d that a test does not reject, with a variance that goes with d, as in a score
    interval (Wilson's): at d = 0 it is the null's own (its quantiles of `MANY` draws, which may be skewed; of fewer,
    that of one more draw with r - 1 degrees of freedom); at the difference found it is that of the reading's interval,
    with the error of the null's mean; in between it is interpolated. So 0 lies within exactly if the reading is one
    that the null could have given.
    p = (1 + null readings as high) / (1 + r) (Phipson & Smyth, Stat. Appl. Genet. Mol. Biol. 9, 2010), one-sided.

    Args:
        accuracy: of the real labels.
        ci95: its interval over photos.
        null: (r,) accuracies after permutations.
        spread: the null's standard deviation; without, that of `null`. One draw has none: no interval.
    """
    mean, repeats = float(null.mean()), len(null)
    p = (1 + int((null >= accuracy - 1e-12).sum())) / (1 + repeats)
    facts = {"repeats": repeats, "mean": mean, "difference": accuracy - mean, "p": p}
    if repeats < 2:
        return Null(**facts, spread=None, ci95=(None, None))
    given, spread = spread, float(null.std(ddof=1)) if spread is None else spread
    reach = float(stdtrit(np.array(repeats - 1), (1 + LEVEL) / 2)) * spread
    sign = -1 if accuracy < mean else 1
    inward, outward = (accuracy - ci95[0], ci95[1] - accuracy)[::sign]
    error = reach**2 / repeats
    at_zero = reach**2 + error
    if given is None and repeats >= MANY:
        ends = np.quantile(null, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), method="weibull")
        at_zero = float(ends[(sign + 1) // 2] - mean) ** 2
    near = _inner_end(abs(accuracy - mean), at_zero, inward**2 + error)
    far = abs(accuracy - mean) + np.sqrt(outward**2 + error)
    low, high = sorted((sign * near, sign * far))
    return Null(**facts, spread=spread, ci95=(max(low, -1.0), min(high, 1.0)))


def _inner_end(gap: float, at_zero: float, at_gap: float) -> float:
    """Return the smallest d with (gap - d)^2 <= v(d): v goes from `at_zero` at 0, and below, to `at_gap` at the gap."""
    if at_zero >= gap**2 - _ROUNDING:
        return min(gap - float(np.sqrt(at_zero)), 0.0)
    slope = (at_gap - at_zero) / gap
    half = gap + slope / 2
    return half - float(np.sqrt(max(half**2 - gap**2 + at_zero, 0.0)))
