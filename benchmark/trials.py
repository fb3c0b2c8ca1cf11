"""What `benchmark.correlate` and `benchmark.sweep` write, as types. Needs no torch."""

from typing import Literal

from benchmark.results import Dataset, Model
from benchmark.scores import Spread, Strict, Worst

Over = Literal["seeds", "photos and seeds"]  # what intervals are over; the first in older files


class Scores(Strict):
    """What one way of reading scored.

    Accuracies are per image. A group in `groups` is a superclass, tied or untied; `worst_group` is the lowest of those
    with 30 images or more, null where none has. `gain` is the untied accuracy minus that of the first model's plain
    features, image by image, in [-1, 1]. `worst` is in older files only: the lowest of all groups, however few images
    they have, which is too low by many points.
    """

    tied: Spread
    untied: Spread
    drop: Spread
    worst: Spread | None = None
    worst_group: Worst | None = None
    gain: Spread
    groups: dict[str, Spread]

    def doubts(self) -> list[str]:
        """Return why its intervals may not cover 95 %, each reason once."""
        every = (self.tied, self.untied, self.drop, self.gain, *self.groups.values())
        return list(dict.fromkeys(text for each in every for text in each.doubts))


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
    intervals: Over = "seeds"


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
    intervals: Over = "seeds"
