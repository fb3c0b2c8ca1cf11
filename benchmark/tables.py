"""Metrics, comparisons and drops as text for a terminal, in percent."""

import io
import math
from collections.abc import Callable, Sequence

from benchmark import scores
from d3s_dataset.extras import late


def table(metrics: scores.Metrics) -> str:
    """Return a result's metrics as a table and a few lines."""
    headings = ("background", "n", "top-1", "95 % interval", "top-5", "error ratio", "ECE")
    rows = [
        (name, str(each.n), *_accuracy(each), ratio(each.error_ratio), percent(each.ece))
        for name, each in metrics.by_background.items()
    ]
    total = ("all images", str(metrics.n), *_accuracy(metrics), "", percent(metrics.ece))
    return "\n".join([grid(headings, rows, total), *_lines(metrics)])


def grid(headings: Sequence[str], rows: Sequence[Sequence[str]], footer: Sequence[str] | None = None) -> str:
    """Return a table whose first column is text and whose others are numbers."""
    box, console, tables = (late(f"rich.{name}", "score") for name in ("box", "console", "table"))
    answer = tables.Table(box=box.SIMPLE_HEAD, show_footer=footer is not None, pad_edge=False)
    for index, heading in enumerate(headings):
        answer.add_column(heading, footer[index] if footer else "", justify="right" if index else "left", no_wrap=True)
    for row in rows:
        answer.add_row(*row)
    text = io.StringIO()
    console.Console(file=text, width=200).print(answer)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines() if line.strip())


def percent(value: float | None) -> str:
    """Return a share in percent, a dash for none."""
    return "-" if value is None or math.isnan(value) else f"{100 * value:.1f}"


def points(value: float | None) -> str:
    """Return a difference of shares in points, with its sign."""
    return "-" if value is None or math.isnan(value) else f"{round(100 * value, 1) + 0.0:+.1f}"


def ratio(value: float | None) -> str:
    """Return a number with two decimals, a dash for none."""
    return "-" if value is None or math.isnan(value) else f"{value:.2f}"


def between(ends: tuple[float | None, float | None], show: Callable[[float | None], str] = percent) -> str:
    """Return an interval, a dash for none."""
    return "-" if show(ends[0]) == "-" or show(ends[1]) == "-" else f"{show(ends[0])} to {show(ends[1])}"


def over_seeds(value: scores.Spread, show: Callable[[float | None], str] = percent) -> str:
    """Return a mean over seeds and its interval, in percent or as `show` says."""
    ends = between(value.ci95, show)
    return show(value.mean) + (f" ({ends})" if ends != "-" else "")


def _accuracy(each: scores.GroupScore | scores.Metrics) -> tuple[str, str, str]:
    interval = between(each.ci95)
    return percent(each.top1), interval + "*" * bool(interval != "-" and each.doubts), percent(each.top5)


def _lines(metrics: scores.Metrics) -> list[str]:
    lines = []
    averages, steady = metrics.averages, metrics.consistency
    if metrics.worst_background:
        lines.append(f"worst background: {_worst(metrics.worst_background)}")
        lines.append(f"gap (all images minus worst background): {percent(metrics.gap)} points")
    if metrics.worst_group:
        lines.append(f"worst superclass on a background (30 images or more): {_worst(metrics.worst_group)}")
    lines.append(
        f"top-1 per image {percent(averages.per_image.top1)}, mean of backgrounds "
        f"{percent(averages.mean_of_backgrounds.top1)}, reweighted to the training mix "
        f"{percent(averages.training_mix.top1)} %"
    )
    if steady.photos:
        lines.append(
            f"the same photo across backgrounds ({steady.photos} photos): always right "
            f"{percent(steady.always_right)} %, flip rate {percent(steady.flip_rate)} %"
        )
    return lines + _doubts(metrics)


def _worst(lowest: scores.Worst) -> str:
    return (
        f"{lowest.name}, {percent(lowest.top1)} % top-1\n  whichever is the worst in truth: {between(lowest.ci95)} %; "
        f"chosen and scored on different photos: {percent(lowest.split_sample)} % "
        f"({percent(lowest.picked)} % of choices fall on it)"
    )


def _doubts(metrics: scores.Metrics) -> list[str]:
    every = [*metrics.doubts, *(text for each in metrics.by_background.values() for text in each.doubts)]
    return [f"* the interval may not cover 95 %: {'; '.join(dict.fromkeys(every))}"] if every else []
