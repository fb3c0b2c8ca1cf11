"""Erasers: fitted on frozen features and labels, they see features only when they are used.

Fit one on foreground photos that neither probe nor test uses: a linear eraser on the probe's own rows makes a linear
probe constant by construction. Which of two labels is erased and which photos should stay known is the caller's
choice, so that the same erasers work in both directions. Needs no torch before `fit`.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from d3s_dataset.errors import EraserError
from d3s_dataset.utils.plugins import PluginTable

Head = tuple[np.ndarray, np.ndarray]
Map = Callable[[np.ndarray], np.ndarray]  # (m, d) float32 -> (m, d)


@dataclass(frozen=True)
class Rows:
    """Training data of an eraser.

    Attributes:
        features: (n, d) float32, finite.
        erase: (n,) labels to erase, in 0..labels-1, each used.
        keep: (n,) photos that should stay recognisable, in 0..photos-1, each used.
        head: weights (classes, d) and biases (classes,) of the model's own head on these features, where it has one.
    """

    features: np.ndarray
    erase: np.ndarray
    keep: np.ndarray
    head: Head | None = None


class Fit(Protocol):
    """A function that fits one eraser: an entry of the table `ERASERS`."""

    def __call__(self, rows: Rows, seed: int, /, **options: float) -> tuple[Map, int]:
        """Return a map of features, which sees nothing but features, and how many dimensions it leaves at most.

        Args:
            rows: what it is fitted on.
            seed: of whatever is drawn in fitting; the same rows and seed give the same map.
            options: its constants, as keyword-only parameters with defaults (`options_of`): the trade-off curves are
                over these.
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
        "qleace": "benchmark.erasers.quadratic:qleace",
        "kernel": "benchmark.erasers.kernel:kernel",
        "splince": "benchmark.erasers.splince:splince",
        "nuisance": "benchmark.erasers.nuisance:nuisance",
        "band": "benchmark.erasers.nuisance:band",
        "noise": "benchmark.erasers.noise:noise",
        "shaped-noise": "benchmark.erasers.noise:shaped_noise",
        "photo-mean": "benchmark.erasers.nuisance:photo_mean",
        "photo-lda": "benchmark.erasers.discriminant:photo_lda",
        "kernel-lda": "benchmark.erasers.discriminant:kernel_lda",
        "code-answer": "benchmark.erasers.answer:code_answer",
    },
)
FEWEST = 2  # photos, and labels
_FEW = 8  # rows that show whether an eraser moves any
UNLABELLED = ("none", "nuisance", "photo-mean", "photo-lda", "kernel-lda")  # use the photos to keep and no label


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


def fit(
    name: str,
    features: np.ndarray,
    erase: np.ndarray,
    keep: np.ndarray,
    *,
    seed: int = 0,
    head: Head | None = None,
    options: Mapping[str, float] | None = None,
) -> Eraser:
    """Fit an eraser.

    Args:
        name: one of `ERASERS`.
        features: (n, d) features.
        erase: (n,) integer labels to erase.
        keep: (n,) integer ids of the photos that should stay recognisable.
        seed: of what is drawn in fitting; same rows and seed, same eraser.
        head: weights and biases of the model's own head, which some erasers keep.
        options: constants of this eraser in place of its defaults (`options_of`).

    Raises:
        EraserError: an unknown name or option; features that are not finite; fewer than two labels or photos; an
            eraser that removes nothing, or everything.
    """
    options = options or {}
    check(name, options)
    features = _checked(features, "the features an eraser is fitted on")
    n = len(features)
    rows = Rows(features, _codes(erase, n, "labels to erase"), _codes(keep, n, "photos to keep"), head)
    apply, rank = ERASERS[name](rows, seed, **options)
    eraser = Eraser(name, rank, features.shape[1], apply)
    _check_rank(eraser, features)
    return eraser


def check(name: str, options: Mapping[str, object]) -> None:
    """Raise EraserError for an unknown eraser, or an option that it does not have or that is no number."""
    if name not in ERASERS:
        raise EraserError(f"expected an eraser among {', '.join(ERASERS)}, got {name!r}")
    known = options_of(name)
    for option, value in options.items():
        if option not in known:
            raise EraserError(f"the eraser {name!r} has no option {option!r}: expected {', '.join(known) or 'none'}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise EraserError(f"the eraser {name!r}: expected a number for {option}, got {value!r}")


def options_of(name: str) -> dict[str, float]:
    """Return the constants of an eraser by name, with their defaults."""
    parameters = inspect.signature(ERASERS[name]).parameters.values()
    return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}


def within(name: str, option: str, value: float, low: float, high: float) -> None:
    """Raise EraserError for an option of an eraser outside `low` to `high`, both allowed."""
    if not low <= value <= high:
        raise EraserError(f"the eraser {name!r}: expected {option} from {low:g} to {high:g}, got {value:g}")


def _check_rank(eraser: Eraser, features: np.ndarray) -> None:
    if eraser.rank < 1:
        raise EraserError(
            f"the eraser {eraser.name!r} erases all {eraser.size} features: give it wider features, or fewer labels"
        )
    few = features[:_FEW]
    if eraser.name != "none" and np.array_equal(eraser(few), few):
        raise EraserError(f"the eraser {eraser.name!r} keeps all {eraser.size} features: it found nothing to erase")


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
