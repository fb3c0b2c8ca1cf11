"""Leakage: accuracy of every probe for either label from one part of the features, on every cut, with control, chance.

Torch half. The best of the probes is what is readable (`readable`), shown against its permutation null (`permutation`).
A probe that has memorised each background *photo* seems to classify backgrounds: so the same probe is also fitted on
random labels, one per photo, of the same label set (control task: Hewitt & Liang, arXiv 1909.03368); selectivity is
accuracy minus that. On unseen photos no probe can predict a random label, so there the control is at chance by
construction, and the accuracy itself is what counts. The control is fitted on the first fold of a cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from benchmark.inference.features import Features
from benchmark.metrics.intervals import Sample, accuracy_intervals, difference_intervals
from benchmark.metrics.statistics import doubts, photos_of_all
from benchmark.probing import probes
from benchmark.probing.folds import Fold, Photos, cut
from benchmark.probing.permutation import compared, owners, permuted
from benchmark.probing.targets import Target
from benchmark.schemas.experiments import Null, Reading, Share
from d3s_dataset.identity import hashed

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Shaped

CLOSED_FORM, CLOSED = "lda", 10  # a refit costs next to nothing: so many times the permutations of other probes
_CONTROL = 1  # stream of the control's random labels
_LEAST_PROBABILITY = 1e-12
# Where photos of a label's own kind are tested that were seen, random labels of photos can be learnt.
_CONTROLLED = {
    "background": ("seen", "unseen_foreground"),
    "foreground": ("seen", "unseen_background"),
    "superclass": ("seen", "unseen_background"),
}


@dataclass(frozen=True)
class Asked:
    """Settings of probing: the probes, the seed of all draws, the device, and whether controls are fitted too.

    `null` is the number of permutations (`permutation`) of the best probe, 0 for none; LDA gets `CLOSED` times as many.
    """

    kinds: tuple[str, ...]
    seed: int = 0
    device: str = "cpu"
    control: bool = True
    null: int = 0


def photos_of(features: Features, wanted: Target, rows: Bool[np.ndarray, " n"]) -> Photos:
    """Return the photos that some rows share; foreground photos are dealt out by class where that is what is read."""
    zeros = np.zeros(int(rows.sum()), dtype=np.int64)
    stratum = zeros if wanted.name == "background" else wanted.labels[rows]
    return Photos(
        features.foreground_source[rows], features.background_source[rows], stratum, features.background[rows]
    )


@dataclass(frozen=True, eq=False)
class Cell:
    """One label on one cut: what each probe read of the rows numbered `at`, of which `tested` are the test rows.

    `folds` count rows among those of `at`; `labels` are theirs, and `readings` is in the order of the probes.
    """

    at: Int[np.ndarray, " n"]
    labels: Int[np.ndarray, " n"]
    tested: Int[np.ndarray, " m"]
    folds: Sequence[Fold]
    real: dict[str, Tested]
    readings: list[Reading]


def measure(
    features: Features,
    part: str,
    values: Float[np.ndarray, "n d"],
    wanted: Target,
    rows: Bool[np.ndarray, " n"],
    name: str,
    asked: Asked,
    folds: Sequence[Fold] | None = None,
) -> Cell:
    """Fit every probe on a cut and return what each reads.

    Args:
        features: labels and photos of all n rows.
        part: what the features are called.
        values: (n, d) features to read from, which may be erased ones.
        wanted: the label to read.
        rows: (n,) bool, the rows used.
        name: the cut.
        asked: probes, seed, device.
        folds: of numbers among the rows used; without, those of the cut.

    Raises:
        ResultError: too few photos for the cut.
    """
    if folds is None:
        folds = cut(name, photos_of(features, wanted, rows), asked.seed)
    at, labels = np.flatnonzero(rows), wanted.labels[rows]
    codes = np.unique(wanted.photo[rows], return_inverse=True)[1]
    random = (hashed(asked.seed, _CONTROL, codes) % np.uint64(wanted.classes)).astype(np.int64)
    controlled = asked.control and name in _CONTROLLED[wanted.name]
    tested = at[np.concatenate([fold.test for fold in folds])]
    real = read_all(values[at], labels, folds, wanted.classes, asked)
    made = read_all(values[at], random, folds[:1], wanted.classes, asked) if controlled else {}
    cell, readings = Cell(at, labels, tested, folds, real, []), []
    for kind, each in real.items():
        reports, control = each.reports, None
        if controlled:
            control = float(made[kind].right.mean())
            reports = [*reports, *(replace(one, chosen=f"control, {one.chosen}") for one in made[kind].reports)]
        found = _reading(features, part, wanted, kind, name, tested, each.probability, control, reports)
        if kind == CLOSED_FORM:
            found = found.model_copy(update={"null": null(cell, values, wanted, kind, found, asked)})
        readings.append(found)
    return replace(cell, readings=readings)


def null(
    cell: Cell, values: Float[np.ndarray, "n d"], wanted: Target, kind: str, found: Reading, asked: Asked
) -> Null | None:
    """Return a probe's reading against its permutation null; None where none is requested, or labels only get renamed.

    Args:
        cell: what was read.
        values: (n, d) from what.
        wanted: the label.
        kind: of probe.
        found: its reading.
        asked: how many permutations.
    """
    repeats = asked.null * (CLOSED if kind == CLOSED_FORM else 1)
    if not repeats or found.accuracy is None:
        return None
    among = owners(cell.labels, wanted.photo[cell.at], cell.folds)
    if (changed := permuted(among, repeats, asked.seed)) is None:
        return None
    each = nulls(values[cell.at], changed, cell.folds, cell.real[kind].again)
    return compared(found.accuracy, _ends(found), each.mean(1))


def nulls(
    values: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, "r n"],
    folds: Sequence[Fold],
    again: Sequence[probes.Refitter],
) -> Bool[np.ndarray, "r m"]:
    """Return whether each test row's permuted label is read, after fits to the permuted labels of the training rows.

    Args:
        values: (n, d) features.
        labels: (r, n) permutations of the labels.
        folds: of row numbers.
        again: refits of each fold's probe.
    """
    pairs = zip(folds, again, strict=True)
    found = [
        each(values[fold.train], labels[:, fold.train], fold.learn, fold.held, values[fold.test])
        for fold, each in pairs
    ]
    return np.concatenate(found, axis=1) == labels[:, np.concatenate([fold.test for fold in folds])]


def _ends(found: Reading) -> tuple[float, float]:
    """Return an interval's ends; the widest possible where nobody can give it."""
    low, high = found.ci95
    return (0.0 if low is None else low), (1.0 if high is None else high)


@dataclass(frozen=True, eq=False)
class Tested:
    """Predictions of a probe on m test rows: (m, k) `probability`, (m,) bool `right`, and a report per fit.

    `held` and (h,) bool `held_right` are the held-out rows of all folds, and whether the fits to the others read them;
    `again` refits the probe of each fold to other labels.
    """

    probability: Float[np.ndarray, "m k"]
    right: Bool[np.ndarray, " m"]
    reports: list[probes.Report]
    held: Int[np.ndarray, " h"]
    held_right: Bool[np.ndarray, " h"]
    again: list[probes.Refitter]


def read_all(
    values: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"], folds: Sequence[Fold], classes: int, asked: Asked
) -> dict[str, Tested]:
    """Return each requested probe's predictions on the same rows; a network below the linear probe has not converged.

    Args:
        values: (n, d) features.
        labels: (n,) int in 0..classes-1.
        folds: of row numbers.
        classes: k.
        asked: probes, seed, device.
    """
    found = {kind: _test(kind, values, labels, folds, classes, asked) for kind in asked.kinds}
    if "linear" not in found:
        return found
    linear = float(found["linear"].right.mean())
    return {
        kind: replace(
            each, reports=[probes.against_linear(one, float(each.right.mean()), linear) for one in each.reports]
        )
        for kind, each in found.items()
    }


def _test(
    kind: str, values: np.ndarray, labels: np.ndarray, folds: Sequence[Fold], classes: int, asked: Asked
) -> Tested:
    fits = [_fit(kind, values, labels, fold, classes, asked) for fold in folds]
    probability = np.concatenate([each for each, _ in fits])
    truth = labels[np.concatenate([fold.test for fold in folds])]
    held = np.concatenate([fold.train[fold.held] for fold in folds])
    guessed = np.concatenate([probe.held for _, probe in fits])
    reports, again = [probe.report for _, probe in fits], [probe.again for _, probe in fits]
    return Tested(probability, probability.argmax(1) == truth, reports, held, guessed == labels[held], again)


def _fit(
    kind: str, values: np.ndarray, labels: np.ndarray, fold: Fold, classes: int, asked: Asked
) -> tuple[np.ndarray, probes.Probe]:
    probe = probes.fit(
        kind,
        values[fold.train],
        labels[fold.train],
        fold.held,
        learn=fold.learn,
        classes=classes,
        seed=asked.seed,
        device=asked.device,
    )
    return probe(values[fold.test]), probe


def _reading(
    features: Features, part: str, wanted: Target, kind: str, name: str, rows: np.ndarray, made: np.ndarray,
    control: float | None, reports: list[probes.Report],
) -> Reading:  # fmt: skip
    truth = wanted.labels[rows]
    reports = sorted(reports, key=lambda each: each.converged)
    scored = share(made.argmax(1) == truth, features, rows)
    often = np.bincount(truth, minlength=wanted.classes) / len(truth)
    entropy = float(-(often[often > 0] * np.log(often[often > 0])).sum())
    likely = np.maximum(made[np.arange(len(truth)), truth], _LEAST_PROBABILITY)
    gained = np.log(likely) - np.log(often[truth])
    scale = float(np.abs(gained).max()) or 1.0
    found = difference_intervals(gained / scale, sample_of(features, rows))
    return Reading(
        features=part,
        label=wanted.name,
        probe=kind,
        cut=name,
        n=len(truth),
        classes=wanted.classes,
        accuracy=scored.value,
        ci95=scored.ci95,
        doubts=scored.doubts,
        chance=1 / wanted.classes,
        majority=float(often.max()),
        control=control,
        selectivity=None if control is None or scored.value is None else scored.value - control,
        entropy=entropy,
        information=float(gained.mean()),
        information_ci95=(float(found.low[-1]) * scale, float(found.high[-1]) * scale),
        converged=all(each.converged for each in reports),
        endings=[f"{each.chosen}: {each.ending}; temperature {each.temperature:.2g}" for each in reports],
    )


def sample_of(features: Features, rows: Shaped[np.ndarray, " m"]) -> Sample:
    """Return the photos that some rows share, by background, with the mean over all rows as the one mix.

    Photos of other backgrounds could not have been behind an image, so that what backgrounds differ by is no chance.
    Where a background shows a single photo, the difference of its photos is unknown: then all rows are one group, which
    counts differences between backgrounds as well.
    """
    background, photo = features.background[rows], features.background_source[rows]
    labels = np.unique(background, return_inverse=True)[1]
    if _fewest(features, rows) < 2:
        labels = np.zeros_like(labels)
    sizes = np.bincount(labels)
    return Sample(features.foreground_source[rows], photo, background, labels, len(sizes), sizes[None].astype(float))


def share(right: Bool[np.ndarray, " m"], features: Features, rows: Shaped[np.ndarray, " m"]) -> Share:
    """Return the share of (m,) bool that is true, with its interval over the photos of those rows."""
    found = accuracy_intervals(right, sample_of(features, rows))
    mean = float(found.mean[-1])
    ends = float(found.low[-1]), float(found.high[-1])
    n, n_foregrounds, n_backgrounds = photos_of_all(found.photos)
    n_backgrounds = n_backgrounds if n_backgrounds == n else min(n_backgrounds, _fewest(features, rows))
    return Share(n=n, value=mean, ci95=ends, doubts=doubts(n, n_foregrounds, n_backgrounds, mean))


def _fewest(features: Features, rows: np.ndarray) -> int:
    """Return how many background photos the background has that shows fewest."""
    shown = np.unique(np.stack([features.background[rows], features.background_source[rows]]), axis=1)[0]
    return int(np.unique(shown, return_counts=True)[1].min())
