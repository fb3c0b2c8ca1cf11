"""Training data of erasers, and the moments of it that several of them use."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

Map = Callable[[np.ndarray], np.ndarray]  # (m, d) float32 -> (m, d)


@dataclass(frozen=True)
class Rows:
    """Training data of an eraser.

    Attributes:
        features: (n, d) float32, finite.
        erase: (n,) labels to erase, in 0..labels-1, each used.
        keep: (n,) photos that should stay recognisable, in 0..photos-1, each used.
    """

    features: np.ndarray
    erase: np.ndarray
    keep: np.ndarray


class Fit(Protocol):
    """A function that fits one eraser: an entry of the table `ERASERS`."""

    def __call__(self, rows: Rows, seed: int, /) -> tuple[Map, int]:
        """Return a map of features, which sees nothing but features, and how many dimensions it leaves at most.

        Args:
            rows: what it is fitted on.
            seed: of whatever is drawn in fitting; the same rows and seed give the same map.
        """
        ...


def affine(centre: np.ndarray, matrix: np.ndarray) -> Map:
    """Return the map x -> centre + (x - centre) @ matrix, for rows x; `centre` (d,), `matrix` (d, d)."""
    centre, matrix = centre.astype(np.float32), matrix.astype(np.float32)
    return lambda features: centre + (features - centre) @ matrix


def one_hot(codes: np.ndarray) -> np.ndarray:
    """Return (n, k) float64 from (n,) codes in 0..k-1."""
    return np.eye(int(codes.max()) + 1)[codes]
