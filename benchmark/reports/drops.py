"""Drops of a report: each model against its own control sets, step by step, and the step of the background alone.

A change is after minus before, in points: negative is a loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.metrics.paired import background_step, chain, steps_of
from benchmark.reports import figures
from benchmark.reports.sections import Measured, Table
from benchmark.reports.text import between, percent, points
from benchmark.schemas.identity import check_chain, model_identity
from benchmark.schemas.metrics import Change
from benchmark.schemas.predictions import Predictions
from d3s_dataset.errors import ResultError

ALL = "all images"  # the last row of `paired.changes`
IMAGENET = ("model", "ImageNet photos", "ImageNet top-1 %", "here, top-1 %", "change, points")

# What stands under the objects of a control set, as sentences call it.
CONTROLS = {"control_scale": "redrawn on grey", "control_scale_guides": "on grey"}


@dataclass(frozen=True, eq=False)
class Drop:
    """One model's drop.

    Attributes:
        label: the model's in the report.
        steps: step -> background (and `all images`, last) -> change; empty without results on control sets.
        background: name of the step that changes the background alone; None where it was not measured.
        tables: predictions before and after that step.
        control: config before it.
    """

    label: str
    steps: dict[str, dict[str, Change]]
    background: str | None = None
    tables: tuple[Predictions, Predictions] | None = None
    control: str | None = None

    @property
    def by_background(self) -> dict[str, Change]:
        """The changes of the background step, `all images` last; empty where it was not measured."""
        return self.steps[self.background] if self.background else {}


def drops(about: Sequence[Measured], controls: Sequence[Measured]) -> list[Drop]:
    """Return the drop of every model, in the order of `about`.

    Raises:
        ResultError: a result on a control set that is of no model in `about`, or of another split or release.
    """
    models = [model_identity(each.result.model) for each in about]
    for other in controls:
        if model_identity(other.result.model) not in models:
            raise ResultError(
                f"{_called(other)}: expected the result of the same run of the "
                f"model (weights, arguments, precision) on config {about[0].result.dataset.config} too"
            )
    answer: list[Drop] = []
    for model, each in zip(models, about, strict=True):
        parts = [each, *(other for other in controls if model_identity(other.result.model) == model)]
        if len(parts) > 1:
            check_chain([(_called(part), part.result.model, part.result.dataset) for part in parts])
        answer.append(_drop(each, {part.result.dataset.config: part.predictions for part in parts}))
    return answer


def _drop(each: Measured, tables: dict[str, Predictions]) -> Drop:
    facts = each.result.dataset
    if not steps_of(tables, facts.kind):
        return Drop(each.label, {})
    steps = chain(tables, facts.backgrounds, facts.kind)
    step = background_step(tables, facts.kind, facts.config)
    if step is None:
        return Drop(each.label, steps)
    name, before, after = step
    return Drop(each.label, steps, name, (tables[before], tables[after]), before)


def _called(part: Measured) -> str:
    return f"{part.label} on config {part.result.dataset.config}"


def measured(found: Sequence[Drop]) -> list[Drop]:
    """Return the drops whose background step was measured."""
    return [each for each in found if each.background]


def table(found: Drop) -> Table:
    """Return a model's steps as text, the largest loss to the background first, all images last."""
    names = [*ordered([found]), ALL]
    first = next(iter(found.steps.values()))
    rows = [(name, str(first[name].n), *(change_text(step[name]) for step in found.steps.values())) for name in names]
    return Table("steps", found.label, ("change of top-1, points", "n", *found.steps), rows)


def ordered(found: Sequence[Drop]) -> list[str]:
    """Return the backgrounds by the mean change of their step, the largest loss first; ties keep their order."""
    steps = [each.by_background or next(iter(each.steps.values())) for each in found]
    names = [name for name in steps[0] if name != ALL]
    return sorted(names, key=lambda name: _mean([step[name].change for step in steps]))


def _mean(values: Sequence[float | None]) -> float:
    """Return the mean of the known values; above every change where none is known."""
    known = [each for each in values if each is not None]
    return sum(known) / len(known) if known else 2.0


def change_text(change: Change) -> str:
    """Return a change with its interval, in points; a star where the interval may not cover 95 %."""
    ends = between(change.ci95, points)
    return points(change.change) + (f" ({ends})" + "*" * bool(change.doubts) if ends != "-" else "")


def drawn(found: Sequence[Drop]) -> dict[str, Any]:
    """Return the figures of the background step, by name: accuracy against the control, change on each background."""
    if not measured(found):
        return {}
    names = ordered(measured(found))
    where = CONTROLS.get(measured(found)[0].control or "", "on the control")
    across = figures.against([_dot(each) for each in found], f"top-1 {where}, %", "top-1 of the same objects here, %")
    return {"drop": across, "changes": figures.changes(names, [_series(each, names) for each in found])}


def _dot(found: Drop) -> figures.Dot | None:
    whole = found.by_background.get(ALL)
    if whole is None or whole.before is None or whole.after is None or whole.change is None:
        return None
    low, high = (whole.change if end is None else end for end in whole.ci95)
    below, above = 100 * (whole.change - low), 100 * (high - whole.change)
    return figures.Dot(found.label, 100 * whole.before, 100 * whole.after, below, above)


def _series(found: Drop, names: Sequence[str]) -> figures.Series:
    cells = [found.by_background.get(name) for name in names]
    rows = [(each.change, *each.ci95) if each else (None, None, None) for each in cells]
    mean, low, high = 100 * np.array(rows, dtype=np.float64).T
    whole = found.by_background[ALL].change if found.background else None
    return figures.Series(found.label, mean, low, high, None if whole is None else 100 * whole)


def tables(found: Sequence[Drop]) -> list[Table]:
    """Return the table for a paper: change of every step on every background, one row each."""
    rows = [
        (each.label, step, name, str(cell.n), percent(cell.before), percent(cell.after), points(cell.change),
         between(cell.ci95, points))
        for each in found
        for step, cells in each.steps.items()
        for name, cell in cells.items()
    ]  # fmt: skip
    headings = ("model", "step", "background", "n", "before %", "after %", "change, points", "95 % interval")
    return [Table("drops", "Change of top-1, step by step", headings, rows)] if rows else []


def imagenet(about: Sequence[Measured]) -> list[tuple[str, ...]]:
    """Return the rows of the change from ImageNet, of models that were measured on it."""
    answer: list[tuple[str, ...]] = []
    for each in about:
        photos, drop = each.result.imagenet, each.result.drop
        if photos:
            change = points(None if drop is None else -drop)
            cells = (str(photos.n), percent(photos.top1), percent(each.metrics.top1), change)
            answer.append((each.label, *cells))
    return answer
