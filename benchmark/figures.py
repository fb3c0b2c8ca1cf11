"""Figures of a report, drawn by matplotlib: as PNG for a paper, and as SVG that takes the colours of its page."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from d3s_dataset.atomic import write_atomic
from d3s_dataset.errors import MissingExtra

# Lines and letters have this colour while they are drawn; a page puts its own in its place.
_INK = "#010203"
# Okabe & Ito's palette without black and yellow, its blue a little lighter: told apart by colour-blind readers,
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


def accuracies(groups: Sequence[str], series: Sequence[Series]) -> Any:
    """Return a figure of accuracies with their intervals, a row a group, all models side by side."""
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
    axes.set_xlabel("top-1, %, with 95 % intervals")
    axes.grid(axis="x", alpha=0.25)
    _legend(axes, len(series))
    return figure


def calibration(curves: Sequence[Curve]) -> Any:
    """Return a reliability diagram: accuracy against confidence, a line a model."""
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


def save(figure: Any, path: Path) -> None:
    """Write a figure as PNG at 200 dpi, atomically."""
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=200, facecolor="white", metadata={"Software": None})
    write_atomic(path, sink.getvalue())


def svg(figure: Any, title: str) -> Any:
    """Return a figure as an SVG element for a page, its ink the page's; `title` is what a screen reader says."""
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
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("matplotlib", "report") from None
    figure = Figure(figsize=(width, height), layout="constrained")
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
