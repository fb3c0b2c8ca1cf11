"""Groups of images, derived from their labels: one array of labels, one name per label, empty groups included."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.schemas.predictions import Predictions
from d3s_dataset.errors import ResultError
from d3s_dataset.taxonomy import SUPERCLASSES, classes

if TYPE_CHECKING:
    from jaxtyping import Bool, Int

_DENSE = 2  # times as many possible values as images, up to which a table of all is quicker than sorting


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of n images: `labels` is (n,) int64, `names[label]` names a group; a group may have no image.

    Label -1 marks an image that belongs to no group.
    """

    labels: Int[np.ndarray, " n"]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)


def by_background(predictions: Predictions, names: Sequence[str]) -> Groups:
    """Group images by background.

    Args:
        predictions: the images.
        names: the release's backgrounds in label order (its manifest's).

    Raises:
        ResultError: a background label without a name.
    """
    highest = int(predictions.background.max(initial=-1))
    if highest >= len(names):
        raise ResultError(f"expected background labels in 0..{len(names) - 1} ({', '.join(names)}), got {highest}")
    return Groups(predictions.background, tuple(names))


def by_foreground(predictions: Predictions) -> Groups:
    """Group images by foreground class; the names are those of the 1000 ImageNet classes."""
    return Groups(predictions.foreground, tuple(each.name for each in classes()))


def by_superclass(predictions: Predictions) -> Groups:
    """Group images by ImageNet-9 superclass (Xiao et al., arXiv 2006.09994); 630 classes belong to none."""
    superclass = np.full(len(classes()), -1, dtype=np.int64)
    for label, members in enumerate(SUPERCLASSES.values()):
        superclass[list(members)] = label
    return Groups(superclass[predictions.foreground], tuple(SUPERCLASSES))


def crossed(first: Groups, second: Groups, joint: str = " on ") -> Groups:
    """Group images by two groupings at once, the second changing fastest; a name reads `dog on grass`."""
    belongs = (first.labels >= 0) & (second.labels >= 0)
    labels = np.where(belongs, first.labels * len(second) + second.labels, -1)
    return Groups(labels, _crossed_names(first.names, second.names, joint))


@lru_cache(maxsize=8)  # 10,000 of classes on backgrounds, the same for every model
def _crossed_names(first: tuple[str, ...], second: tuple[str, ...], joint: str) -> tuple[str, ...]:
    return tuple(f"{one}{joint}{two}" for one in first for two in second)


def clusters(background_source: Int[np.ndarray, " n"], background: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Return (n,) codes of background photos, numbered background by background.

    Args:
        background_source: (n,) int, which photo; -1 where an image uses none: it shares none.
        background: (n,) int, the background's label.
    """
    alone = background_source < 0
    own = np.where(alone, np.arange(len(alone)), background_source) if alone.any() else background_source
    return distinct(background, alone, own)[1]


def distinct(
    *codes: Int[np.ndarray, " n"] | Bool[np.ndarray, " n"],
) -> tuple[tuple[Int[np.ndarray, " m"], ...], Int[np.ndarray, " n"]]:
    """Return the different tuples of codes in order, one array (m,) per place of the tuple, and which each image has.

    Args:
        codes: (n,) whole numbers from 0.

    Returns:
        Whole numbers of 32 bits where they fit: at millions of images the halves count.
    """
    shape = tuple(int(each.max(initial=0)) + 1 for each in codes)
    every = math.prod(shape)
    if every >= 1 << 63:
        raise ValueError(f"expected fewer than 2^63 tuples of codes, got {shape}")
    joint = codes[0].astype(np.int64)
    for each, size in zip(codes[1:], shape[1:], strict=True):
        joint *= size
        joint += each
    found, which = _counted(joint, every) if every <= _DENSE * len(joint) else _sorted(joint)
    parts: list[np.ndarray] = []
    for size in shape[:0:-1]:
        found, rest = np.divmod(found, size)
        parts.append(rest.astype(_index(size), copy=False))
    return (found.astype(_index(shape[0]), copy=False), *parts[::-1]), which


def ranks(codes: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Return (n,) codes from -1 as their places among the different ones."""
    return distinct(codes + 1)[1]


def _counted(joint: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the different values below `size` in order, and which each is, by a table of all."""
    seen = np.zeros(size, dtype=bool)
    seen[joint] = True
    return np.flatnonzero(seen), (np.cumsum(seen, dtype=_index(size)) - 1)[joint]


def _sorted(joint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the different values in order, and which each is, by sorting."""
    order = np.argsort(joint)
    joint = joint[order]
    first = np.ones(len(joint), dtype=bool)
    np.not_equal(joint[1:], joint[:-1], out=first[1:])
    which = np.empty(len(joint), dtype=_index(len(joint)))
    which[order] = np.cumsum(first, dtype=which.dtype) - 1
    return joint[first], which


def _index(size: int) -> type[np.signedinteger[Any]]:
    return np.int32 if size < 1 << 31 else np.int64
