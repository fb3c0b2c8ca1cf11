"""One eraser under the three-set rule: eraser, probe and test on three disjoint sets of foreground photos.

Torch half. The eraser is fitted on features and labels of its own set only; at test time it sees features only. What
leaks and what is kept is measured on raw and on erased features by the same probes, on the same rows.

Background photos are seen by all three. To leave some out of the probe alone would mislead: an eraser that evened out
the means of backgrounds over all their photos turns each photo against the rest of its kind, and a probe of the rest
reads 0 %, far below chance, of what it left out (measured with LEACE), which is no absence.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from benchmark import erasers
from benchmark.inference.features import Features
from benchmark.probing.folds import LEAST, Photos, apart, three_sets
from benchmark.probing.leakage import Asked, read
from benchmark.probing.retention import columns, kept
from benchmark.probing.targets import Target, narrowed, target
from benchmark.schemas.experiments import Erasure, Reading
from d3s_dataset.errors import ResultError

_OTHER = {"background": "foreground", "superclass": "background"}


def erasures(name: str, features: Features, asked: Asked, notes: list[str]) -> Iterator[Erasure]:
    """Yield what an eraser does to the background in foreground features, and to the superclass in background features.

    Where features are not split both are erased from all of them, each time anew. A class cannot be read from photos
    that the probe has not seen unless it has many: the reverse direction erases and reads superclasses, those that have
    photos enough for three sets; without two of them `notes` gets a line.

    Raises:
        ResultError: too few photos for three sets, or no two backgrounds.
        EraserError: as the eraser raises.
    """
    yield _erase(name, target("background", features), _part(features, "foreground"), features, asked)
    try:
        coarse = _many(target("superclass", features))
        yield _erase(name, coarse, _part(features, "background"), features, asked)
    except ResultError as error:
        notes.append(f"the reverse, erasing the superclass, is not measured: {error}")


def _many(wanted: Target) -> Target:
    """Return a target with the labels that have two photos for each of the three sets.

    Raises:
        ResultError: fewer than two have.
    """
    owners = np.unique(np.stack([wanted.labels, wanted.photo]), axis=1)[0]
    counts = np.bincount(owners[owners >= 0], minlength=wanted.classes)
    rows = (wanted.labels >= 0) & (counts[wanted.labels] >= 2 * LEAST)
    if (counts >= 2 * LEAST).sum() < 2:
        raise ResultError(f"expected two superclasses with at least {2 * LEAST} photos each")
    return narrowed(wanted, rows)


def _part(features: Features, name: str) -> str:
    return "all" if features.partition is None else name


def _erase(name: str, wanted: Target, part: str, features: Features, asked: Asked) -> Erasure:
    photos = _photos(features, wanted)
    sets = three_sets(photos, asked.seed)
    where, own = columns(features, part), (sets == 0) & (wanted.labels >= 0)
    ids = features.foreground_source if wanted.name == "background" else features.background_source
    eraser = erasers.fit(name, features.values[np.ix_(own, where)], wanted.labels[own], ids[own], seed=asked.seed)
    raw, erased = features.values, features.values.copy()
    erased[:, where] = eraser(raw[:, where])
    found = {}
    for key, values in (("raw", raw), ("erased", erased)):
        found[key] = list(_readings(features, part, values[:, where], wanted, photos, sets, asked))
        found[f"{key}_kept"] = kept(features, part, values, np.flatnonzero(sets == 2), asked.device)
    first, second, third = (len(np.unique(features.foreground_source[sets == each])) for each in range(3))
    facts = {"eraser": name, "erases": wanted.name, "rank": eraser.rank, "size": len(where)}
    return Erasure(**facts, photos=(first, second, third), **found)


def _readings(
    features: Features, part: str, values: np.ndarray, wanted: Target, photos: Photos, sets: np.ndarray, asked: Asked
) -> Iterator[Reading]:
    """Yield what leaks, on photos that neither eraser nor probe has seen; then a fresh probe of what should be kept."""
    rows = wanted.labels >= 0
    some = Photos(*(getattr(photos, each)[rows] for each in vars(photos)))
    folds = [apart(some, sets[rows], asked.seed)]
    yield from read(features, part, values, wanted, rows, "unseen_foreground", asked, folds)
    rest = narrowed(target(_OTHER[wanted.name], features), sets > 0)
    fresh = replace(asked, control=False)
    yield from read(features, part, values, rest, sets > 0, "unseen_background", fresh)


def _photos(features: Features, wanted: Target) -> Photos:
    """Return the photos; those of the foreground in strata of what is read where that is of the foreground."""
    # Images of no superclass are dealt out among themselves: they show what is kept.
    stratum = np.zeros(len(wanted.labels), dtype=np.int64) if wanted.name == "background" else wanted.labels + 1
    return Photos(features.foreground_source, features.background_source, stratum, features.background)
