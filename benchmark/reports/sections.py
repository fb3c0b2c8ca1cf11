"""The parts of a report, from results and predictions: rows of text, tables for a paper, figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.metrics.accuracy import hits
from benchmark.metrics.calibration import calibration_curve
from benchmark.reports import figures
from benchmark.reports.text import between, percent
from benchmark.schemas.metrics import ClassScore, Metrics
from benchmark.schemas.predictions import Predictions
from benchmark.schemas.result import Result
from d3s_dataset.utils import escape
from d3s_dataset.utils.tables import csv_bytes, markdown_table

HEADINGS = ("model", "n", "top-1 %", "95 % interval", "top-5 %", "worst background", "its top-1 %", "gap, points")


@dataclass(frozen=True, eq=False)
class Measured:
    """One result with its predictions; `label` is what the report calls the model."""

    label: str
    result: Result
    predictions: Predictions

    @property
    def metrics(self) -> Metrics:
        """The numbers of the result."""
        return self.result.metrics


@dataclass(frozen=True)
class Table:
    """A table as text, its first column words and its others numbers; `name` is the end of its CSV's name."""

    name: str
    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def headline(about: Sequence[Measured]) -> list[tuple[str, ...]]:
    """Return the first table's rows, as text."""
    rows = []
    for each in about:
        metrics, worst = each.metrics, each.metrics.worst_background
        lowest = (worst.name, percent(worst.top1)) if worst else ("-", "-")
        accuracy = (percent(metrics.top1), between(metrics.ci95) + "*" * bool(metrics.doubts), percent(metrics.top5))
        rows.append((each.label, str(metrics.n), *accuracy, *lowest, percent(metrics.gap)))
    return rows


def by_background(about: Sequence[Measured]) -> list[tuple[str, ...]]:
    """Return top-1 on each background with its interval, one row per background and two columns per model."""
    rows = []
    for name in about[0].result.dataset.backgrounds:
        cells = [each.metrics.by_background[name] for each in about]
        shown = [(percent(cell.top1), between(cell.ci95) + "*" * bool(cell.doubts)) for cell in cells]
        rows.append((name, *(text for pair in shown for text in pair)))
    return rows


def drawn(about: Sequence[Measured]) -> dict[str, Any]:
    """Return the figures by name."""
    if not about:
        return {}
    names = about[0].result.dataset.backgrounds
    series, curves = [], []
    for each in about:
        cells = [each.metrics.by_background[name] for name in names]
        columns = [[cell.top1 for cell in cells], *([cell.ci95[end] for cell in cells] for end in (0, 1))]
        series.append(figures.Series(each.label, *(100 * np.array(column, dtype=np.float64) for column in columns)))
        right = hits(each.predictions.foreground, each.predictions.prediction)
        if each.predictions.probability is not None:
            curves.append(figures.Curve(each.label, *calibration_curve(each.predictions.probability[:, 0], right)[1:]))
    made = {"backgrounds": figures.accuracies(names, series), "calibration": figures.calibration(curves)}
    for index, each in enumerate(about):
        cells = sorted(each.metrics.by_foreground.values(), key=lambda cell: cell.top1 or 0)
        share = np.array([cell.top1_by_background for cell in cells], dtype=np.float64)
        made[f"classes-{index + 1}"] = figures.heat(names, share)
    return made


def classes(metrics: Metrics) -> list[list[Any]]:
    """Return (name, images and correct predictions on each background) of each class, for the page's script."""
    return [
        [name, each.n_by_background, [round(n * (share or 0)) for n, share in _cells(each)]]
        for name, each in metrics.by_foreground.items()
    ]


def _cells(each: ClassScore) -> list[tuple[int, float | None]]:
    return list(zip(each.n_by_background, each.top1_by_background, strict=True))


def doubts(about: Sequence[Measured]) -> list[str]:
    """Return the doubts about intervals, each reason once."""
    every = [part for each in about for part in (each.metrics, *each.metrics.by_background.values())]
    return sorted({text for part in every for text in part.doubts})


def tables(about: Sequence[Measured]) -> list[Table]:
    """Return the tables for a paper."""
    if not about:
        return []
    names = [title for each in about for title in (f"{each.label} top-1 %", "95 % interval")]
    first = Table("headline", "Headline", HEADINGS, headline(about))
    return [first, Table("backgrounds", "Accuracy on each background", ("background", *names), by_background(about))]


def files(tables: Sequence[Table]) -> dict[str, bytes]:
    """Return tables as one Markdown file and a CSV each, by the end of the file's name."""
    parts = ((escape.markdown(each.title), markdown_table(each.headings, each.rows)) for each in tables)
    text = "\n".join(f"{title}:\n\n{table}\n" for title, table in parts)
    made = {".md": (text + "\n* the interval may not cover 95 %: too few images or photos\n").encode()}
    for each in tables:
        made[f"-{each.name}.csv"] = csv_bytes((each.headings, *each.rows))
    return made
