"""Leakage against accuracy over lambda, on frozen features: the numbers.

Needs no torch before a neck is trained.
"""

import csv
import io
from collections.abc import Sequence

import numpy as np

from benchmark.correlation import shares
from benchmark.features import Features
from benchmark.folds import Photos, cut
from benchmark.trials import Point, Sweep
from d3s_dataset.command import progress
from d3s_dataset.errors import ResultError


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
    from benchmark.neck import Labelled
    from benchmark.neck import train as train_neck

    known, labels = np.unique(train.foreground, return_inverse=True)
    if len(known) < 2 or len(np.unique(train.background)) < 2:
        raise ResultError("the train split shows one foreground or background label only: expected two or more")
    rows = Labelled(train.values, labels, train.background)
    found: dict[float, list[tuple[float, float]]] = {}
    turns = [(weight, seed) for weight in weights for seed in seeds]
    for weight, seed in progress(turns, label="sweep", unit="neck"):
        neck = train_neck(rows, objective, weight, seed)
        right = known[neck.told(test.values)] == test.foreground
        leaks = leakage(neck.part(test.values, "foreground"), test, probe, seed)
        found.setdefault(weight, []).append((float(right.mean()), leaks))
    means = {weight: np.mean(values, axis=0) for weight, values in found.items()}
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
                accuracy=shares(np.array([each[0] for each in values])),
                leakage=shares(np.array([each[1] for each in values])),
                pareto=not any(o[0] > means[weight][0] and o[1] < means[weight][1] for o in means.values()),
            )
            for weight, values in found.items()
        ],
    )


def leakage(values: np.ndarray, test: Features, probe: str, seed: int) -> float:
    """Return how often a fresh probe reads the background from features, on background photos it has not seen.

    Raises:
        ResultError: too few photos, or a probe that did not converge; a network that reads less than a linear probe.
    """
    from benchmark.leakage import Asked, read
    from benchmark.targets import target

    wanted, every = target("background", test), np.ones(len(values), dtype=bool)
    kinds = tuple(dict.fromkeys(("linear", probe))) if probe == "mlp" else (probe,)
    asked = Asked(kinds, seed, control=False)
    *_, found = read(test, "neck", values, wanted, every, "unseen_background", asked)
    if not found.converged:
        raise ResultError(f"a {probe} probe did not converge ({found.endings[0]}): its accuracy shows nothing")
    assert found.accuracy is not None
    return found.accuracy


def as_csv(found: Sweep) -> bytes:
    """Return a line a lambda."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["lambda", *(f"{part}{end}" for part in ("accuracy", "leakage") for end in _ENDS), "pareto"])
    for each in found.points:
        parts = ([part.mean, *part.ci95] for part in (each.accuracy, each.leakage))
        writer.writerow([each.weight, *(value for part in parts for value in part), each.pareto])
    return text.getvalue().encode()


_ENDS = ("", "_low", "_high")
