"""Leakage against accuracy over lambda, on frozen features: the numbers.

Needs no torch before a neck is trained.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmark.inference.features import Features
from benchmark.metrics.seeds import OVER, accuracies
from benchmark.probing.folds import cut
from benchmark.probing.permutation import compared, owners, permuted
from benchmark.schemas.experiments import Null, Point, Sweep
from benchmark.schemas.metrics import Spread
from benchmark.training.config import NECK
from d3s_dataset.errors import ResultError
from d3s_dataset.utils.cli import progress
from d3s_dataset.utils.tables import csv_bytes

if TYPE_CHECKING:
    from benchmark.metrics.intervals import Sample


def sweep(
    train: Features,
    test: Features,
    objective: str,
    weights: Sequence[float],
    seeds: Sequence[int],
    probe: str,
    null: int = 0,
    width: int = NECK,
) -> Sweep:
    """Train a neck for every lambda and seed on one split, probe it on another.

    Args:
        train: what necks learn from.
        test: what they are tested on; probes are fitted to a part of it and tested on the rest.
        objective: with a penalty.
        weights: lambdas.
        seeds: of necks and probes.
        probe: kind of probe.
        null: permutations that each probe is fitted to as well; 0 for no null.
        width: features of a neck, both parts together.

    Raises:
        ModelError: fewer features than a neck has, or too few to be cut.
        ResultError: a split of one label, too few background photos, or a probe that did not converge.
        ReleaseError: an objective that compares images of one photo where none is in two.
    """
    from benchmark.probing.leakage import sample_of
    from benchmark.training.adapter import Labelled
    from benchmark.training.adapter import train as train_neck

    known, labels = np.unique(train.foreground, return_inverse=True)
    if len(known) < 2 or len(np.unique(train.background)) < 2:
        raise ResultError("the train split shows one foreground or background label only: expected two or more")
    sources = np.stack([train.foreground_source, train.background_source])
    rows = Labelled(train.values, labels, train.background, np.where(sources < 0, -1 - np.arange(len(labels)), sources))
    sample = sample_of(test, np.arange(len(test.key)))
    found: dict[float, list[tuple[np.ndarray, np.ndarray]]] = {}
    nulls: dict[float, list[np.ndarray]] = {}
    turns = [(weight, seed) for weight in weights for seed in seeds]
    for weight, seed in progress(turns, label="sweep", unit="neck"):
        neck = train_neck(rows, objective, weight, seed, width)
        right = known[neck.told(test.values)] == test.foreground
        leaks, permuted = leakage(neck.part(test.values, "foreground"), test, probe, seed, null)
        found.setdefault(weight, []).append((right, leaks))
        nulls.setdefault(weight, []).append(permuted)
    parts = {weight: [np.stack(part) for part in zip(*values, strict=True)] for weight, values in found.items()}
    points = [_point(weight, both[0], both[1], nulls[weight], sample) for weight, both in parts.items()]
    return Sweep(
        model=train.model,
        datasets=(train.dataset, test.dataset),
        objective=objective,
        width=width,
        probe=probe,
        seeds=list(seeds),
        chance=float(np.bincount(test.background).max() / len(test.background)),
        points=[each.model_copy(update={"pareto": _best(each, points)}) for each in points],
        intervals=OVER,
    )


def _point(weight: float, right: np.ndarray, leaks: np.ndarray, nulls: Sequence[np.ndarray], sample: "Sample") -> Point:
    accuracy, leakage = (accuracies(each, sample)[-1] for each in (right, leaks))
    return Point(weight=weight, accuracy=accuracy, leakage=leakage, null=_against(leakage, nulls), pareto=False)


def _against(leakage: Spread, nulls: Sequence[np.ndarray]) -> Null | None:
    """Return leakage against its null, the mean of all seeds'; its spread is one seed's.

    Seeds share the test photos, so that their mean varies with these about as one of them does.
    """
    if leakage.mean is None or not len(nulls[0]):
        return None
    low, high = leakage.ci95
    ends = (leakage.mean if low is None else low), (leakage.mean if high is None else high)
    spread = float(np.sqrt(np.mean([each.var(ddof=1) for each in nulls]))) if len(nulls[0]) > 1 else None
    return compared(leakage.mean, ends, np.mean(nulls, axis=0), spread)


def _best(point: Point, points: Sequence[Point]) -> bool:
    """Return whether no other has both a higher accuracy and a lower leakage above its null."""
    own = point.accuracy.mean or 0.0, _leaks(point)
    return not any((other.accuracy.mean or 0.0) > own[0] and _leaks(other) < own[1] for other in points)


def _leaks(point: Point) -> float:
    return (point.leakage.mean or 0.0) if point.null is None else point.null.above


def leakage(values: np.ndarray, test: Features, probe: str, seed: int, null: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return (n,) bool: a new probe reads an image's background from (n, d) features, its background photo unseen.

    And the (null,) accuracies of the same probe after permutations; none where labels would only be renamed.

    Raises:
        ResultError: too few photos, or a probe that did not converge; a network that reads less than a linear probe.
    """
    from benchmark.probing.leakage import Asked, nulls, photos_of, read_all
    from benchmark.probing.targets import target

    wanted = target("background", test)
    folds = cut("unseen_background", photos_of(test, wanted, np.ones(len(values), dtype=bool)), seed)
    kinds = ("linear", "mlp") if probe == "mlp" else (probe,)  # a network is judged by a linear probe on the same rows
    found = read_all(values, wanted.labels, folds, wanted.classes, Asked(kinds, seed))[probe]
    ending = next((each.ending for each in found.reports if not each.converged), None)
    if ending is not None:
        raise ResultError(f"a {probe} probe did not converge ({ending}): its accuracy shows nothing")
    right = np.zeros(len(values), dtype=bool)
    right[np.concatenate([fold.test for fold in folds])] = found.right
    changed = permuted(owners(wanted.labels, wanted.photo, folds), null, seed) if null else None
    if changed is None:
        return right, np.zeros(0)
    return right, nulls(values, changed, folds, found.again).mean(1)


def as_csv(found: Sweep) -> bytes:
    """Return one CSV line per lambda."""
    rows: list[list[object]] = [
        ["lambda", *(f"{part}{end}" for part in _PARTS for end in _ENDS), "null", "p", "pareto"]
    ]
    for each in found.points:
        values = [[part.mean, *part.ci95] for part in (each.accuracy, each.leakage)]
        values.append([None] * 3 if each.null is None else [each.null.difference, *each.null.ci95])
        null = [None] * 2 if each.null is None else [each.null.mean, each.null.p]
        rows.append([each.weight, *(value for part in values for value in part), *null, each.pareto])
    return csv_bytes(rows)


_PARTS = ("accuracy", "leakage", "difference")
_ENDS = ("", "_low", "_high")
