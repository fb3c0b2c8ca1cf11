"""Metrics, comparisons and drops as text for a terminal, in percent."""

import io
import math
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_EVEN, Decimal

from benchmark.metrics.registry import METRICS
from benchmark.schemas import metrics as scores
from benchmark.schemas.result import Dataset
from d3s_dataset.schema import not_d3s
from d3s_dataset.utils.escape import terminal
from d3s_dataset.utils.extras import late

PLACES = 6  # of a float in a board's files
DETECTABLE = "smallest difference with 80 % power at 5 %, two-sided, uncorrected; -: no difference can be shown"


def table(metrics: scores.Metrics) -> str:
    """Return a result's metrics as a table and a few lines."""
    further = [name for name, each in METRICS.items() if each.terminal]
    names = (METRICS[name].heading for name in further)
    headings = ("background", "n", "top-1", "95 % interval", "top-5", "error ratio", *names)
    rows = [
        (name, str(each.n), *_accuracy(each), ratio(each.error_ratio), *_further(each, further))
        for name, each in metrics.by_background.items()
    ]
    total = ("all images", str(metrics.n), *_accuracy(metrics), "", *_further(metrics, further))
    return "\n".join([grid(headings, rows, total), *_lines(metrics)])


def name_images(name: str, kind: str, config: str, split: str, n: int) -> str:
    """Return what names images on a line, and whether they are D3S: the first thing that is said about numbers."""
    warning = not_d3s(kind, config)
    return f"{name} ({kind}), config {config}, split {split}: {n} images" + (f"; {warning}" if warning else "")


def describe(facts: Dataset) -> str:
    """Return the line that names the images, whether they are D3S, and how many of them people verified."""
    share = facts.verified_fraction
    verified = "labels not human-verified" if share is None else f"{percent(share)} % verified by people"
    return f"{name_images(facts.name, facts.kind, facts.config, facts.split, facts.n)}; {verified}"


def grid(headings: Sequence[str], rows: Sequence[Sequence[str]], footer: Sequence[str] | None = None) -> str:
    """Return a table whose first column is text and whose others are numbers."""
    box, console, tables, text = (late(f"rich.{name}", "score") for name in ("box", "console", "table", "text"))
    answer = tables.Table(box=box.SIMPLE_HEAD, show_footer=footer is not None, pad_edge=False)
    for index, heading in enumerate(headings):
        answer.add_column(
            text.Text(heading), footer[index] if footer else "", justify="right" if index else "left", no_wrap=True
        )
    for row in rows:
        answer.add_row(*(text.Text(terminal(cell)) for cell in row))  # as a string, `[name]` would be markup
    page = io.StringIO()
    console.Console(file=page, width=200).print(answer)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines() if line.strip())


def percent(value: float | None) -> str:
    """Return a share in percent, a dash for none."""
    return _text(value, 2, 1)


def points(value: float | None) -> str:
    """Return a difference of shares in points, with its sign: negative where accuracy is lower than before."""
    return _text(value, 2, 1, "+")


def metric(name: str, value: float | None) -> str:
    """Return a value of a metric of the table: a share in percent, another number with two decimals."""
    return (percent if METRICS[name].percent else ratio)(value)


def ratio(value: float | None) -> str:
    """Return a number with two decimals, a dash for none."""
    return _text(value, 0, 2)


def p_value(value: float | None) -> str:
    """Return a p-value with three decimals, `<0.001` below that, a dash for none."""
    return "<0.001" if value is not None and value < 0.001 else _text(value, 0, 3)


def _text(value: float | None, shift: int, decimals: int, sign: str = "") -> str:
    """Return a number times 10^shift: the one rounding of all that is shown, ties to even.

    It begins with the `PLACES` that files keep, so that a number and the same number read from a file look alike.
    """
    if value is None or math.isnan(value):
        return "-"
    exact = Decimal(repr(round(float(value), PLACES))).scaleb(shift)
    shown = exact.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN)
    return f"{abs(shown) if shown == 0 else shown:{sign}}"


def between(ends: tuple[float | None, float | None], show: Callable[[float | None], str] = percent) -> str:
    """Return an interval, a dash for none."""
    low, high = show(ends[0]), show(ends[1])
    return "-" if "-" in (low, high) else f"{low} to {high}"


def over_seeds(value: scores.Spread, show: Callable[[float | None], str] = percent) -> str:
    """Return a mean over seeds and its interval, in percent or by `show`."""
    ends = between(value.ci95, show)
    return show(value.mean) + (f" ({ends}){'*' * bool(value.doubts)}" if ends != "-" else "")


def worst_cells(lowest: scores.Worst | None) -> tuple[str, str, str]:
    """Return the worst group's accuracy with its interval, its split-sample estimate, and its name; dashes for none."""
    if lowest is None:
        return "-", "-", "-"
    spread = scores.Spread(mean=lowest.top1, ci95=lowest.ci95)
    return over_seeds(spread), percent(lowest.split_sample), lowest.name


def failure_point(found: scores.LadderScore) -> tuple[str, str]:
    """Return the median failure point over levels of severity and its interval as text; `>1` is beyond the last."""
    beyond = f">{found.levels[-1].level:g}" if found.n else "-"
    point, low, high = (beyond if each is None else f"{each:g}" for each in (found.failure_point, *found.ci95))
    unknown = all(None in each.failed_ci95 for each in found.levels)
    return point, "-" if unknown else f"{low} to {high}"


def _accuracy(each: scores.GroupScore | scores.Metrics) -> tuple[str, str, str]:
    interval = between(each.ci95)
    return percent(each.top1), interval + "*" * bool(interval != "-" and each.doubts), percent(each.top5)


def _further(group: scores.Further, names: Sequence[str]) -> list[str]:
    return [metric(name, group.metric(name)) for name in names]


def _lines(metrics: scores.Metrics) -> list[str]:
    lines = []
    averages, steady = metrics.averages, metrics.consistency
    if metrics.worst_background:
        lines.append(f"worst background: {_worst(metrics.worst_background)}")
        lines.append(f"gap (all images minus worst background): {percent(metrics.gap)} points")
    if metrics.worst_group:
        lines.append(f"worst superclass on a background (30 images or more): {_worst(metrics.worst_group)}")
    lines += [*_by_plan(metrics.factors), *_over_levels(metrics.severity)]
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


def _by_plan(found: scores.Factors | None) -> list[str]:
    """Return top-1 by size and place, and the worst group with a background, on one line; none where they are alike."""
    if found is None:
        return []
    bins = {name: each.all_images for name, each in (("size", found.size), ("place", found.place)) if each}
    parts = [
        f"by {name} {', '.join(f'{key}: {percent(one.top1)}' for key, one in each.items())} %"
        for name, each in bins.items()
    ]
    if found.worst_group:
        shown, _, name = worst_cells(found.worst_group)
        parts.append(f"worst on a background (30 images or more): {name}, {shown} %")
    return [f"top-1 of the object {'; '.join(parts)}"]


def _over_levels(found: scores.Severity | None) -> list[str]:
    if found is None:
        return []
    whole = found.all_images
    point, ends = failure_point(whole)
    levels = ", ".join(f"{each.level:g}: {percent(each.top1)}" for each in whole.levels)
    return [
        f"top-1 by severity {levels} %; median failure point {point} ({ends}), "
        f"{whole.censored} of {whole.n} ladders right at every level"
    ]


def _worst(lowest: scores.Worst) -> str:
    return (
        f"{lowest.name}, {percent(lowest.top1)} % top-1\n  95 % simultaneous interval: {between(lowest.ci95)} %; "
        f"split-sample estimate: {percent(lowest.split_sample)} % "
        f"({percent(lowest.picked)} % of splits select it)"
    )


def _doubts(metrics: scores.Metrics) -> list[str]:
    every = [*metrics.doubts, *(text for each in metrics.by_background.values() for text in each.doubts)]
    return [f"* the interval may not cover 95 %: {'; '.join(dict.fromkeys(every))}"] if every else []
