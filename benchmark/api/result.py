"""Results and comparisons as Python values: numbers as attributes, tables as DataFrames, plots, HTML in a notebook."""

from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.reports.text import between, describe, percent, points
from benchmark.schemas import result as files
from benchmark.schemas.identity import labels, write_files
from benchmark.schemas.metrics import BackgroundScore, Change, Metrics
from benchmark.schemas.predictions import Predictions
from d3s_dataset.utils.extras import late

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_ALL = "all images"


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """Result of one model on one split, with its predictions.

    Shares are in [0, 1] and None where they cannot be computed; intervals are of 95 %.

    Attributes:
        record: everything that the result's file holds.
        predictions: a row an image.
    """

    record: files.Result
    predictions: Predictions = field(repr=False)

    @property
    def model(self) -> str:
        """The model's name in tables: its tag, else its name."""
        return labels([self.record.model])[0]

    @property
    def metrics(self) -> Metrics:
        """Every number."""
        return self.record.metrics

    @property
    def n(self) -> int:
        """The number of images."""
        return self.metrics.n

    @property
    def top1(self) -> float | None:
        """Top-1 accuracy over all images."""
        return self.metrics.top1

    @property
    def top5(self) -> float | None:
        """Top-5 accuracy over all images; None of predictions with fewer than five classes."""
        return self.metrics.top5

    @property
    def ci95(self) -> tuple[float | None, float | None]:
        """The interval of `top1`."""
        return self.metrics.ci95

    @property
    def by_background(self) -> dict[str, BackgroundScore]:
        """The numbers on each background: `result.by_background["grass"].top1`."""
        return self.metrics.by_background

    def to_pandas(self) -> "pd.DataFrame":
        """Return a row per background and one of all images, indexed by name: n, top1, low, high, top5, ece."""
        rows = [*self.by_background.items(), (_ALL, self.metrics)]
        table = {
            name: {"n": each.n, "top1": each.top1, "low": each.ci95[0], "high": each.ci95[1], "top5": each.top5,
                   "ece": each.ece}
            for name, each in rows
        }  # fmt: skip
        return _frame(table)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw top-1 on each background with its interval, lowest first, and a line at that of all images.

        Args:
            ax: where; None for new axes.
        """
        spans = {name: (each.top1, each.ci95) for name, each in self.by_background.items()}
        axes = _dots(spans, ax, f"top-1 on each background, %: {self.model}")
        if self.top1 is not None:
            axes.axvline(100 * self.top1, color="grey", linestyle=":", label=f"all images {percent(self.top1)} %")
            axes.legend()
        return axes

    def save(self, folder: str | Path) -> Path:
        """Write the result and its predictions, as `benchmark.run` does; return the path of the result.

        Raises:
            WriteError: the files cannot be written.
        """
        return write_files(Path(folder), self.record, self.predictions)

    def __repr__(self) -> str:
        return f"{self.model} on {describe(self.record.dataset)}: {_headline(self.metrics)}"

    def _repr_html_(self) -> str:
        heading = f"<p><b>{escape(self.model)}</b> on {escape(describe(self.record.dataset))}</p>"
        rows = [
            (name, str(each.n), percent(each.top1), between(each.ci95), percent(each.top5))
            for name, each in [*self.by_background.items(), (_ALL, self.metrics)]
        ]
        return heading + _table(("background", "n", "top-1 %", "95 % interval", "top-5 %"), rows)


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Two models on the images that both classified; differences are the second minus the first.

    Attributes:
        record: everything that the comparison's file holds.
    """

    record: files.Comparison

    @property
    def change(self) -> Change:
        """The change over all images: its interval, p-value, images gained and lost."""
        return self.record.changes[_ALL]

    @property
    def by_background(self) -> dict[str, Change]:
        """The change on each background."""
        return {name: each for name, each in self.record.changes.items() if name != _ALL}

    def to_pandas(self) -> "pd.DataFrame":
        """Return a row per background and one of all images, with the fields of `schemas.metrics.Change`."""
        table = {}
        for name, each in self.record.changes.items():
            low, high = each.ci95
            table[name] = {**each.model_dump(exclude={"ci95", "doubts"}), "low": low, "high": high}
        return _frame(table)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the change on each background with its interval, lowest first.

        Args:
            ax: where; None for new axes.
        """
        spans = {name: (each.change, each.ci95) for name, each in self.by_background.items()}
        first, second = labels([self.record.first, self.record.second])
        axes = _dots(spans, ax, f"change of top-1, points: {second} minus {first}")
        axes.axvline(0, color="grey", linestyle=":")
        return axes

    def save(self, path: str | Path) -> Path:
        """Write the comparison to a JSON file; return its path.

        Raises:
            WriteError: the file cannot be written.
        """
        files.make_folder(Path(path).parent)
        files.write(Path(path), self.record)
        return Path(path)

    def __repr__(self) -> str:
        first, second = labels([self.record.first, self.record.second])
        ends = between(self.change.ci95, points)
        return f"{second} minus {first} on {self.record.n} images: {points(self.change.change)} points ({ends})"

    def _repr_html_(self) -> str:
        rows = [
            (name, str(each.n), percent(each.before), percent(each.after), points(each.change),
             between(each.ci95, points), "-" if each.p_holm is None else f"{each.p_holm:.3f}")
            for name, each in self.record.changes.items()
        ]  # fmt: skip
        headings = ("background", "n", "first %", "second %", "change, points", "95 % interval", "p (Holm)")
        return f"<p>{escape(repr(self))}</p>" + _table(headings, rows)


def _headline(metrics: Metrics) -> str:
    worst = metrics.worst_background
    lowest = f"; lowest on {worst.name}, {percent(worst.top1)} %" if worst else ""
    return f"top-1 {percent(metrics.top1)} % ({between(metrics.ci95)}){lowest}"


def _frame(table: dict[str, dict[str, Any]]) -> "pd.DataFrame":
    made = late("pandas", "score").DataFrame.from_dict(table, orient="index")
    made.index.name = "background"
    return made


def _dots(spans: dict[str, tuple[float | None, tuple[float | None, float | None]]], ax: Any, title: str) -> Any:
    """Draw known values with their intervals, in percent, the lowest first; no bar where there is no interval."""
    known = sorted((value, name, ends) for name, (value, ends) in spans.items() if value is not None)
    axes = ax or late("matplotlib.pyplot", "score").subplots(figsize=(7, 1 + 0.3 * len(known)), layout="tight")[1]
    for place, (value, _, (low, high)) in enumerate(known):
        if low is not None and high is not None:
            axes.plot([100 * low, 100 * high], [place, place], color="C0", linewidth=2)
        axes.plot([100 * value], [place], "o", color="C0")
    axes.set_yticks(range(len(known)), [name for _, name, _ in known])
    axes.set_title(title, fontsize="medium", loc="left", parse_math=False)
    return axes


def _table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    def line(cells: tuple[str, ...], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return f"<table>{line(headings, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"
