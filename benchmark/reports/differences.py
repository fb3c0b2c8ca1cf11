"""Paired differences between the models of a report, as in `benchmark.compare`: image by image, Holm-corrected."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from benchmark.metrics.paired import changes, join
from benchmark.metrics.statistics import holm
from benchmark.reports.drops import ALL, change_text
from benchmark.reports.sections import Measured, Table
from benchmark.reports.text import between, p_value, percent, points
from benchmark.schemas.metrics import Change

MOST_PAIRED = 5  # models of which every pair is compared; of more, each is compared with the best
LEVEL = 0.05
HEADINGS = (
    "model A", "model B", "n", "A %", "B %", "A - B, points", "95 % interval", "p", "p (Holm)", "A alone right",
    "B alone right",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Difference:
    """Two models on the same images: `better`, that with the higher top-1, minus `other`.

    `changes` is per background and `all images`, last. Its `p_holm` is corrected for all pairs: on all images for their
    number, on backgrounds for pairs times backgrounds.
    """

    better: str
    other: str
    changes: dict[str, Change]


def differences(about: Sequence[Measured]) -> list[Difference]:
    """Return the differences of all pairs of models, the best two first; of many models, of each with the best."""
    ranked = sorted(about, key=lambda each: -(each.metrics.top1 or 0))
    every = combinations(ranked, 2) if len(ranked) <= MOST_PAIRED else ((ranked[0], each) for each in ranked[1:])
    found = [_difference(better, other) for better, other in every]
    if not found:
        return []
    names = list(found[0].changes)
    alone = names.index(ALL)
    p = [[cell.p if cell.p is not None else float("nan") for cell in each.changes.values()] for each in found]
    whole = holm([row[alone] for row in p])
    parts = holm([value for row in p for place, value in enumerate(row) if place != alone])
    cells = parts.reshape(len(found), len(names) - 1).tolist()
    corrected = [dict(zip(names, [*row, whole[i]], strict=True)) for i, row in enumerate(cells)]
    return [
        Difference(
            each.better,
            each.other,
            {name: cell.model_copy(update={"p_holm": _none(own[name])}) for name, cell in each.changes.items()},
        )
        for each, own in zip(found, corrected, strict=True)
    ]


def _difference(better: Measured, other: Measured) -> Difference:
    before, after = join([other.predictions, better.predictions], [other.label, better.label]).tables
    return Difference(better.label, other.label, changes(before, after, other.result.dataset.backgrounds))


def _none(value: float) -> float | None:
    return None if value != value else float(value)


def table(found: Sequence[Difference]) -> Table:
    """Return the differences on all images as text, one row per pair."""
    rows = [(each.better, each.other, *_cells(each.changes[ALL])) for each in found]
    return Table("differences", "Differences between models on the same images", HEADINGS, rows)


def _cells(cell: Change) -> tuple[str, ...]:
    ends = between(cell.ci95, points)
    return (
        *(str(cell.n), percent(cell.after), percent(cell.before), points(cell.change)),
        *(ends + "*" * bool(ends != "-" and cell.doubts), p_value(cell.p), p_value(cell.p_holm)),
        *(str(cell.gained), str(cell.lost)),
    )


def by_background(found: Sequence[Difference], backgrounds: Sequence[str]) -> Table:
    """Return the differences on each background as text, one row per background and one column per pair.

    Args:
        found: the pairs.
        backgrounds: in the order of the rows.
    """
    headings = ("A - B, points", *(f"{each.better} - {each.other}" for each in found))
    rows = [(name, *(_marked(each.changes[name]) for each in found)) for name in backgrounds]
    return Table("differences-backgrounds", "Differences between models on each background", headings, rows)


def _marked(cell: Change) -> str:
    """Return a difference, followed by `differs` where it does by the corrected test."""
    return change_text(cell) + (", differs" if cell.p_holm is not None and cell.p_holm < LEVEL else "")
