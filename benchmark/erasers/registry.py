"""Erasers: fitted on frozen features and labels, they see features only when they are used.

Fit one on foreground photos that neither probe nor test uses: a linear eraser on the probe's own rows makes a linear
probe constant by construction. Which of two labels is erased and which photos should stay known is the caller's
choice, so that the same erasers work in both directions. Needs no torch before `fit`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from d3s_dataset.errors import EraserError
from d3s_dataset.utils.plugins import PluginTable

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


ERASERS: PluginTable[Fit] = PluginTable(
    "d3s.erasers",
    "eraser",
    {
        "none": "benchmark.erasers.linear:nothing",
        "inlp": "benchmark.erasers.linear:inlp",
        "leace": "benchmark.erasers.linear:leace",
        "splince": "benchmark.erasers.splince:splince",
        "nuisance": "benchmark.erasers.nuisance:nuisance",
        "band": "benchmark.erasers.nuisance:band",
        "noise": "benchmark.erasers.noise:noise",
        "photo-mean": "benchmark.erasers.nuisance:photo_mean",
    },
)
FEWEST = 2  # photos, and labels


@dataclass(frozen=True)
class Eraser:
    """A fitted eraser: a function of features alone.

    Attributes:
        name: which of `ERASERS`.
        rank: how many dimensions remain at most.
        size: how many features go in and come out.
    """

    name: str
    rank: int
    size: int
    _map: Map

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return erased features, (m, size) float32.

        Raises:
            EraserError: features of another number, or not finite.
        """
        features = _checked(
            features, f"the features to erase from (the eraser {self.name!r} was fitted on {self.size})"
        )
        if features.shape[1] != self.size:
            raise EraserError(
                f"the eraser {self.name!r} was fitted on {self.size} features, got {features.shape[1]}: "
                "give it features of the same model"
            )
        return self._map(features).astype(np.float32, copy=False)


def fit(name: str, features: np.ndarray, erase: np.ndarray, keep: np.ndarray, *, seed: int = 0) -> Eraser:
    """Fit an eraser.

    Args:
        name: one of `ERASERS`.
        features: (n, d) features.
        erase: (n,) integer labels to erase.
        keep: (n,) integer ids of the photos that should stay recognisable.
        seed: of what is drawn in fitting; same rows and seed, same eraser.

    Raises:
        EraserError: an unknown name; features that are not finite; fewer than two labels or photos.
    """
    if name not in ERASERS:
        raise EraserError(f"expected an eraser among {', '.join(ERASERS)}, got {name!r}")
    features = _checked(features, "the features an eraser is fitted on")
    rows = Rows(
        features, _codes(erase, len(features), "labels to erase"), _codes(keep, len(features), "photos to keep")
    )
    apply, rank = ERASERS[name](rows, seed)
    return Eraser(name, rank, features.shape[1], apply)


def _checked(features: np.ndarray, what: str) -> np.ndarray:
    if features.ndim != 2 or not len(features):
        raise EraserError(f"expected {what} as (images, features), got an array of shape {features.shape}")
    bad = int((~np.isfinite(features)).any(1).sum())
    if bad:
        raise EraserError(f"{what}: {bad} of {len(features)} images have features that are not finite; leave them out")
    return features.astype(np.float32, copy=False)


def _codes(labels: np.ndarray, n: int, what: str) -> np.ndarray:
    if labels.shape != (n,):
        raise EraserError(f"expected {n} {what}, one per image, got an array of shape {labels.shape}")
    values, codes = np.unique(labels, return_inverse=True)
    if len(values) < FEWEST:
        raise EraserError(f"an eraser needs at least {FEWEST} {what}, got {len(values)}: give it more rows")
    return codes
