"""What `benchmark.correlate` and `benchmark.sweep` write, as types. Needs no torch."""

from typing import Literal

from benchmark.results import Dataset, Model
from benchmark.scores import Spread, Strict


class Scores(Strict):
    """What one way of reading scored.

    Accuracies are per image. A group in `groups` is a superclass, tied or untied; `worst` is the lowest of them. `gain`
    is the untied accuracy minus that of the first model's plain features, seed by seed, in [-1, 1].
    """

    tied: Spread
    untied: Spread
    drop: Spread
    worst: Spread
    gain: Spread
    groups: dict[str, Spread]


class Read(Strict):
    """One row of the table: a way of reading one model's features."""

    model: str
    way: str
    scores: Scores


class Correlation(Strict):
    """The file `<first model>--<dataset>-<config>-<split>--<precision>--<digest>--rho<rho>.correlation.json`.

    `pairing` is the groups with their classes and backgrounds; `disjoint` says whether test images share no foreground
    and no background photo with the train split, `n` how many test images are tied and untied.
    """

    schema_version: Literal[1] = 1
    models: list[Model]
    datasets: tuple[Dataset, Dataset]
    pairing: dict[str, dict[str, list[int] | str]]
    rho: float
    as_paper: bool
    seeds: list[int]
    disjoint: dict[str, bool]
    n: dict[str, int]
    rows: list[Read]


class Point(Strict):
    """One lambda: over seeds, the head's foreground accuracy and what a fresh probe reads of the other label.

    `leakage` is the background from the foreground part, on background photos the probe has not seen. `pareto` says
    that no other lambda has both a higher mean accuracy and a lower mean leakage.
    """

    weight: float
    accuracy: Spread
    leakage: Spread
    pareto: bool


class Sweep(Strict):
    """The file `sweep.json`; `chance` is the share of the commonest background."""

    schema_version: Literal[1] = 1
    model: Model
    datasets: tuple[Dataset, Dataset]
    objective: str
    probe: str
    seeds: list[int]
    chance: float
    points: list[Point]
