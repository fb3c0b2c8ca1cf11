"""One eraser under the three-set rule: eraser, probe and test on three disjoint sets of foreground photos.

Torch half. The eraser is fitted on features and labels of its own set only; at test time it sees features only. What
leaks and what is kept is measured on raw and on erased features by the same probes, on the same rows.
"""

from collections.abc import Iterator

import numpy as np

from benchmark import erasers
from benchmark.features import Features
from benchmark.folds import LEAST, Photos, apart, three_sets
from benchmark.kept import columns, kept
from benchmark.leakage import Asked, read
from benchmark.readings import Erasure, Reading
from benchmark.targets import Target, target
from d3s_dataset.errors import ResultError

_LEAKS = ("unseen_foreground", "unseen_both")
_OTHER = {"background": "foreground", "superclass": "background"}


def erasures(name: str, features: Features, asked: Asked, notes: list[str]) -> Iterator[Erasure]:
    """Yield what an eraser does to the background in foreground features, and to the superclass in background features.

    Where features are not split both are erased from all of them, each time anew. A foreground class cannot be read
    from photos that the probe has not seen unless it has many: the reverse direction erases and reads superclasses.

    Raises:
        ResultError: too few photos for three sets, or no two backgrounds.
        EraserError: as the eraser says.
    """
    yield _erase(name, target("background", features), _part(features, "foreground"), features, asked)
    try:
        coarse = target("superclass", features)
        yield _erase(name, coarse, _part(features, "background"), features, asked)
    except ResultError as error:
        notes.append(f"the reverse, erasing the superclass, is not measured: {error}")


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
    for name in _LEAKS:
        yield from read(features, part, values, wanted, rows, name, asked, apart(name, some, sets[rows], asked.seed))
    yield from read(features, part, values, target(_OTHER[wanted.name], features), sets > 0, "unseen_background", asked)


def _photos(features: Features, wanted: Target) -> Photos:
    """Return the photos, those of the foreground in strata of what is read where that is of the foreground."""
    stratum = np.zeros(len(wanted.labels), dtype=np.int64)
    if wanted.name != "background":
        # Images of no superclass are dealt out among themselves, and used to see what is kept.
        stratum = wanted.labels + 1
        pairs = np.unique(np.stack([stratum, features.foreground_source]), axis=1)[0]
        few = np.flatnonzero(np.bincount(pairs) < 2 * LEAST)
        if len(few := few[few > 0]):
            raise ResultError(f"expected at least {2 * LEAST} photos of every superclass, {len(few)} have fewer")
    return Photos(features.foreground_source, features.background_source, stratum, features.background)
