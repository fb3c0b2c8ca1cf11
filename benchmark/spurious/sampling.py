"""The spurious-correlation task (arXiv 2211.10370, section 5) on arrays: which rows are drawn, and what is measured.

Groups of classes are classified, each paired with one background in training. With rho = 1 all training images are
aligned, as in the paper; with rho = 0 a group's backgrounds are all equally frequent. Deterministic from a seed. Needs
no torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.data.pairing import Pairing
from benchmark.metrics.intervals import RESAMPLES, Sample
from benchmark.metrics.seeds import accuracies, difference, intervals, worst
from benchmark.schemas.experiments import Scores
from benchmark.schemas.metrics import Spread
from d3s_dataset.errors import ResultError
from d3s_dataset.identity import hashed

_USED = 0.8  # share of the smallest group's aligned images that a seed draws, so that seeds differ
_LEAST = 4  # images of a group: some to learn from, some to choose on
NONE = -1
_KINDS = ("aligned", "conflicting")


@dataclass(frozen=True, eq=False)
class Cells:
    """Groups of n images: the group, -1 for none, the background label, and whether the two are aligned, each (n,)."""

    group: np.ndarray
    background: np.ndarray
    aligned: np.ndarray

    @classmethod
    def of(cls, pairing: Pairing, foreground: np.ndarray, background: np.ndarray, names: list[str]) -> "Cells":
        """Return the cells of labels; `names` are the release's backgrounds."""
        return cls(pairing.group(foreground), background, pairing.aligned(foreground, background, names))


@dataclass(frozen=True, eq=False)
class Draw:
    """Row numbers: `train` to learn the groups from, `balanced` as many of every group on every background."""

    train: np.ndarray
    balanced: np.ndarray


def draw(cells: Cells, names: tuple[str, ...], backgrounds: Sequence[str], rho: float, seed: int) -> Draw:
    """Draw one seed's training rows: as many of every group, a share of rho + (1 - rho) / backgrounds of them aligned.

    The other rows lie evenly on the other backgrounds. `balanced` rows are none of the training rows.

    Args:
        cells: of the train split's images.
        names: of the groups.
        backgrounds: the release's names in label order.
        rho: in [0, 1].
        seed: of the draw.

    Raises:
        ResultError: a group without enough aligned or conflicting images, or not on every background.
    """
    order, groups = hashed(seed, np.arange(len(cells.group))), len(names)
    counts = [int((cells.aligned & (cells.group == each)).sum()) for each in range(groups)]
    size = int(_USED * min(counts))
    if size < _LEAST:
        few = f"{min(counts)} of {names[int(np.argmin(counts))]}"
        raise ResultError(f"expected {_LEAST / _USED:.0f} or more aligned training images of every group, got {few}")
    alike = round(size * (rho + (1 - rho) / len(backgrounds)))
    taken = []
    for each, name in enumerate(names):
        inside, outside = ((cells.group == each) & (cells.aligned == aligned) for aligned in (True, False))
        if size - alike > outside.sum():
            raise ResultError(
                f"rho {rho:g} draws {size - alike} conflicting training images of every group, got {outside.sum()} of "
                f"{name}: expected a higher --rho or a larger split"
            )
        taken += [
            _spread(inside, cells.background, order, alike),
            _spread(outside, cells.background, order, size - alike),
        ]
    train = np.concatenate(taken)
    return Draw(train, _balanced(cells, train, names, backgrounds, order))


def _spread(among: np.ndarray, background: np.ndarray, order: np.ndarray, count: int) -> np.ndarray:
    """Return `count` of the rows in `among`, evenly over their backgrounds, in drawn order."""
    rows = np.flatnonzero(among)
    rows = rows[np.lexsort((order[rows], background[rows]))]
    first = np.unique(background[rows], return_index=True)[1]
    rank = np.arange(len(rows)) - np.repeat(first, np.diff([*first, len(rows)]))
    return rows[np.lexsort((order[rows], rank))][:count]


def _balanced(
    cells: Cells, train: np.ndarray, names: Sequence[str], backgrounds: Sequence[str], order: np.ndarray
) -> np.ndarray:
    free = cells.group != NONE
    free[train] = False
    places = {
        f"{name} on {backgrounds[background]}": np.flatnonzero(
            free & (cells.group == group) & (cells.background == background)
        )
        for group, name in enumerate(names)
        for background in np.unique(cells.background)
    }
    fewest, rows = min(places.items(), key=lambda place: len(place[1]))
    if not len(rows):
        raise ResultError(
            "in addition to the drawn training images expected one or more of every group on every background, "
            f"to retrain the last layer on (DFR), got none of {fewest}"
        )
    return np.concatenate([each[np.argsort(order[each])][: len(rows)] for each in places.values()])


def score(
    right: np.ndarray,
    base: np.ndarray,
    cells: Cells,
    names: Sequence[str],
    photos: tuple[np.ndarray, np.ndarray],
    resamples: int = RESAMPLES,
) -> Scores:
    """Return the scores of a method.

    Args:
        right: (seeds, m) bool, True for test images classified correctly.
        base: the same of plain features.
        cells: of the m test images.
        names: of the groups.
        photos: (m,) codes of foreground photos and of background photos, -1 where an image has none.
        resamples: how many bootstrap samples of each interval.
    """
    parts = [f"{name}, {kind}" for name in names for kind in _KINDS]
    groups, kinds = _by_group(cells, len(names), photos), _by_kind(cells, photos)
    own = accuracies(right, groups, intervals(right, groups, resamples))
    aligned, conflicting, _ = accuracies(right, kinds, intervals(right, kinds, resamples))
    half = Spread(mean=None, ci95=(None, None))  # of aligned - conflicting
    if np.isin(range(len(_KINDS)), kinds.group).all():  # a mix of one kind would be that kind's
        half = difference(np.where(cells.aligned, 1.0, -1.0) * right, kinds, -1, resamples)
    return Scores(
        aligned=aligned,
        conflicting=conflicting,
        drop=half.model_copy(update={"mean": _twice(half.mean), "ci95": (_twice(half.ci95[0]), _twice(half.ci95[1]))}),
        worst_group=worst(right, groups, parts, resamples),
        gain=difference(right.astype(np.float64) - base, kinds, 1, resamples),
        groups={name: each for name, each in zip(parts, own, strict=True) if each.mean is not None},
    )


def _by_group(cells: Cells, groups: int, photos: tuple[np.ndarray, np.ndarray]) -> Sample:
    """Return the test images by group and kind."""
    label = np.where(cells.group == NONE, NONE, 2 * cells.group + ~cells.aligned)
    return Sample(*photos, cells.background, label, 2 * groups, np.empty((0, 2 * groups)))


def _by_kind(cells: Cells, photos: tuple[np.ndarray, np.ndarray]) -> Sample:
    """Return the test images by kind, and half of either as a mix.

    As a mix over groups, of eight aligned images each, the bootstrap would know too little of each: 99.5 % coverage.
    """
    label = np.where(cells.group == NONE, NONE, (~cells.aligned).astype(np.int64))
    return Sample(*photos, cells.background, label, len(_KINDS), np.full((1, len(_KINDS)), 1 / len(_KINDS)))


def _twice(value: float | None) -> float | None:
    return None if value is None else min(1.0, max(-1.0, 2 * value))
