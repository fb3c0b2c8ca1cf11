"""Folds of probes: train, held-out and test rows, cut by photos in four ways.

What a probe reads on photos it has seen may be the photo and not the kind of place: so the same table is cut by rows,
and by foreground photos, background photos, and both. Deterministic from a seed. Needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from d3s_dataset.errors import ResultError
from d3s_dataset.identity import hashed

if TYPE_CHECKING:
    from jaxtyping import Bool, Int

CUTS = ("seen", "unseen_foreground", "unseen_background", "unseen_both")
LEAST = 3  # photos of a stratum: one to learn from, one to choose on, one to test on
_TEST = 3  # one part of so many is tested on
_HELD = 4  # one part of so many of the training photos is held out, where there are as many
_MOST = 5  # folds of unseen background photos
_CODED = 2  # photos of a stratum in the first block: one to learn from, one to choose on
_BLOCKS = 10  # of an online code after the first


@dataclass(frozen=True, eq=False)
class Photos:
    """Photos of n rows, as (n,) codes, and the strata within which photos are dealt out evenly.

    Background photos are dealt within `background_stratum`, their background. Foreground photos within
    `foreground_stratum`: their class where it is what is read, zeros where all photos are alike.
    """

    foreground: Int[np.ndarray, " n"]
    background: Int[np.ndarray, " n"]
    foreground_stratum: Int[np.ndarray, " n"]
    background_stratum: Int[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class Fold:
    """Row numbers: `train` (t,) and `test`, disjoint; (t,) bool within `train`: `learn` and `held` out for choosing."""

    train: Int[np.ndarray, " t"]
    test: Int[np.ndarray, " m"]
    learn: Bool[np.ndarray, " t"]
    held: Bool[np.ndarray, " t"]


def cut(name: str, photos: Photos, seed: int) -> list[Fold]:
    """Return the folds of one of `CUTS`; no row is tested on twice.

    - `seen`: a third of the rows is tested on, drawn at random.
    - `unseen_foreground`: a third of the foreground photos.
    - `unseen_background`: each background's photos in turn, one of each background at a time (leave one photo out); in
      five parts where every background has more than five.
    - `unseen_both`: a third of either; rows that mix a tested photo with a training photo are not used.

    Rows held out for choosing differ from those learnt from as test rows differ from training rows.

    Raises:
        ResultError: too few photos for that.
    """
    ways = _ways(name, photos)
    most = _MOST if name == "unseen_background" else _TEST
    dealt = [_deal(*way, most, LEAST, seed) for way in ways]
    folds = range(max(int(part.max()) + 1 for part in dealt)) if name == "unseen_background" else range(1)
    chosen = [np.stack([part == fold for part in dealt]) for fold in folds]
    return [_fold(ways, ~np.any(each, axis=0), np.all(each, axis=0), seed) for each in chosen]


def blocks(name: str, photos: Photos, labels: Int[np.ndarray, " n"], seed: int) -> list[Fold]:
    """Return the folds of an online code (Voita & Titov, arXiv 2003.12298): each learns on all blocks before its own.

    Rows stand in the order in which one of `CUTS` deals out its photos (`seen`: the rows of each label), a row of two
    photos at the later one. Blocks double: the last is half of that order. Nothing is learnt for rows before the first
    fold's test.

    Args:
        name: one of `CUTS`.
        photos: of the rows.
        labels: (n,) what is coded.
        seed: of the order.

    Raises:
        ResultError: fewer than two photos of a stratum.
    """
    ways = [(np.arange(len(labels)), labels, "")] if name == "seen" else _ways(name, photos)
    rank = np.max([_deal(*way, len(way[0]), _CODED, seed, spread=True) for way in ways], axis=0)
    ends = [int(rank.max()) + 1]
    while ends[-1] > _CODED and len(ends) <= _BLOCKS:
        ends.append(max(ends[-1] // 2, _CODED))
    ends = ends[::-1]
    pairs = pairwise(ends)
    return [_fold(ways, rank < first, (first <= rank) & (rank < last), seed) for first, last in pairs]


def three_sets(photos: Photos, seed: int) -> Int[np.ndarray, " n"]:
    """Return (n,) in 0..2: the foreground photos of each stratum dealt to an eraser, its probes, and the test.

    Raises:
        ResultError: a stratum with fewer than three photos.
    """
    return _deal(*_ways("unseen_foreground", photos)[0], LEAST, LEAST, seed)


def left_out(photos: Photos, seed: int) -> Bool[np.ndarray, " n"]:
    """Return (n,) bool: rows on a third of each background's photos, drawn.

    Raises:
        ResultError: a background with fewer than three photos.
    """
    return _deal(*_ways("unseen_both", photos)[1], _TEST, LEAST, seed) == 0


def apart(photos: Photos, sets: Int[np.ndarray, " n"], seed: int, unseen: Bool[np.ndarray, " n"] | None = None) -> Fold:
    """Return the fold that learns on set 1 and is tested on set 2 (`three_sets`).

    Args:
        photos: of the rows.
        sets: (n,) in 0..2.
        seed: of what is held out.
        unseen: (n,) bool, the only rows to test on, and none to learn from: background photos that are left out.

    Raises:
        ResultError: too few photos for that.
    """
    train, test = sets == 1, sets == 2
    if unseen is None:
        return _fold(_ways("unseen_foreground", photos), train, test, seed)
    return _fold(_ways("unseen_both", photos), train & ~unseen, test & unseen, seed)


def hold_out(photo: Int[np.ndarray, " n"], stratum: Int[np.ndarray, " n"], seed: int = 0) -> Bool[np.ndarray, " n"]:
    """Return an (n,) bool that holds out about a quarter of the photos of each stratum, at least one and never all.

    Args:
        photo: (n,) codes of photos, or of rows.
        stratum: (n,) codes; zeros where all photos are alike.
        seed: of the draw.

    Raises:
        ResultError: a stratum with a single photo.
    """
    return _deal(photo, stratum, "", _HELD, LEAST - 1, seed) == 0


_Way = tuple[np.ndarray, np.ndarray, str]  # photo, stratum, what to call it


def _ways(name: str, photos: Photos) -> list[_Way]:
    foreground_way = photos.foreground, photos.foreground_stratum, "foreground"
    background_way = photos.background, photos.background_stratum, "background"
    n = len(photos.foreground)
    rows = np.arange(n), np.zeros(n, dtype=np.int64), ""
    return {
        "seen": [rows],
        "unseen_foreground": [foreground_way],
        "unseen_background": [background_way],
        "unseen_both": [foreground_way, background_way],
    }[name]


def _fold(ways: list[_Way], train: np.ndarray, test: np.ndarray, seed: int) -> Fold:
    rows = np.flatnonzero(train)
    held = [hold_out(photo[rows], stratum[rows], seed) for photo, stratum, _ in ways]
    return Fold(rows, np.flatnonzero(test), ~np.any(held, axis=0), np.all(held, axis=0))


def _deal(
    photo: np.ndarray, stratum: np.ndarray, what: str, most: int, least: int, seed: int, spread: bool = False
) -> np.ndarray:
    """Return (n,) part numbers: the photos of each stratum dealt out in turn, in drawn order.

    There are `most` parts, or as many as the stratum with the fewest photos fills; with `spread` each photo of a
    stratum is a part of its own.
    """
    pairs, place = np.unique(np.stack([stratum, photo]), axis=1, return_inverse=True)
    order = np.lexsort((hashed(seed, pairs[1]), pairs[0]))
    _, start, count = np.unique(pairs[0][order], return_index=True, return_counts=True)
    fewest = int(count.min())
    if fewest < least or (photo < 0).any():
        raise ResultError(_too_few(what, least, 0 if (photo < 0).any() else fewest))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(start, count)
    return (rank if spread else rank % min(most, fewest))[place.reshape(-1)]


def _too_few(what: str, least: int, count: int) -> str:
    if not what:
        return f"too few images: expected {least} photos or more to learn from and choose on, got {count}; use more"
    of = "background" if what == "background" else "class that is read"
    return f"too few {what} photos: a cut by unseen {what} photos needs at least {least} of every {of}, got {count}"
