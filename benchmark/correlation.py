"""The spurious-correlation task (arXiv 2211.10370, section 5) on arrays: which rows are drawn, and what is measured.

Groups of classes are told apart, each tied to one background in training. With rho = 1 all training images are tied, as
in the paper; with rho = 0 a group's backgrounds are all equally frequent. Deterministic from a seed. Needs no torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.pairing import Pairing
from benchmark.scores import Spread
from benchmark.stats import LEVEL
from benchmark.trials import Scores
from d3s_dataset.errors import ResultError
from d3s_dataset.identity import hashed

_USED = 0.8  # share of the smallest group's tied images that a seed draws, so that seeds differ
_LEAST = 4  # images of a group: some to learn from, some to choose on
NONE = -1


@dataclass(frozen=True, eq=False)
class Cells:
    """Of n images: the group, -1 for none, the background label, and whether the two are tied, each (n,)."""

    group: np.ndarray
    background: np.ndarray
    tied: np.ndarray

    @classmethod
    def of(cls, pairing: Pairing, foreground: np.ndarray, background: np.ndarray, names: list[str]) -> "Cells":
        """Return the cells of labels; `names` are the release's backgrounds."""
        return cls(pairing.group(foreground), background, pairing.tied(foreground, background, names))


@dataclass(frozen=True, eq=False)
class Draw:
    """Row numbers: `train` to learn the groups from, `balanced` as many of every group on every background."""

    train: np.ndarray
    balanced: np.ndarray


def draw(cells: Cells, names: tuple[str, ...], backgrounds: Sequence[str], rho: float, seed: int) -> Draw:
    """Draw one seed's training rows: as many of every group, a share of rho + (1 - rho) / backgrounds of them tied.

    The other rows lie evenly on the other backgrounds. `balanced` rows are none of the training rows.

    Args:
        cells: of the train split's images.
        names: of the groups.
        backgrounds: the release's names in label order.
        rho: in [0, 1].
        seed: of the draw.

    Raises:
        ResultError: a group without enough tied or untied images, or not on every background.
    """
    order, groups = hashed(seed, np.arange(len(cells.group))), len(names)
    counts = [int((cells.tied & (cells.group == each)).sum()) for each in range(groups)]
    size = int(_USED * min(counts))
    if size < _LEAST:
        few = f"{min(counts)} of {names[int(np.argmin(counts))]}"
        raise ResultError(f"expected {_LEAST / _USED:.0f} or more tied training images of every group, got {few}")
    alike = round(size * (rho + (1 - rho) / len(backgrounds)))
    taken = []
    for each, name in enumerate(names):
        inside, outside = ((cells.group == each) & (cells.tied == tied) for tied in (True, False))
        if size - alike > outside.sum():
            raise ResultError(
                f"rho {rho:g} draws {size - alike} untied training images of every group, got {outside.sum()} of "
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
        f"{name} on {backgrounds[behind]}": np.flatnonzero(free & (cells.group == group) & (cells.background == behind))
        for group, name in enumerate(names)
        for behind in np.unique(cells.background)
    }
    fewest, rows = min(places.items(), key=lambda place: len(place[1]))
    if not len(rows):
        raise ResultError(
            "beside the drawn training images expected one or more of every group on every background, "
            f"to retrain the last layer on (DFR), got none of {fewest}"
        )
    return np.concatenate([each[np.argsort(order[each])][: len(rows)] for each in places.values()])


def score(right: np.ndarray, base: np.ndarray, cells: Cells, names: tuple[str, ...]) -> Scores:
    """Return the scores of a way of reading.

    Args:
        right: (seeds, m) bool, which test images were told right.
        base: the same of plain features.
        cells: of the m test images.
        names: of the groups.
    """
    kinds = {"tied": cells.tied, "untied": ~cells.tied}
    tied, untied = (right[:, kind].mean(1) for kind in kinds.values())
    parts = {
        f"{name}, {kind}": right[:, chosen & (cells.group == index)]
        for index, name in enumerate(names)
        for kind, chosen in kinds.items()
    }
    accuracies = {name: part.mean(1) for name, part in parts.items() if part.shape[1]}
    return Scores(
        tied=shares(tied),
        untied=shares(untied),
        drop=spread(tied - untied),
        worst=shares(np.min([*accuracies.values()], axis=0)),
        gain=spread(untied - base[:, ~cells.tied].mean(1)),
        groups={name: shares(values) for name, values in accuracies.items()},
    )


def spread(values: np.ndarray) -> Spread:
    """Return the mean of (seeds,) values and its interval."""
    mean, count = float(values.mean()), len(values)
    if count < 2:
        return Spread(mean=mean, ci95=(None, None))
    from scipy.stats import t as student

    half = float(student.ppf((1 + LEVEL) / 2, count - 1) * values.std(ddof=1) / np.sqrt(count))
    return Spread(mean=mean, ci95=(mean - half, mean + half))


def shares(values: np.ndarray) -> Spread:
    """Return the same of accuracies, whose interval ends at 0 and 1."""
    found = spread(values)
    low, high = found.ci95
    if low is None or high is None:
        return found
    return Spread(mean=found.mean, ci95=(max(0.0, low), min(1.0, high)))
