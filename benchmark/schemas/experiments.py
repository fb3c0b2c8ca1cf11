"""Typed results of the experiments on features: `benchmark.probe`, `correlate` and `sweep`. Needs no torch."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from benchmark.schemas.metrics import Number, Spread, Strict, Worst
from benchmark.schemas.result import Dataset, Model, Run
from benchmark.schemas.versions import Upgrade, Versioned


class Null(Strict):
    """A reading against its permutation null: labels permuted over photos of the label's kind, the probe fitted anew.

    `mean` and `spread` (standard deviation) of `repeats` readings of permuted labels; `difference` is the reading minus
    that mean, in [-1, 1], with a 95 % interval in which the null's spread counts (`permutation.compared`); `p` is the
    one-sided share of readings as high, the real one among them.
    """

    repeats: int
    mean: float
    spread: Number
    difference: float
    ci95: tuple[Number, Number]
    p: float

    @property
    def above(self) -> float:
        """The difference, 0 where the reading is below its null: that is no leakage."""
        return max(0.0, self.difference)


class Reading(Strict):
    """One label read from one part of the features by one kind of probe, on one cut.

    `features`: `all`, or `foreground` or `background` where a model's features are split. `label`: `foreground`,
    `background`, or `superclass` (the nine of ImageNet-9) where classes have too few photos. `cut`: `folds.CUTS`.
    `accuracy` is that of n test images, with a 95 % interval over photos; `chance` is 1 / classes, `majority` the share
    of the commonest label. `control`: accuracy of the same probe on random labels of photos (Hewitt & Liang), null
    where it was not fitted: on unseen photos of the label's own kind it is at chance by construction.
    `information`: usable information in nats, `entropy` minus the cross-entropy of the calibrated probe: a lower bound
    (Xu et al., arXiv 2002.10689). `endings`: how the probe of each fold and the control's ended,
    those that did not converge first. `null`: of LDA alone, which is fitted anew in closed form; see `Readable`.
    """

    features: str
    label: str
    probe: str
    cut: str
    n: int
    classes: int
    accuracy: Number
    ci95: tuple[Number, Number]
    doubts: list[str]
    chance: float
    majority: float
    control: Number
    selectivity: Number
    entropy: float
    information: Number
    information_ci95: tuple[Number, Number]
    converged: bool
    endings: list[str]
    null: Null | None = None


class Readable(Strict):
    """Reading of one label from one part of the features on one cut by the best of a family of probes.

    `probe` read most of the held-out photos (`held`: each probe's accuracy there); `accuracy` is what it reads of the n
    test images, with a 95 % interval over photos in which the choice is repeated; `picked` is the share of resamples
    that choose it. `upper` is the highest accuracy of the family on the test images, by `upper_probe`: an upper bound.
    `null` is that of `probe`; null where none was requested, and where permuting labels would only rename them.
    `codelength`: nats per image of an online code of the labels by LDA (Voita & Titov, arXiv 2003.12298), null where a
    label has a single photo; `uniform` is log(classes), the code without features.
    """

    features: str
    label: str
    cut: str
    n: int
    classes: int
    probe: str
    held: dict[str, Number]
    accuracy: Number
    ci95: tuple[Number, Number]
    picked: float
    upper: Number
    upper_probe: str
    doubts: list[str]
    null: Null | None
    codelength: Number
    uniform: float
    converged: bool


class Share(Strict):
    """A share of n images, with its 95 % interval over photos."""

    n: int
    value: Number
    ci95: tuple[Number, Number]
    doubts: list[str]


class Kept(Strict):
    """Object information kept in features: nearest neighbour, and the model's own head.

    `recall` is recall@1 of the same foreground photo on another background, by cosine; `head` the top-1 of the model's
    own head, null where that is not linear in the pooled features.
    """

    features: str
    recall: Share
    head: Share | None


class Threat(Strict):
    """Reading of the erased label by a probe with more than one vector per image (`probing.threats`).

    `access`: `bag`, of `count` test images that share a photo of the label, n bags; `query`, the mean of `count`
    erasures of copies of each image, n images; `limit`, the same without noise, `count` 0. The last two of erasers that
    draw noise alone. `accuracy` is null where no photo has so many images.
    """

    access: Literal["bag", "query", "limit"]
    count: int
    probe: str
    n: int
    accuracy: Number


class Erasure(Strict):
    """One eraser: what it erased from which features, how many foreground photos each of the three sets held.

    `erase_label`: what it was fitted to erase, the label (`background`) or which photo of it an image shows (`photo`).
    `cut`: whether eraser and probe have seen the background photos of the test. `options`: constants that are not the
    eraser's own. Older files: the label, `seen`, own constants, no `threats`.
    `raw` and `erased` hold the same readings and the same of what is kept, on raw and on erased features;
    `raw_readable` and `erased_readable` the best of their probes, empty in older files.
    """

    eraser: str
    erases: str
    rank: int
    size: int
    photos: tuple[int, int, int]
    raw: list[Reading]
    erased: list[Reading]
    raw_kept: Kept
    erased_kept: Kept
    raw_readable: tuple[Readable, ...] = ()
    erased_readable: tuple[Readable, ...] = ()
    erase_label: Literal["background", "photo"] = "background"
    cut: Literal["seen", "unseen"] = "seen"
    options: dict[str, float] = Field(default_factory=dict)
    threats: tuple[Threat, ...] = ()


def _unchanged(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a version after which fields with defaults were added."""
    return fields


class Probed(Versioned):
    """The file `<model>--<dataset>-<config>-<split>--<digest>-probe.json`; `notes` says what could not be read.

    Version 1 has no `readable` and no nulls.
    """

    VERSION: ClassVar[int] = 2
    UPGRADES: ClassVar[Mapping[int, Upgrade]] = {1: _unchanged}

    model: Model
    dataset: Dataset
    features: int
    partition: tuple[int, int] | None
    seed: int
    readings: list[Reading]
    readable: tuple[Readable, ...] = ()
    kept: list[Kept]
    erasure: list[Erasure]
    notes: list[str]
    converged: bool
    environment: dict[str, str]
    seconds: float
    run: Run | None = None


Over = Literal["seeds", "photos and seeds"]  # what intervals are over; the first in older files


class Scores(Strict):
    """Scores of one method.

    Accuracies are per image. A group in `groups` is a superclass, aligned or conflicting; `worst_group` is the lowest
    of those with 30 images or more, null where none has. `gain` is the accuracy on conflicting images minus that of
    the first model's plain features, image by image, in [-1, 1]. `worst` is in older files only: the lowest of all
    groups, however few images they have, which is too low by many points.
    """

    aligned: Spread
    conflicting: Spread
    drop: Spread
    worst: Spread | None = None
    worst_group: Worst | None = None
    gain: Spread
    groups: dict[str, Spread]

    def doubts(self) -> list[str]:
        """Return why its intervals may not cover 95 %, each reason once."""
        every = (self.aligned, self.conflicting, self.drop, self.gain, *self.groups.values())
        return list(dict.fromkeys(text for each in every for text in each.doubts))


class Read(Strict):
    """One row of the table: a method on one model's features."""

    model: str
    method: str
    scores: Scores


_ALIGNED = {"tied": "aligned", "untied": "conflicting"}  # as version 1 called them


def _aligned(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of version 1 with the fields and group names of version 2."""

    def renamed(group: str) -> str:
        name, _, kind = group.rpartition(", ")
        return f"{name}, {_ALIGNED.get(kind, kind)}" if name else group

    scores = {_ALIGNED.get(name, name): value for name, value in row["scores"].items()}
    scores["groups"] = {renamed(name): value for name, value in scores["groups"].items()}
    if worst := scores.get("worst_group"):
        scores["worst_group"] = {**worst, "name": renamed(worst["name"])}
    return {"method" if name == "way" else name: value for name, value in row.items()} | {"scores": scores}


def _from_1(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of version 2 of a correlation."""
    try:
        counts = {_ALIGNED.get(kind, kind): count for kind, count in fields["n"].items()}
        return {**fields, "n": counts, "rows": [_aligned(row) for row in fields["rows"]]}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not the fields of version 1: {error}") from None


class Correlation(Versioned):
    """The file `<first model>--<dataset>-<config>-<split>--<precision>--<digest>--rho<rho>.correlation.json`.

    `pairing` is the groups with their classes and backgrounds; `disjoint` says whether test images share no foreground
    and no background photo with the train split, `n` how many test images are aligned and conflicting.
    Version 1 has other names for these, and `way` for `method`.
    """

    VERSION: ClassVar[int] = 2
    UPGRADES: ClassVar[Mapping[int, Upgrade]] = {1: _from_1}

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

    `leakage` is the background from the foreground part, on background photos the probe has not seen; `null` compares
    it with the probe's permutation null. `pareto` says that no other lambda has both a higher mean accuracy and a lower
    mean leakage above the null (a reading below it counts as none). Without `null` (older files, or a sweep that
    requested none) leakage itself was compared.
    """

    weight: float
    accuracy: Spread
    leakage: Spread
    null: Null | None = None
    pareto: bool


class Sweep(Versioned):
    """The file `sweep.json`; `chance` is the share of the commonest background. Version 1 has no nulls, 2 no width."""

    VERSION: ClassVar[int] = 3
    UPGRADES: ClassVar[Mapping[int, Upgrade]] = {1: _unchanged, 2: _unchanged}

    model: Model
    datasets: tuple[Dataset, Dataset]
    objective: str
    width: int = 32
    probe: str
    seeds: list[int]
    chance: float
    points: list[Point]
    intervals: Over = "seeds"


class Attribution(Strict):
    """Share of the drop of a model's answer that lies on the object, by occlusion, on some images.

    `area` is the share of the image that the object's box covers: what a model that looks everywhere alike gives.
    `undefined` counts further images on which covering no cell lowers the answer.
    """

    n: int
    undefined: int
    share: Number
    ci95: tuple[Number, Number]
    area: Number
    doubts: list[str]


class Occluded(Strict):
    """One image: the model's answer, its probability, and its fall where each cell of the grid is covered.

    `box` is where the object stands, as shares of width and height: left, top, right, bottom.
    """

    key: str
    foreground: int
    background: int
    answer: int
    probability: float
    box: tuple[float, float, float, float]
    share: Number
    drop: list[list[float]]


class Attributed(Versioned):
    """The file `<model>--<dataset>-<config>-<split>--<precision>--<digest>-attribution.json` of `benchmark.run`.

    `per_background` images of each background were covered cell by cell, on a grid of `grid` x `grid`.
    """

    model: Model
    dataset: Dataset
    grid: int
    per_background: int
    attributions: dict[str, Attribution]
    images: list[Occluded]
