"""Labels that can be read from features: foreground, background, and superclass where classes have too few photos."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.inference.features import Features
from benchmark.probing.folds import LEAST
from d3s_dataset.errors import ResultError
from d3s_dataset.taxonomy import SUPERCLASSES, superclass_of

if TYPE_CHECKING:
    from jaxtyping import Bool, Int


@dataclass(frozen=True, eq=False)
class Target:
    """A label to read: (n,) int in 0..classes-1, -1 where a row has none, and (n,) codes of the photo that it is of."""

    name: str
    labels: Int[np.ndarray, " n"]
    classes: int
    photo: Int[np.ndarray, " n"]


def target(name: str, features: Features) -> Target:
    """Return one of the labels `foreground`, `background`, `superclass`.

    Raises:
        ResultError: all images have the same: there is nothing to read.
    """
    if name == "background":
        found, photo = features.background, features.background_source
    else:
        found, photo = features.foreground, features.foreground_source
    if name == "superclass":
        order = {each: i for i, each in enumerate(SUPERCLASSES)}
        found = np.array([order.get(superclass_of(int(each)) or "", -1) for each in found])
    values, codes = np.unique(found[found >= 0], return_inverse=True)
    if len(values) < 2:
        raise ResultError(
            f"nothing to read: all {len(found)} images have the same {name}: expected a split with at least two"
        )
    labels = np.full(len(found), -1, dtype=np.int64)
    labels[found >= 0] = codes
    return Target(name, labels, len(values), photo)


def targets(
    features: Features, name: str, cut_name: str, notes: list[str]
) -> Iterator[tuple[Target, Bool[np.ndarray, " n"]]]:
    """Yield the targets of a label on a cut, each with the (n,) bool rows it is read on.

    On unseen foreground photos a class needs three photos. Where classes have fewer, those that have them are read,
    and the superclasses too; `notes` gets a line about it.
    """
    wanted = target(name, features)
    if name != "foreground" or cut_name not in ("unseen_foreground", "unseen_both"):
        yield wanted, np.ones(len(wanted.labels), dtype=bool)
        return
    enough = _enough(wanted)
    left = len(np.unique(wanted.labels[enough]))
    if left >= 2:
        yield narrowed(wanted, enough), enough
    if left == wanted.classes:
        return
    line = f"{wanted.classes - left} of {wanted.classes} classes have fewer than {LEAST} photos, so cannot be read on "
    notes.append(line + "unseen ones: see superclasses, and the model's own head")
    try:
        coarse = target("superclass", features)
    except ResultError:
        return
    enough = (coarse.labels >= 0) & _enough(coarse)
    if len(np.unique(coarse.labels[enough])) >= 2:
        yield narrowed(coarse, enough), enough


def _enough(wanted: Target) -> np.ndarray:
    """Return (n,) bool: rows whose label has three photos."""
    pairs = np.unique(np.stack([wanted.labels, wanted.photo]), axis=1)[0]
    counts = np.bincount(pairs[pairs >= 0], minlength=wanted.classes)
    return (wanted.labels >= 0) & (counts[wanted.labels] >= LEAST)


def narrowed(wanted: Target, rows: Bool[np.ndarray, " n"]) -> Target:
    """Return a target with the labels of some rows, (n,) bool, only: the others count as having none."""
    values, codes = np.unique(wanted.labels[rows], return_inverse=True)
    labels = np.full(len(rows), -1, dtype=np.int64)
    labels[rows] = codes
    return Target(wanted.name, labels, len(values), wanted.photo)
