"""Leakage against accuracy over lambda, on frozen features: the numbers.

Needs no torch before a neck is trained.
"""

from collections.abc import Sequence

import numpy as np

from benchmark.inference.features import Features
from benchmark.metrics.seeds import OVER, accuracies
from benchmark.probing.folds import cut
from benchmark.schemas.experiments import Point, Sweep
from d3s_dataset.errors import ResultError
from d3s_dataset.utils.cli import progress
from d3s_dataset.utils.tables import csv_bytes


def sweep(
    train: Features, test: Features, objective: str, weights: Sequence[float], seeds: Sequence[int], probe: str
) -> Sweep:
    """Train a neck for every lambda and seed on one split, probe it on another.

    Args:
        train: what necks learn from.
        test: what they are tested on; probes are fitted to a part of it and tested on the rest.
        objective: with a penalty.
        weights: lambdas.
        seeds: of necks and probes.
        probe: kind of probe.

    Raises:
        ResultError: a split of one label, too few background photos, or a probe that did not converge.
    """
    from benchmark.probing.leakage import sample_of
    from benchmark.training.adapter import Labelled
    from benchmark.training.adapter import train as train_neck

    known, labels = np.unique(train.foreground, return_inverse=True)
    if len(known) < 2 or len(np.unique(train.background)) < 2:
        raise ResultError("the train split shows one foreground or background label only: expected two or more")
    rows = Labelled(train.values, labels, train.background)
    sample = sample_of(test, np.arange(len(test.key)))
    found: dict[float, list[tuple[np.ndarray, np.ndarray]]] = {}
    turns = [(weight, seed) for weight in weights for seed in seeds]
    for weight, seed in progress(turns, label="sweep", unit="neck"):
        neck = train_neck(rows, objective, weight, seed)
        right = known[neck.told(test.values)] == test.foreground
        leaks = leakage(neck.part(test.values, "foreground"), test, probe, seed)
        found.setdefault(weight, []).append((right, leaks))
    parts = {weight: [np.stack(part) for part in zip(*values, strict=True)] for weight, values in found.items()}
    means = {weight: [float(part.mean()) for part in both] for weight, both in parts.items()}
    return Sweep(
        model=train.model,
        datasets=(train.dataset, test.dataset),
        objective=objective,
        probe=probe,
        seeds=list(seeds),
        chance=float(np.bincount(test.background).max() / len(test.background)),
        points=[
            Point(
                weight=weight,
                accuracy=accuracies(both[0], sample)[-1],
                leakage=accuracies(both[1], sample)[-1],
                pareto=not any(o[0] > means[weight][0] and o[1] < means[weight][1] for o in means.values()),
            )
            for weight, both in parts.items()
        ],
        intervals=OVER,
    )


def leakage(values: np.ndarray, test: Features, probe: str, seed: int) -> np.ndarray:
    """Return (n,) bool: a new probe reads an image's background from (n, d) features, its background photo unseen.

    Raises:
        ResultError: too few photos, or a probe that did not converge; a network that reads less than a linear probe.
    """
    from benchmark.probing.leakage import Asked, photos_of, read_all
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
    return right


def as_csv(found: Sweep) -> bytes:
    """Return one CSV line per lambda."""
    rows: list[list[object]] = [
        ["lambda", *(f"{part}{end}" for part in ("accuracy", "leakage") for end in _ENDS), "pareto"]
    ]
    for each in found.points:
        parts = ([part.mean, *part.ci95] for part in (each.accuracy, each.leakage))
        rows.append([each.weight, *(value for part in parts for value in part), each.pareto])
    return csv_bytes(rows)


_ENDS = ("", "_low", "_high")
