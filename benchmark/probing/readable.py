"""Readable labels: the best of the probes, against its permutation null, with the online codelength.

Torch half. Built on `leakage.measure`, which fits the probes of one label on one cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmark.inference.features import Features
from benchmark.probing.codelength import codelength
from benchmark.probing.family import best_of, widened
from benchmark.probing.folds import Fold, Photos
from benchmark.probing.leakage import Asked, Cell, measure, null, photos_of, sample_of
from benchmark.probing.targets import Target
from benchmark.schemas.experiments import Readable, Reading
from d3s_dataset.errors import ResultError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


def read_family(
    features: Features,
    part: str,
    values: Float[np.ndarray, "n d"],
    wanted: Target,
    rows: Bool[np.ndarray, " n"],
    name: str,
    asked: Asked,
    folds: Sequence[Fold] | None = None,
) -> tuple[list[Reading], Readable]:
    """Return the reading of each probe, and what the best of them reads; arguments as of `leakage.measure`.

    Raises:
        ResultError: too few photos for the cut.
    """
    cell = measure(features, part, values, wanted, rows, name, asked, folds)
    return cell.readings, readable(features, values, wanted, cell, asked)


def readable(
    features: Features, values: Float[np.ndarray, "n d"], wanted: Target, cell: Cell, asked: Asked
) -> Readable:
    """Return what the best probe of a cell reads.

    Args:
        features: labels and photos of all n rows.
        values: (n, d) what was read from.
        wanted: the label.
        cell: of that label on a cut.
        asked: seed, device, permutations.
    """
    held = {kind: each.held_right for kind, each in cell.real.items()}
    right = {kind: each.right for kind, each in cell.real.items()}
    chosen_on = cell.at[next(iter(cell.real.values())).held]
    best = best_of(held, right, sample_of(features, np.concatenate([chosen_on, cell.tested])))
    by_kind = {each.probe: each for each in cell.readings}
    found = by_kind[best.probe]
    ends = found.ci95
    if found.accuracy is not None and None not in ends:
        ends = widened(found.accuracy, (float(ends[0] or 0), float(ends[1] or 0)), best.wider)
    wide = found.model_copy(update={"ci95": ends})
    upper = max(cell.readings, key=lambda each: each.accuracy or 0.0)
    return Readable(
        features=found.features,
        label=found.label,
        cut=found.cut,
        n=found.n,
        classes=found.classes,
        probe=best.probe,
        held={kind: float(each.mean()) for kind, each in held.items()},
        accuracy=found.accuracy,
        ci95=ends,
        picked=best.picked,
        upper=upper.accuracy,
        upper_probe=upper.probe,
        doubts=found.doubts,
        null=null(cell, values, wanted, best.probe, wide, asked),
        codelength=_codelength(features, values, wanted, cell, found.cut, asked),
        uniform=float(np.log(found.classes)),
        converged=all(each.converged for each in cell.readings),
    )


def _codelength(
    features: Features, values: np.ndarray, wanted: Target, cell: Cell, name: str, asked: Asked
) -> float | None:
    """Return the nats per image of the rows that the folds use; None where a label has a single photo."""
    used = np.zeros(len(cell.at), dtype=bool)
    for fold in cell.folds:
        used[fold.train] = used[fold.test] = True
    rows = np.zeros(len(values), dtype=bool)
    rows[cell.at[used]] = True
    photos: Photos = photos_of(features, wanted, rows)
    try:
        return codelength(values[rows], wanted.labels[rows], wanted.classes, photos, name, asked.seed, asked.device)
    except ResultError:
        return None
