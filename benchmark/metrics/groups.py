"""Groups of images, derived from their labels: one array of labels, one name per label, empty groups included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.schemas.predictions import Predictions
from d3s_dataset.errors import ResultError
from d3s_dataset.taxonomy import SUPERCLASSES, classes

if TYPE_CHECKING:
    from jaxtyping import Bool, Int, Shaped


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
    return Groups(labels, tuple(f"{one}{joint}{two}" for one in first.names for two in second.names))


def codes(values: Shaped[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Return (n,) strings as int64 codes in sorted order, -1 where a value is None."""
    known = np.array([value is not None for value in values], dtype=bool)
    answer = np.full(len(values), -1, dtype=np.int64)
    answer[known] = np.unique(values[known].astype(str), return_inverse=True)[1]
    return answer


def clusters(background_source: Int[np.ndarray, " n"], background: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Return (n,) codes of background photos, numbered background by background.

    Args:
        background_source: (n,) int, which photo; -1 where an image uses none: it shares none.
        background: (n,) int, the background's label.
    """
    alone = background_source < 0
    own = np.where(alone, np.arange(len(alone)), background_source)
    return distinct(background, alone, own)[1]


def distinct(
    *codes: Int[np.ndarray, " n"] | Bool[np.ndarray, " n"],
) -> tuple[tuple[Int[np.ndarray, " m"], ...], Int[np.ndarray, " n"]]:
    """Return the different tuples of codes in order, one array (m,) per place of the tuple, and which each image has.

    Args:
        codes: (n,) whole numbers from 0.
    """
    shape = tuple(int(each.max(initial=0)) + 1 for each in codes)
    # numpy's unique along an axis compares bytes, thirty times as slow.
    found, which = np.unique(np.ravel_multi_index(codes, shape), return_inverse=True)
    return np.unravel_index(found, shape), which
