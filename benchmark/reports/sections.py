"""The parts of a report, from results and predictions: rows of text, tables for a paper, figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.metrics.accuracy import hits
from benchmark.metrics.calibration import calibration_curve
from benchmark.reports import figures
from benchmark.reports.text import between, percent, points
from benchmark.schemas.metrics import Metrics
from benchmark.schemas.predictions import Predictions
from benchmark.schemas.result import Result
from d3s_dataset.utils import escape
from d3s_dataset.utils.tables import csv_bytes, markdown_table

FEW_IMAGES = 30  # calibration bins of fewer are drawn hollow
HEADINGS = (
    "model",
    "n",
    "top-1 %",
    "95 % interval",
    "top-5 %",
    "worst background",
    "its top-1 %",
    "worst minus all, points",
)


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
        below = points(None if metrics.gap is None else -metrics.gap)
        rows.append((each.label, str(metrics.n), *accuracy, *lowest, below))
    return rows


def hardest_first(about: Sequence[Measured]) -> list[str]:
    """Return the backgrounds by the models' mean top-1, the hardest first; those without images last."""
    names = about[0].result.dataset.backgrounds
    known = {name: [cells[name].top1 for each in about if (cells := each.metrics.by_background)] for name in names}
    shares = {name: [top1 for top1 in known[name] if top1 is not None] for name in names}
    return sorted(names, key=lambda name: sum(shares[name]) / len(shares[name]) if shares[name] else 2.0)


def by_background(about: Sequence[Measured]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return each background, the hardest first, and one (top-1, its interval) per model."""
    rows = []
    for name in hardest_first(about):
        cells = [each.metrics.by_background[name] for each in about]
        shown = [(percent(cell.top1), between(cell.ci95) + "*" * bool(cell.doubts)) for cell in cells]
        rows.append((name, shown))
    return rows


def drawn(about: Sequence[Measured]) -> dict[str, Any]:
    """Return the figures of backgrounds and of calibration, by name."""
    if not about:
        return {}
    names = hardest_first(about)
    series = []
    for each in about:
        cells = [each.metrics.by_background[name] for name in names]
        rows = np.array([(cell.top1, *cell.ci95) for cell in cells], dtype=np.float64)
        whole = None if each.metrics.top1 is None else 100 * each.metrics.top1
        mean, low, high = 100 * rows.T
        series.append(figures.Series(each.label, mean, low, high, whole))
    made = {"backgrounds": figures.accuracies(names, series)}
    curves = [_curve(each) for each in about]
    if any(curves):
        made["calibration"] = figures.calibration(curves, FEW_IMAGES)
    return made


def _curve(each: Measured) -> figures.Curve | None:
    """Return a model's calibration curve; None where its predictions lack probabilities."""
    if each.predictions.probability is None:
        return None
    right = hits(each.predictions.foreground, each.predictions.prediction)
    return figures.Curve(each.label, *calibration_curve(each.predictions.probability[:, 0], right))


def bins(about: Sequence[Measured]) -> Table | None:
    """Return the calibration bins as text: images, mean confidence and accuracy of each model with probabilities.

    None where no model's predictions have them.
    """
    curves = [curve for curve in map(_curve, about) if curve]
    if not curves:
        return None
    headings = [f"{each.label}{end}" for each in curves for end in (": images", " sure %", " right %")]
    count, rows = len(curves[0].size), []
    for place in range(count):
        ends = between((place / count, (place + 1) / count))
        cells = [(str(each.size[place]), each.confidence[place], each.accuracy[place]) for each in curves]
        rows.append((ends, *(text for n, sure, right in cells for text in (n, percent(sure), percent(right)))))
    return Table("calibration", "Calibration bins", ("confidence, %", *headings), rows)


def confidence(about: Sequence[Measured]) -> list[str]:
    """Return one sentence per model: its mean confidence, its accuracy, and their difference."""
    sentences = []
    for each in about:
        if each.predictions.probability is None:
            sentences.append(f"{each.label}: its predictions have no probabilities.")
            continue
        sure, right = float(each.predictions.probability[:, 0].mean(dtype=np.float64)), each.metrics.top1 or 0.0
        word = "overconfident" if sure > right else "underconfident"
        sentences.append(
            f"{each.label} is {percent(sure)} % confident on average and {percent(right)} % of its answers are right: "
            f"{word} by {percent(abs(sure - right))} points."
        )
    return sentences


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
    rows = [(name, *(text for cell in cells for text in cell)) for name, cells in by_background(about)]
    backgrounds = Table("backgrounds", "Accuracy on each background", ("background", *names), rows)
    return [each for each in (first, backgrounds, bins(about)) if each]


def files(tables: Sequence[Table]) -> dict[str, bytes]:
    """Return tables as one Markdown file and a CSV each, by the end of the file's name."""
    parts = ((escape.markdown(each.title), markdown_table(each.headings, each.rows)) for each in tables)
    text = "\n".join(f"{title}:\n\n{table}\n" for title, table in parts)
    made = {".md": (text + "\n* the interval may not cover 95 %: too few images or photos\n").encode()}
    for each in tables:
        made[f"-{each.name}.csv"] = csv_bytes((each.headings, *each.rows))
    return made
