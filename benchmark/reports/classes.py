"""Classes of a report: how accuracy spreads over them, which lose most, and the table of all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.metrics.accuracy import group_means, hits
from benchmark.metrics.paired import join
from benchmark.reports import figures
from benchmark.reports.drops import Drop, measured
from benchmark.reports.pulls import short
from benchmark.reports.sections import Measured, Table
from benchmark.reports.text import between, percent
from benchmark.schemas.metrics import ClassScore, Metrics, Shrunk
from benchmark.schemas.predictions import Predictions
from d3s_dataset.taxonomy import classes

SHOWN = 20  # classes in the plot of changes
FEW = 5  # images per cell below which the table of classes is collapsed
FEW_IMAGES = 30  # below which a superclass cell is faded


@dataclass(frozen=True, eq=False)
class ClassChanges:
    """Classes by their mean change over models, the largest loss first.

    Shapes: `labels` (k,) classes, `n` (k,) images of each; `before`, `after` (models, k) top-1 in [0, 1].
    """

    labels: np.ndarray
    n: np.ndarray
    before: np.ndarray
    after: np.ndarray


def changes(drops: Sequence[Drop]) -> ClassChanges | None:
    """Return the change of every class when the background alone changes; None where no model's was measured.

    Only classes that every model was measured on are kept; `n` is the smallest number of images among models.
    """
    found = [_of(drop.label, drop.tables) for drop in drops if drop.tables]
    if not found:
        return None
    sizes = np.stack([size for size, _, _ in found])
    labels = np.flatnonzero((sizes > 0).all(0))
    before, after = (np.stack([each[i][labels] for each in found]) for i in (1, 2))
    order = np.lexsort((labels, (after - before).mean(0)))
    return ClassChanges(labels[order], sizes.min(0)[labels][order], before[:, order], after[:, order])


def _of(label: str, tables: tuple[Predictions, Predictions]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images of each class that are in both tables, top-1 before and after, (1000,) each."""
    pair = join(tables, [f"{label}'s control", label]).tables
    count = len(classes())
    means = [group_means(hits(each.foreground, each.prediction), each.foreground, count)[0] for each in pair]
    return np.bincount(pair[1].foreground, minlength=count), means[0], means[1]


def spread(about: Sequence[Measured]) -> list[np.ndarray]:
    """Return each model's top-1 per class, (classes,) in [0, 1], the hardest first."""
    return [np.sort([each.top1 or 0.0 for each in one.metrics.by_foreground.values()]) for one in about]


def never(about: Sequence[Measured]) -> list[str]:
    """Return one sentence per model: of how many classes no image, and of how many every image, is right."""
    sentences = []
    for each, share in zip(about, spread(about), strict=True):
        none, every = int((share == 0).sum()), int((share == 1).sum())
        sentences.append(
            f"{each.label}: of {len(share)} classes, {none} ({percent(none / len(share))} %) are never right and "
            f"{every} ({percent(every / len(share))} %) always."
        )
    return sentences


def drawn(about: Sequence[Measured], drops: Sequence[Drop]) -> dict[str, Any]:
    """Return the figures of classes by name."""
    if not about:
        return {}
    names = [each.label for each in about]
    made = {"classes": figures.ranked(names, [100 * each for each in spread(about)])}
    found = changes(drops)
    if found is not None:
        kept = slice(min(SHOWN, len(found.labels)))
        titles = [
            f"{short(classes()[label].name)} ({n})" for label, n in zip(found.labels[kept], found.n[kept], strict=True)
        ]
        models = [names.index(each.label) for each in measured(drops)]
        made["class-changes"] = figures.dumbbells(
            titles, names, models, 100 * found.before[:, kept], 100 * found.after[:, kept]
        )
    return made


def collapsed(metrics: Metrics) -> str:
    """Return why the table of classes is collapsed, as its summary; empty where its cells hold enough images."""
    cells = [n for each in metrics.by_foreground.values() for n in each.n_by_background if n]
    middle = int(np.median(cells)) if cells else 0
    return f"a cell holds {middle} image{'s' * (middle != 1)}" if middle < FEW else ""


def listed(metrics: Metrics) -> list[list[Any]]:
    """Return (name, images and correct predictions on each background) of each class, for the page's script."""
    return [
        [name, each.n_by_background, [round(n * (share or 0)) for n, share in _cells(each)]]
        for name, each in metrics.by_foreground.items()
    ]


def _cells(each: ClassScore) -> list[tuple[int, float | None]]:
    return list(zip(each.n_by_background, each.top1_by_background, strict=True))


@dataclass(frozen=True)
class Cell:
    """One cell of the superclass table.

    Attributes:
        text: accuracy in percent.
        ends: its interval; empty where there is none.
        n: images.
        strength: of its colour, in [0, 1].
        few: whether it has few images.
    """

    text: str
    ends: str
    n: int
    strength: str
    few: bool


def superclasses(metrics: Metrics) -> list[tuple[str, list[Cell]]]:
    """Return the superclasses that have images, each on every background and, last, on all of them."""
    rows = []
    for name, cells in metrics.by_superclass_background.items():
        total = sum(each.n for each in cells.values())
        if total:
            right = sum(each.n * each.top1 for each in cells.values() if each.top1 is not None)
            own = [_cell(each.top1, each.ci95, each.n) for each in cells.values()]
            rows.append((name, [*own, _cell(right / total, (None, None), total)]))
    return rows


def shrunk(metrics: Metrics) -> list[tuple[str, list[Cell]]]:
    """Return the same of shrunk accuracies, without the column of all backgrounds; empty where there are none."""
    rows = []
    for name, cells in metrics.by_superclass_background.items():
        if any(each.shrunk for each in cells.values()):
            none = Shrunk(top1=None, ci95=(None, None))
            pairs = [(each.shrunk or none, each.n) for each in cells.values()]
            rows.append((name, [_cell(each.top1, each.ci95, n) for each, n in pairs]))
    return rows


def tables(about: Sequence[Measured]) -> list[Table]:
    """Return the table of superclass x background for a paper: plain and shrunk accuracies with their intervals."""
    headings = ("superclass on background", "n", "plain %", "95 % interval", "shrunk %", "95 % interval")
    made = []
    for each in about:
        rows = [
            (f"{name} on {background}", str(cell.n), percent(cell.top1), between(cell.ci95), *_pulled(cell.shrunk))
            for name, cells in each.metrics.by_superclass_background.items()
            for background, cell in cells.items()
            if cell.n
        ]
        if rows:
            own = len(about) > 1
            title = f"Superclasses on each background{f': {each.label}' if own else ''}"
            made.append(Table(f"superclasses{f'-{len(made) + 1}' if own else ''}", title, headings, rows))
    return made


def _pulled(cell: Shrunk | None) -> tuple[str, str]:
    return ("-", "-") if cell is None else (percent(cell.top1), between(cell.ci95))


def _cell(top1: float | None, ci95: tuple[float | None, float | None], n: int) -> Cell:
    ends = between(ci95)
    return Cell(percent(top1), "" if ends == "-" else ends, n, f"{top1 or 0:.3f}", n < FEW_IMAGES)
