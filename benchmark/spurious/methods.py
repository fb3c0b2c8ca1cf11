"""The methods that `correlate` compares, as data: each is fitted on one draw and predicts the test images.

Torch half.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmark import erasers
from benchmark.models.training_record import Partition
from benchmark.spurious import last_layer
from benchmark.spurious.sampling import NONE, Cells, Draw
from d3s_dataset.errors import ResultError


@dataclass(frozen=True, eq=False)
class Rows:
    """(n, d) features of n images, their cells, and (n,) codes of foreground photos."""

    features: np.ndarray
    cells: Cells
    photo: np.ndarray


@dataclass(frozen=True, eq=False)
class Setting:
    """One model, one draw: the input of a method.

    Attributes:
        train: the train split's rows; those of no group too, which erasers are fitted on.
        test: features of the test images.
        drawn: the rows of `train` by use.
        groups: how many there are.
        partition: of the model's features; None where nothing is split.
        seed: of the draw, for what else is drawn.
    """

    train: Rows
    test: np.ndarray
    drawn: Draw
    groups: int
    partition: Partition | None
    seed: int

    def learn(self, features: np.ndarray, test: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the groups of `test` predicted by a plain head on some rows of the train split's `features`."""
        labels, photo = self.train.cells.group[rows], self.train.photo[rows]
        return last_layer.plain(features[rows], labels, photo, self.groups, self.seed)(test).argmax(1)


Method = Callable[[Setting], np.ndarray]  # to the (m,) predicted groups of the test images


def plain(setting: Setting) -> np.ndarray:
    """Read all features."""
    return setting.learn(setting.train.features, setting.test, setting.drawn.train)


def foreground_part(setting: Setting) -> np.ndarray:
    """Read the foreground part of the features."""
    assert setting.partition is not None
    columns = setting.partition.columns("foreground")
    return setting.learn(setting.train.features[:, columns], setting.test[:, columns], setting.drawn.train)


def dfr(setting: Setting) -> np.ndarray:
    """Retrain the last layer on balanced rows (Kirichenko et al., arXiv 2204.02937): it sees conflicting images.

    Their L1 penalty is replaced by L2, chosen on held-out photos as everywhere here.
    """
    return setting.learn(setting.train.features, setting.test, setting.drawn.balanced)


def group_dro(setting: Setting) -> np.ndarray:
    """Lower the worst group's loss (Sagawa et al., arXiv 1911.08731); with rho = 1 no group is conflicting."""
    return _by_groups(last_layer.group_dro, setting)


def jtt(setting: Setting) -> np.ndarray:
    """Count a first head's errors more often (Liu et al., arXiv 2107.09044); with rho = 1 no row is conflicting."""
    return _by_groups(last_layer.jtt, setting)


def _by_groups(fit: Callable[..., last_layer.Head], setting: Setting) -> np.ndarray:
    """Fit a head that takes groups of label x aligned to the drawn rows, and read the test rows by it."""
    rows, cells = setting.drawn.train, setting.train.cells
    head = fit(
        setting.train.features[rows],
        cells.group[rows],
        cells.group[rows] * 2 + cells.aligned[rows],
        setting.train.photo[rows],
        setting.groups,
        setting.seed,
    )
    return head(setting.test)


def erased(name: str) -> Method:
    """Return the method that reads what an eraser leaves; it is fitted on the classes that belong to no group."""

    def read(setting: Setting) -> np.ndarray:
        cells = setting.train.cells
        others = np.flatnonzero(cells.group == NONE)
        if not len(others):
            raise ResultError(
                "an eraser is fitted on classes of no group, and the pairing leaves none: type --erase with no name"
            )
        erase = erasers.fit(
            name,
            setting.train.features[others],
            cells.background[others],
            setting.train.photo[others],
            seed=setting.seed,
        )
        return setting.learn(erase(setting.train.features), erase(setting.test), setting.drawn.train)

    return read


def methods(partition: Partition | None, names: list[str]) -> dict[str, Method]:
    """Return the methods by name: plain features first, erasers by their names, a partition where there is one."""
    split: dict[str, Method] = {"foreground part": foreground_part} if partition else {}
    erasing = {f"erased: {name}": erased(name) for name in names}
    return {"plain": plain, **erasing, **split, "JTT": jtt, "DFR": dfr, "GroupDRO": group_dro}
