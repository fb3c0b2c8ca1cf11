"""Figures of a report, drawn by matplotlib: as PNG for a paper, and as SVG that takes the colours of its page."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.schemas.experiments import Sweep
from benchmark.schemas.metrics import Spread
from d3s_dataset.utils.atomic import write_atomic
from d3s_dataset.utils.extras import late

# Lines and letters have this colour while they are drawn; a page puts its own in its place.
_INK = "#010203"
# Okabe & Ito's palette without black and yellow, its blue a little lighter: distinguishable for colour-blind readers,
# legible on white and on black.
_COLOURS = ("#1f83c7", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_MARKS = "osD^vP*X"


@dataclass(frozen=True, eq=False)
class Series:
    """One model's accuracies on groups, in percent: (g,) `mean`, `low`, `high`; NaN where there is none."""

    label: str
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, eq=False)
class Curve:
    """One model's calibration, bin by bin: (b,) mean confidence and accuracy in [0, 1]; NaN in an empty bin."""

    label: str
    confidence: np.ndarray
    accuracy: np.ndarray


def accuracies(groups: Sequence[str], series: Sequence[Series], label: str = "top-1, %, with 95 % intervals") -> Any:
    """Return a figure of accuracies with their intervals, one row per group, all models next to each other."""
    figure, axes = _axes(5.8, 1.0 + len(groups) * max(0.32, 0.14 * len(series)))
    rows = np.arange(len(groups))[::-1]
    for index, each in enumerate(series):
        place = rows + (0.5 - (index + 0.5) / len(series)) * 0.7
        known = ~np.isnan(each.mean)
        spread = np.stack([each.mean - each.low, each.high - each.mean])
        style: dict[str, Any] = {"color": _COLOURS[index % len(_COLOURS)], "marker": _MARKS[index % len(_MARKS)]}
        axes.errorbar(each.mean[known], place[known], xerr=np.nan_to_num(spread[:, known]), label=each.label,
                      linestyle="", markersize=4.5, elinewidth=1.4, **style)  # fmt: skip
    axes.set_yticks(rows, groups)
    axes.set_ylim(-0.6, len(groups) - 0.4)
    axes.set_xlabel(label)
    axes.grid(axis="x", alpha=0.25)
    _legend(axes, len(series))
    return figure


def calibration(curves: Sequence[Curve]) -> Any:
    """Return a reliability diagram: accuracy against confidence, one line per model."""
    figure, axes = _axes(4.6, 4.2)
    axes.plot([0, 1], [0, 1], color=_INK, linewidth=0.8, linestyle=":", label="as sure as right")
    for index, each in enumerate(curves):
        known = ~np.isnan(each.accuracy)
        axes.plot(each.confidence[known], each.accuracy[known], color=_COLOURS[index % len(_COLOURS)],
                  marker=_MARKS[index % len(_MARKS)], markersize=4, linewidth=1.4, label=each.label)  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy", aspect="equal")
    axes.grid(alpha=0.25)
    _legend(axes, len(curves) + 1)
    return figure


def heat(backgrounds: Sequence[str], share: np.ndarray) -> Any:
    """Return class x background as colours: (classes, backgrounds) top-1, NaN where there is no image."""
    figure, axes = _axes(4.6, 4.2)
    drawn = axes.imshow(np.ma.masked_invalid(100 * share), aspect="auto", interpolation="nearest", vmin=0, vmax=100,
                        cmap="viridis")  # fmt: skip
    axes.set_xticks(range(len(backgrounds)), backgrounds, rotation=45, ha="right")
    axes.set_ylabel(f"{len(share)} classes, hardest first")
    axes.set_yticks([])
    bar = figure.colorbar(drawn, ax=axes, label="top-1, %")
    bar.ax.yaxis.label.set_color(_INK)
    bar.ax.tick_params(colors=_INK)
    return figure


def tradeoff(found: Sweep) -> Any:
    """Return a figure of leakage against accuracy, a point a lambda with its intervals over seeds."""
    figure, axes = _axes(5.8, 4.2)
    axes.set(xlabel="foreground accuracy, %", ylabel=f"background read by a {found.probe} probe, %")
    for pareto, mark, label in ((True, "o", "none better in both"), (False, "x", "another is better in both")):
        points = [each for each in found.points if each.pareto is pareto]
        if points:
            x, across = _bars([each.accuracy for each in points])
            y, along = _bars([each.leakage for each in points])
            axes.errorbar(x, y, xerr=across, yerr=along, label=label, linestyle="", marker=mark, markersize=5,
                          elinewidth=1.2, color=_COLOURS[not pareto])  # fmt: skip
    for each in found.points:
        place = (100 * (each.accuracy.mean or 0), 100 * (each.leakage.mean or 0))
        axes.annotate(f"{each.weight:g}", place, (5, 5), textcoords="offset points", fontsize=8, color=_INK)
    axes.axhline(100 * found.chance, linestyle=":", linewidth=0.8, color=_INK, label="commonest background")
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
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": title}):
        figure.savefig(
            sink, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    text = sink.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    head, rest = text.split(">", 1)
    return Markup(f'{head} role="img" aria-label="{escape(title)}">{rest}')


def _axes(width: float, height: float) -> tuple[Any, Any]:
    """Return an empty figure of so many inches, without a window system."""
    figure = late("matplotlib.figure", "score").Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.tick_params(colors=_INK, labelsize=9)
    for spine in axes.spines.values():
        spine.set_color(_INK)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(_INK)
    return figure, axes


def _legend(axes: Any, count: int) -> None:
    made = axes.legend(fontsize=8, frameon=False, labelcolor=_INK, loc="lower center", bbox_to_anchor=(0.5, 1.0),
                       ncols=1 if count > 4 else 2)  # fmt: skip
    for each in made.get_texts():
        each.set_parse_math(False)  # a dollar sign in a model's name is no formula
