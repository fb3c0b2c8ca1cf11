"""The parts of a report about features: what probes read, the spurious-correlation task, the sweep over lambda."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.reports import figures, probe_text
from benchmark.reports.inputs import Given
from benchmark.reports.sections import Table
from benchmark.reports.text import between, over_seeds, percent, points, worst_cells
from benchmark.schemas.experiments import Correlation, Erasure, Kept, Probed, Read, Readable, Reading, Sweep
from benchmark.schemas.metrics import Spread
from benchmark.schemas.result import Dataset, Model
from d3s_dataset.schema import not_d3s

MAIN = "unseen_background"  # the cut of the main figure
KEPT = ("features", "state", "n", "same photo nearest %", "95 % interval", "own head %", "95 % interval")
METHODS = (
    "model, method", "aligned %", "conflicting %", "conflicting - aligned, points", "conflicting - plain, points",
    "worst group %", "split-sample %", "which",
)  # fmt: skip
LAMBDAS = ("lambda", "foreground accuracy %", "background read %", *probe_text.NULL, "none better in both")


@dataclass(frozen=True)
class Square:
    """The two labels read from either part of the features by one probe: `cells` stand in the order of `labels`."""

    labels: tuple[str, ...]
    rows: list[tuple[str, str, list[Reading | None]]]


def square(probed: Probed) -> Square:
    """Return the readings on background photos that no probe has seen: (features, probe, one reading per label)."""
    found = {(each.features, each.probe, each.label): each for each in probed.readings if each.cut == MAIN}
    labels = tuple(dict.fromkeys(label for _, _, label in found))
    rows = dict.fromkeys((features, probe) for features, probe, _ in found)
    return Square(labels, [(*row, [found.get((*row, label)) for label in labels]) for row in rows])


def strength(reading: Reading) -> str:
    """Return how far an accuracy is from chance to 1, for the strength of a colour: 0 at chance or below."""
    above = ((reading.accuracy or 0.0) - reading.chance) / (1 - reading.chance)
    return f"{max(0.0, above):.3f}"


def leaks(reading: Reading | Readable) -> bool:
    """Return whether a reading is of the label that this part of the features should not hold."""
    return {reading.features, reading.label} == {"foreground", "background"}


def leakage(probed: Probed) -> list[str]:
    """Return a sentence per part: what the best probe reads of the other label, and its null; older files: chance."""
    best = {each.features: each for each in probed.readable if each.cut == MAIN and leaks(each)}
    single = [each for _, _, cells in square(probed).rows for each in cells if each and leaks(each)]
    found = [*best.values(), *(each for each in single if each.features not in best)]
    return [f"From the {each.features} part {_read(each)}" for each in found]


def _read(found: Reading | Readable) -> str:
    if isinstance(found, Reading):
        by, end = f"the probe {found.probe}", f"; chance is {percent(found.chance)} %."
    else:
        by, end = f"the best probe ({found.probe})", "."
        if found.null is not None:
            end = f"; permuted labels at {percent(found.null.mean)} %."
    share = f"{percent(found.accuracy)} % (95 % interval {between(found.ci95)}){'*' * bool(found.doubts)}"
    return f"{by} reads the {found.label} at {share}{end}"


def readings(probed: Probed) -> list[tuple[str, ...]]:
    """Return all readings as text."""
    return [probe_text.row(each) for each in probed.readings]


def pairs(erasure: Erasure) -> list[tuple[Reading, Reading]]:
    """Return each reading of raw features with that of erased ones."""
    return list(zip(erasure.raw, erasure.erased, strict=True))


def label_of(model: Model) -> str:
    """Return a model's name in a report."""
    return model.tag or model.name


def where(facts: Dataset, about: Dataset) -> str:
    """Return the images of a measurement as text, and whether they are those of the report."""
    text = f"{facts.name}, config {facts.config}, split {facts.split}, {facts.n} images"
    if warning := not_d3s(facts.kind, facts.config):
        text += f"; {warning}"
    return text + f"; another release than above, digest {facts.digest[:12]}" * (facts.digest != about.digest)


def eraser_name(erasure: Erasure) -> str:
    """Return an eraser with what differs from its defaults."""
    return probe_text.eraser_name(erasure)


def kept(probed: Probed) -> list[tuple[str, ...]]:
    """Return the retention of the object, raw and after each eraser, as text."""
    rows = [_kept("raw", each) for each in probed.kept]
    for each in probed.erasure:
        rows += [
            _kept("raw, test photos only", each.raw_kept),
            _kept(f"erased: {probe_text.eraser_name(each)}", each.erased_kept),
        ]
    return rows


def _kept(state: str, each: Kept) -> tuple[str, ...]:
    head = (percent(each.head.value), between(each.head.ci95)) if each.head else ("-", "-")
    return each.features, state, str(each.recall.n), percent(each.recall.value), between(each.recall.ci95), *head


def names(correlation: Correlation) -> str:
    """Return the models of a correlation table."""
    return ", ".join(map(label_of, correlation.models))


def methods(correlation: Correlation) -> list[tuple[str, ...]]:
    """Return the rows of the correlation table as text, with 95 % intervals.

    The worst group of older files is left out: it was chosen among groups of any size.
    """
    return [
        (
            method_of(correlation, each),
            *(over_seeds(part) for part in (each.scores.aligned, each.scores.conflicting)),
            over_seeds(_turned(each.scores.drop), points),
            "-" if each is correlation.rows[0] else over_seeds(each.scores.gain, points),
            *worst_cells(each.scores.worst_group),
        )
        for each in correlation.rows
    ]


def _turned(drop: Spread) -> Spread:
    """Return a difference the other way round, so that a loss is negative as everywhere in a report."""
    low, high = (None if end is None else -end for end in drop.ci95)
    mean = None if drop.mean is None else -drop.mean
    return drop.model_copy(update={"mean": mean, "ci95": (high, low)})


def method_of(correlation: Correlation, row: Read) -> str:
    """Return a method's name in the table, without the model's if there is one model."""
    return row.method if len(correlation.models) == 1 else f"{row.model}, {row.method}"


def groups(correlation: Correlation) -> Table:
    """Return the accuracy of each group, aligned and conflicting, one column per method."""
    names = correlation.rows[0].scores.groups
    rows = [(name, *(over_seeds(each.scores.groups[name]) for each in correlation.rows)) for name in names]
    return Table("groups", "", ("group", *(method_of(correlation, each) for each in correlation.rows)), rows)


def lambdas(sweep: Sweep) -> list[tuple[str, ...]]:
    """Return the rows of a sweep as text, with 95 % intervals."""
    return [
        (
            f"{each.weight:g}",
            *(over_seeds(part) for part in (each.accuracy, each.leakage)),
            *probe_text.null_cells(each.null),
            "yes" if each.pareto else "",
        )
        for each in sweep.points
    ]


def doubts(probed: Sequence[Probed]) -> list[str]:
    """Return the doubts about intervals, each reason once."""
    erasures = [each for one in probed for each in one.erasure]
    every = [*(one.readings for one in probed), *(side for each in erasures for side in (each.raw, each.erased))]
    return sorted({text for side in every for each in side for text in each.doubts})


def tables(given: Given) -> list[Table]:
    """Return the tables for a paper: one per kind, whose first column is the model."""
    probed = [(label_of(each.model), each) for each in given.probed]
    read = [(label, *row) for label, one in probed for row in readings(one)]
    best = [(label, *row) for label, one in probed for row in probe_text.readable_rows(one)]
    erasures = [(label, each) for label, one in probed for each in one.erasure]
    erased = [
        (label, probe_text.eraser_name(each), *row) for label, each in erasures for row in probe_text.erased_rows(each)
    ]
    still = [(label, *row) for label, one in probed for row in kept(one)]
    correlated = [
        (f"{label_of(one.models[0])}, rho {one.rho:g}", *row) for one in given.correlations for row in methods(one)
    ]
    swept = [(f"{label_of(one.model)}, {one.objective}", *row) for one in given.sweeps for row in lambdas(one)]
    every = [
        Table("probes", "What probes read; shares in %", ("model", *probe_text.HEADINGS), read),
        Table("readable", "What is readable; shares in %", ("model", *probe_text.READABLE), best),
        Table("erased", "Raw and erased features; shares in %", ("model", "eraser", *probe_text.ERASED), erased),
        Table("kept", "What features keep of the object", ("model", *KEPT), still),
        Table("correlation", "Spurious-correlation benchmark", ("first model", *METHODS), correlated),
        Table("sweep", "Leakage against accuracy over lambda", ("model, penalty", *LAMBDAS), swept),
    ]
    return [each for each in every if each.rows]


def drawn(given: Given) -> dict[str, Any]:
    """Return the figures by name."""
    made = {}
    for index, found in enumerate(given.correlations, 1):
        names = [method_of(found, each) for each in found.rows]
        scores = [each.scores for each in found.rows]
        series = [
            _series("aligned", [each.aligned for each in scores]),
            _series("conflicting", [each.conflicting for each in scores]),
        ]
        made[f"correlation-{index}"] = figures.accuracies(
            names, series, f"accuracy, %, with 95 % intervals over {found.intervals}"
        )
    for index, found in enumerate(given.sweeps, 1):
        made[f"sweep-{index}"] = figures.tradeoff(found)
    return made


def _series(label: str, parts: Sequence[Spread]) -> figures.Series:
    columns = [[each.mean for each in parts], *([each.ci95[end] for each in parts] for end in (0, 1))]
    mean, low, high = 100 * np.array(columns, dtype=np.float64)
    return figures.Series(label, mean, low, high)
