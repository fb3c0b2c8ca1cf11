"""Figures of a report, drawn by matplotlib: as PNG for a paper, and as SVG that takes the colours of its page."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np

from benchmark.schemas.experiments import Sweep
from benchmark.schemas.metrics import Spread
from d3s_dataset.utils.atomic import write_atomic
from d3s_dataset.utils.extras import late

# Lines and letters have this colour while they are drawn; a page puts its own in its place.
_INK = "#010203"
_LINE = 32  # characters of a line of a legend
# Okabe & Ito's palette without black and yellow, its blue a little lighter: distinguishable for colour-blind readers,
# legible on white and on black.
_COLOURS = ("#1f83c7", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_MARKS = "osD^vP*X"
_LINES = ("-", "--", "-.", ":")
_PAD = 0.4  # around all that is drawn, of the size of letters
_BELOW = 20  # points from the axes to the title of the horizontal one: titles of ticks have one line
WIDTH = 4.4  # inches: letters stay legible where a phone shows the figure 350 pixels wide


@dataclass(frozen=True, eq=False)
class Series:
    """One model's values on groups, in percent or points: (g,) `mean`, `low`, `high`; NaN where there is none.

    `whole` is the value on all images, a vertical line; None: no line.
    """

    label: str
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    whole: float | None = None


@dataclass(frozen=True, eq=False)
class Range:
    """One model's top-1 in k bins, in percent: (k,) `mean`, `low`, `high`; (g, k) `groups`, NaN where there is none."""

    label: str
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    groups: np.ndarray


@dataclass(frozen=True, eq=False)
class Curve:
    """One model's calibration, bin by bin: (b,) images, mean confidence and accuracy in [0, 1]; NaN in an empty bin."""

    label: str
    size: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


@dataclass(frozen=True)
class Dot:
    """One model's top-1 on a control (x) and on the same objects here (y), in percent; `below`, `above`: of y."""

    label: str
    x: float
    y: float
    below: float
    above: float


def accuracies(groups: Sequence[str], series: Sequence[Series], label: str = "top-1, %, with 95 % intervals") -> Any:
    """Return a figure of values with their intervals, one row per group, all models next to each other."""
    figure, axes = _axes(WIDTH, 1.1 + len(groups) * max(0.3, 0.13 * len(series)))
    rows = np.arange(len(groups))[::-1]
    filled = [(index, each) for index, each in enumerate(series) if not np.isnan(each.mean).all()]
    for line, (index, each) in enumerate(filled):
        place = rows + (0.5 - (line + 0.5) / len(filled)) * 0.7
        known = ~np.isnan(each.mean)
        spread = np.stack([each.mean - each.low, each.high - each.mean])
        axes.errorbar(each.mean[known], place[known], xerr=np.nan_to_num(spread[:, known]), label=each.label,
                      linestyle="", markersize=4.5, elinewidth=1.4, **_style(index))  # fmt: skip
        if each.whole is not None:
            axes.axvline(each.whole, color=_style(index)["color"], linewidth=1, linestyle="--", zorder=0)
    axes.set_yticks(rows, groups)
    axes.set_ylim(-0.6, len(groups) - 0.4)
    axes.set_xlabel(label)
    axes.grid(axis="x", alpha=0.25)
    _legend(axes, len(series))
    return figure


def ranges(bins: Sequence[str], series: Sequence[Range], label: str) -> Any:
    """Return a figure of top-1 against bins in order, with intervals, and shaded from the lowest group to the highest.

    Args:
        bins: names of the k bins.
        series: one per model of the report.
        label: title of the horizontal axis.
    """
    figure, axes = _axes(WIDTH, 3.4)
    for index, each in enumerate(series):
        place, style = np.arange(len(bins)) + (index - (len(series) - 1) / 2) * 0.06, _style(index)
        known = ~np.isnan(each.groups).all(0)
        ends = [np.nanmin(each.groups[:, known], 0), np.nanmax(each.groups[:, known], 0)]
        axes.fill_between(place[known], *ends, color=style["color"], alpha=0.15, linewidth=0)
        spread = np.nan_to_num(np.stack([each.mean - each.low, each.high - each.mean]))
        axes.errorbar(place, each.mean, yerr=spread, label=each.label, markersize=5, elinewidth=1.4, linewidth=1.2,
                      **style)  # fmt: skip
    axes.set_xticks(np.arange(len(bins)), bins)
    axes.set(ylim=(0, 103), xlabel=label, ylabel="top-1, %")
    axes.grid(axis="y", alpha=0.25)
    _legend(axes, len(series))
    return figure


def changes(groups: Sequence[str], series: Sequence[Series]) -> Any:
    """Return a figure of changes in points, one row per group, with a line where nothing changes."""
    figure = accuracies(groups, series, "change of top-1, points, with 95 % intervals")
    axes = figure.axes[0]
    axes.axvline(0, color=_INK, linewidth=0.8)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -1), max(high, 1))
    return figure


def against(dots: Sequence[Dot | None], x: str, y: str) -> Any:
    """Return a figure of accuracy against accuracy, one dot per model, with the line where nothing changes.

    Args:
        dots: one per model of the report, None where it was not measured.
        x: title of the horizontal axis.
        y: title of the vertical axis.
    """
    figure, axes = _axes(WIDTH, 4.1)
    values = [value for each in dots if each for value in (each.x, each.y, each.y - each.below, each.y + each.above)]
    low, high = max(0.0, min(values) - 6), min(100.0, max(values) + 6)
    axes.plot([low, high], [low, high], color=_INK, linewidth=0.8, linestyle=":", label="no change")
    for index, each in enumerate(dots):
        if each is None:
            continue
        axes.errorbar(each.x, each.y, yerr=[[each.below], [each.above]], label=each.label, linestyle="",
                      markersize=7, elinewidth=1.4, **_style(index))  # fmt: skip
    axes.set(xlim=(low, high), ylim=(low, high), xlabel=x, ylabel=y, aspect="equal")
    axes.grid(alpha=0.25)
    _legend(axes, len(dots) + 1)
    return figure


def calibration(curves: Sequence[Curve | None], few: int) -> Any:
    """Return a reliability diagram, accuracy against confidence, over the number of images per bin.

    Args:
        curves: one per model of the report, None where it has no probabilities.
        few: bins of fewer images are drawn hollow.
    """
    figure, (axes, counts) = _panels(WIDTH, 5.2, (3, 1))
    axes.plot([0, 100], [0, 100], color=_INK, linewidth=0.8, linestyle=":", label="as sure as right")
    shown = [(index, each) for index, each in enumerate(curves) if each]
    for line, (index, each) in enumerate(shown):
        known, style = ~np.isnan(each.accuracy), _style(index)
        x, y, many = 100 * each.confidence[known], 100 * each.accuracy[known], each.size[known] >= few
        axes.plot(x, y, linewidth=1.4, color=style["color"])
        axes.plot(x[many], y[many], linestyle="", markersize=5, label=each.label, **style)
        axes.plot(x[~many], y[~many], linestyle="", markersize=5, markerfacecolor="none", **style)
        width = 100 / len(each.size)
        share = width * 0.8 / len(shown)
        middle = (np.arange(len(each.size)) + 0.5) * width + (line - (len(shown) - 1) / 2) * share
        counts.bar(middle, each.size, share, color=style["color"])
    axes.set(xlim=(0, 100), ylim=(0, 103), ylabel="accuracy, %")
    counts.set(xlim=(0, 100), xlabel="confidence, %", ylabel="images")
    for each in (axes, counts):
        each.grid(alpha=0.25)
    _legend(axes, len(shown) + 1)
    return figure


def ranked(labels: Sequence[str], shares: Sequence[np.ndarray]) -> Any:
    """Return the top-1 of every class in order, the hardest on the left: one line per model, (classes,) in percent."""
    figure, axes = _axes(WIDTH, 3.8)
    for index, (label, share) in enumerate(zip(labels, shares, strict=True)):
        x = 100 * (np.arange(len(share)) + 0.5) / len(share)
        axes.step(x, share, where="mid", linewidth=1.8, color=_style(index)["color"], label=label,
                  linestyle=_LINES[index % len(_LINES)])  # fmt: skip
    axes.set(xlim=(0, 100), ylim=(-2, 102), xlabel="classes, hardest first, %", ylabel="top-1 in the class, %")
    axes.grid(alpha=0.25)
    _legend(axes, len(labels))
    return figure


def dumbbells(
    groups: Sequence[str], labels: Sequence[str], models: Sequence[int], before: np.ndarray, after: np.ndarray
) -> Any:
    """Return groups whose accuracy changes: from a hollow mark (before) to a full one (after), one row per group.

    Args:
        groups: titles of the k rows, the first at the top.
        labels: names of all models of the report.
        models: which of them the m lines are of.
        before: (m, k) in percent.
        after: (m, k) in percent.
    """
    figure, axes = _axes(WIDTH, 1.2 + len(groups) * max(0.22, 0.11 * len(models)))
    rows = np.arange(len(groups))[::-1]
    for line, index in enumerate(models):
        place, style = rows + (0.5 - (line + 0.5) / len(models)) * 0.7, _style(index)
        axes.hlines(place, before[line], after[line], color=style["color"], linewidth=1.2, alpha=0.7)
        axes.plot(before[line], place, linestyle="", markersize=4.5, markerfacecolor="none", **style)
        axes.plot(after[line], place, linestyle="", markersize=4.5, label=labels[index], **style)
    axes.set_yticks(rows, groups)
    axes.set(xlim=(-3, 103), ylim=(-0.6, len(groups) - 0.4), xlabel="top-1 on the control and here, %")
    axes.grid(axis="x", alpha=0.25)
    for each in axes.get_yticklabels():
        each.set_parse_math(False)
    _legend(axes, len(models))
    return figure


def tradeoff(found: Sweep) -> Any:
    """Return a figure of leakage against accuracy, one point per lambda, named, with its intervals over seeds."""
    figure, axes = _axes(WIDTH, 4.4)
    ordered = sorted(found.points, key=lambda each: each.weight)
    path = 100 * np.array([(each.accuracy.mean, each.leakage.mean) for each in ordered], dtype=np.float64)
    axes.plot(*path.T, color=_INK, linewidth=0.8, alpha=0.4, zorder=0)
    for pareto, mark, label in (
        (True, "o", "no lambda is better in both"),
        (False, "X", "another lambda is better in both"),
    ):
        points = [each for each in found.points if each.pareto is pareto]
        if points:
            x, across = _bars([each.accuracy for each in points])
            y, along = _bars([each.leakage for each in points])
            axes.errorbar(x, y, xerr=across, yerr=along, label=label, linestyle="", marker=mark, markersize=7,
                          elinewidth=1.2, color=_COLOURS[not pareto])  # fmt: skip
    for each, place in zip(ordered, path, strict=True):
        axes.annotate(f"λ = {each.weight:g}", tuple(np.nan_to_num(place)), (7, 7), textcoords="offset points",
                      fontsize=9, color=_INK)  # fmt: skip
    axes.axhline(100 * found.chance, linestyle=":", linewidth=1, color=_INK, label="commonest background")
    axes.set(xlabel="foreground accuracy, % (higher is better)",
             ylabel=f"background read by a {found.probe} probe, %\n(lower is better)")  # fmt: skip
    axes.margins(x=0.14, y=0.1)
    axes.grid(alpha=0.25)
    _legend(axes, 3)
    return figure


def _bars(parts: Sequence[Spread]) -> tuple[np.ndarray, np.ndarray]:
    """Return means (n,) and how far their intervals reach down and up (2, n), in percent; 0 where there is none."""
    mean, low, high = 100 * np.array([(each.mean, *each.ci95) for each in parts], dtype=np.float64).T
    return mean, np.nan_to_num(np.stack([mean - low, high - mean]))


def save(figure: Any, path: Path) -> None:
    """Write a figure as PNG at 200 dpi, atomically."""
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=200, facecolor="white", metadata={"Software": None})
    write_atomic(path, sink.getvalue())


def svg(figure: Any, title: str) -> Any:
    """Return a figure as an SVG element for a page, its ink the page's; `title` is for screen readers."""
    import matplotlib as mpl
    from markupsafe import Markup, escape

    sink = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": title}), _laid_out(figure):
        figure.savefig(
            sink, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    text = sink.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    head, rest = text.split(">", 1)
    return Markup(f'{head} role="img" aria-label="{escape(title)}">{rest}')


@contextmanager
def _laid_out(figure: Any) -> Iterator[None]:
    """Lay a figure out for SVG beforehand: with its own layout engine, `savefig` would draw everything once more."""
    engine, backend = figure.get_layout_engine(), late("matplotlib.backends.backend_svg", "score").FigureCanvasSVG
    canvas, dpi = figure.canvas, figure.dpi
    backend(figure)
    figure.dpi = backend.fixed_dpi
    try:
        engine.execute(figure)
        figure.set_layout_engine(None)
        yield
    finally:
        figure.set_layout_engine(engine)
        figure.set_canvas(canvas)
        figure.dpi = dpi


def _axes(width: float, height: float) -> tuple[Any, Any]:
    """Return an empty figure of so many inches, without a window system."""
    figure, (axes,) = _panels(width, height, (1,))
    return figure, axes


def _panels(width: float, height: float, shares: tuple[int, ...]) -> tuple[Any, Any]:
    """Return an empty figure of panels below each other that share the horizontal axis; `shares` are their heights."""
    # A constrained layout would measure all titles and ticks twice, for as long as it takes to draw them.
    layout = late("matplotlib.layout_engine", "score").TightLayoutEngine(pad=_PAD)
    figure = late("matplotlib.figure", "score").Figure(figsize=(width, height), layout=layout)
    panels = figure.subplots(len(shares), 1, sharex=True, squeeze=False, height_ratios=shares)[:, 0]
    for axes in panels:
        axes.tick_params(colors=_INK, labelsize=9)
        for place, spine in axes.spines.items():
            spine.set_color(_INK)
            # Titles of ticks reach further than spines, which take long to measure; upper panels have none below.
            spine.set_in_layout(place == "bottom" and axes is not panels[-1])
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set_color(_INK)
        # Where matplotlib puts it below titles of ticks, which it would measure again each time.
        below = late("matplotlib.transforms", "score").ScaledTranslation(0, -_BELOW / 72, figure.dpi_scale_trans)
        axes.xaxis.set_label_coords(0.5, 0, axes.transAxes + below)
    return figure, panels


def _style(index: int) -> dict[str, Any]:
    """Return colour and mark of the model at a place of the report, the same in every figure."""
    return {"color": _COLOURS[index % len(_COLOURS)], "marker": _MARKS[index % len(_MARKS)]}


def _legend(axes: Any, count: int) -> None:
    made = axes.legend(fontsize=8, frameon=False, labelcolor=_INK, loc="lower center", bbox_to_anchor=(0.5, 1.0),
                       ncols=1 if count > 4 else 2)  # fmt: skip
    for each in made.get_texts():
        each.set_parse_math(False)  # a dollar sign in a model's name is no formula
        each.set_text("\n".join(wrap(each.get_text(), _LINE)))  # a long name would leave no room for the axes
