"""One eraser under the three-set rule: eraser, probe and test on three disjoint sets of foreground photos.

Torch half. The eraser is fitted on features and labels of its own set only; at test time it sees features only. What
leaks and what is kept is measured on raw and on erased features by the same probes, on the same rows, and by whoever
holds more than one vector per image (`threats`).

On the cut `seen` all three have seen the background photos. On `unseen` neither eraser nor probe has seen those of the
test. To leave some out of the probe alone would mislead: an eraser that evened out the means of backgrounds over all
their photos turns each photo against the rest of its kind, and a probe of the rest reads 0 %, far below chance, of what
it left out (measured with LEACE), which is no absence.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from benchmark import erasers
from benchmark.inference.features import Features
from benchmark.probing import threats
from benchmark.probing.folds import LEAST, Fold, Photos, apart, left_out, three_sets
from benchmark.probing.leakage import Asked, Cell, measure, read_all
from benchmark.probing.readable import readable
from benchmark.probing.retention import columns, kept
from benchmark.probing.targets import Target, narrowed, target
from benchmark.schemas.experiments import Erasure, Threat
from d3s_dataset.errors import EraserError, ResultError

Cut = Literal["seen", "unseen"]
_OTHER = {"background": "foreground", "superclass": "background"}


@dataclass(frozen=True)
class Erasing:
    """An eraser by name, what it erases (the label or its `photo`), the cuts, and constants in place of its own."""

    name: str
    label: Literal["background", "photo"] = "background"
    cuts: tuple[Cut, ...] = ("seen",)
    options: Mapping[str, float] = field(default_factory=dict)


def erasures(erasing: Erasing, features: Features, asked: Asked, notes: list[str]) -> Iterator[Erasure]:
    """Yield what an eraser does to the background in foreground features, and to the superclass in background features.

    Where features are not split both are erased from all of them, each time anew. A class cannot be read from photos
    that the probe has not seen unless it has many: the reverse direction erases and reads superclasses, those that have
    photos enough for three sets, whose background photos are always seen; without two of them, or where the eraser
    cannot do it, `notes` gets a line.

    Raises:
        ResultError: too few photos for three sets or to leave some out, or no two backgrounds.
        EraserError: as the eraser raises.
    """
    for cut in erasing.cuts:
        yield _erase(erasing, cut, target("background", features), _part(features, "foreground"), features, asked)
    try:
        coarse = _many(target("superclass", features))
        yield _erase(erasing, "seen", coarse, _part(features, "background"), features, asked)
    except (ResultError, EraserError) as error:
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


@dataclass(frozen=True, eq=False)
class _Setting:
    """The place where one eraser is measured: columns of a part, a label, three sets, (n,) bool left out or None."""

    features: Features
    part: str
    wanted: Target
    sets: np.ndarray
    unseen: np.ndarray | None
    asked: Asked

    @property
    def where(self) -> np.ndarray:
        return columns(self.features, self.part)

    @property
    def rows(self) -> np.ndarray:
        return self.wanted.labels >= 0

    def fold(self) -> Fold:
        """Return the fold of the probes, counted among the rows that have the label."""
        photos, rows = _photos(self.features, self.wanted), self.rows
        some = Photos(*(getattr(photos, each)[rows] for each in vars(photos)))
        return apart(some, self.sets[rows], self.asked.seed, None if self.unseen is None else self.unseen[rows])


def _erase(erasing: Erasing, cut: Cut, wanted: Target, part: str, features: Features, asked: Asked) -> Erasure:
    photos = _photos(features, wanted)
    sets = three_sets(photos, asked.seed)
    unseen = left_out(photos, asked.seed) if cut == "unseen" else None
    setting = _Setting(features, part, wanted, sets, unseen, asked)
    eraser = _fit(erasing, setting)
    raw, where = features.values, setting.where
    erased = raw.copy()
    erased[:, where] = eraser(raw[:, where])
    found, cells = {}, []
    for key, values in (("raw", raw), ("erased", erased)):
        own = values[:, where]
        cells = _cells(setting, own)
        found[key] = [reading for _, cell in cells for reading in cell.readings]
        found[f"{key}_readable"] = tuple(readable(features, own, each, cell, asked) for each, cell in cells)
        found[f"{key}_kept"] = kept(features, part, values, np.flatnonzero(sets == 2), asked.device)
    held = *_bags(setting, cells[0][1]), *_queries(erasing, setting, eraser)
    first, second, third = (len(np.unique(features.foreground_source[sets == each])) for each in range(3))
    facts = {"eraser": erasing.name, "erases": wanted.name, "rank": eraser.rank, "size": len(where)}
    chosen = {"erase_label": erasing.label, "cut": cut, "options": dict(erasing.options)}
    return Erasure(**facts, **chosen, photos=(first, second, third), **found, threats=held)


def _fit(erasing: Erasing, setting: _Setting, options: Mapping[str, float] | None = None) -> erasers.Eraser:
    features, wanted = setting.features, setting.wanted
    own = (setting.sets == 0) & setting.rows
    if setting.unseen is not None:
        own &= ~setting.unseen
    keep = features.foreground_source if wanted.name == "background" else features.background_source
    erase = wanted.photo if erasing.label == "photo" else wanted.labels
    # The head answers with the foreground: it is kept where the foreground is, in features that are all there.
    head = features.head if setting.part == "all" and wanted.name == "background" else None
    return erasers.fit(
        erasing.name,
        features.values[np.ix_(own, setting.where)],
        erase[own],
        keep[own],
        seed=setting.asked.seed,
        head=head and (head.weight, head.bias),
        options=erasing.options if options is None else options,
    )


def _cells(setting: _Setting, values: np.ndarray) -> list[tuple[Target, Cell]]:
    """Return what leaks, on photos that neither eraser nor probe has seen; then a fresh probe of what to keep."""
    features, part, wanted, asked = setting.features, setting.part, setting.wanted, setting.asked
    name = "unseen_foreground" if setting.unseen is None else "unseen_both"
    leak = measure(features, part, values, wanted, setting.rows, name, asked, [setting.fold()])
    rest = narrowed(target(_OTHER[wanted.name], features), setting.sets > 0)
    fresh = replace(asked, control=False, null=0)
    return [
        (wanted, leak),
        (rest, measure(features, part, values, rest, setting.sets > 0, "unseen_background", fresh)),
    ]


def _bags(setting: _Setting, cell: Cell) -> Iterator[Threat]:
    """Yield what bags of test images give away to each probe of a cell."""
    truth, photo = (each[cell.tested] for each in (setting.wanted.labels, setting.wanted.photo))
    for kind, each in cell.real.items():
        for count in threats.BAGS:
            right = threats.bags(each.probability, truth, photo, count, setting.asked.seed)
            accuracy = float(right.mean()) if len(right) else None
            yield Threat(access="bag", count=count, probe=kind, n=len(right), accuracy=accuracy)


def _queries(erasing: Erasing, setting: _Setting, eraser: erasers.Eraser) -> Iterator[Threat]:
    """Yield what averaged queries of an eraser that draws noise give away, and their limit."""
    if not threats.is_random(erasing.name, erasing.options):
        return
    rows, raw = setting.rows, setting.features.values[:, setting.where]
    limit = _fit(erasing, setting, threats.noiseless(erasing.options))
    copies = min(threats.COPIES, raw.shape[1] + 1)
    views: list[tuple[Literal["query", "limit"], int, np.ndarray]] = [
        ("query", copies, threats.queried(eraser, raw, copies)),
        ("limit", 0, limit(raw)),
    ]
    for access, count, values in views:
        found = read_all(
            values[rows], setting.wanted.labels[rows], [setting.fold()], setting.wanted.classes, setting.asked
        )
        for kind, each in found.items():
            yield Threat(access=access, count=count, probe=kind, n=len(each.right), accuracy=float(each.right.mean()))


def _photos(features: Features, wanted: Target) -> Photos:
    """Return the photos; those of the foreground in strata of what is read where that is of the foreground."""
    # Images of no superclass are dealt out among themselves: they show what is kept.
    stratum = np.zeros(len(wanted.labels), dtype=np.int64) if wanted.name == "background" else wanted.labels + 1
    return Photos(features.foreground_source, features.background_source, stratum, features.background)
