"""Where models look, as text, table and pictures: the share of the answer's drop that lies on the object."""

from collections.abc import Sequence

from benchmark.metrics.attribution import ALL
from benchmark.reports.sections import Table
from benchmark.reports.text import between, grid, percent
from benchmark.schemas.experiments import Attributed, Attribution, Occluded
from d3s_dataset.taxonomy import classes

PICTURES = 2  # per background and model
HEADINGS = ("background", "n", "drop on the object", "95 % interval", "area of the object")


def show(found: Attributed) -> str:
    """Return the shares on each background as a table for a terminal."""
    rows = [_row(name, each) for name, each in found.attributions.items()]
    lines = [
        f"where it looks, by occlusion of {found.grid} x {found.grid} cells: share of the answer's drop, in %",
        grid(HEADINGS, rows[:-1], rows[-1]),
        "a model that looks everywhere alike gives the area of the object",
    ]
    return "\n".join(lines + ["* the interval may not cover 95 %: too few images or photos"] * _doubted(found))


def sentence(found: Attributed, label: str) -> str:
    """Return the finding as a sentence."""
    whole = found.attributions[ALL]
    known = {name: each.share for name, each in found.attributions.items() if name != ALL and each.share is not None}
    lowest = min(known, key=lambda name: known[name], default=None)
    text = (
        f"{label}: {percent(whole.share)} % of the drop of its answer lies on the object (95 % interval "
        f"{between(whole.ci95)}){'*' * bool(whole.doubts)}, which covers {percent(whole.area)} % of the image"
    )
    return f"{text}; least on {lowest}, {percent(known[lowest])} %." if lowest else f"{text}."


def table(found: Sequence[tuple[str, Attributed]]) -> Table:
    """Return the shares of labelled models as a table for a paper."""
    rows = [(label, *_row(name, each)) for label, one in found for name, each in one.attributions.items()]
    return Table("attribution", "Share of the answer's drop on the object", ("model", *HEADINGS), rows)


def cell(each: Attribution | None) -> tuple[str, str]:
    """Return a share and its interval as text."""
    return ("-", "-") if each is None else (percent(each.share), _interval(each))


def pictures(found: Attributed) -> list[Occluded]:
    """Return the images that are shown: `PICTURES` of each background, in the file's order."""
    counts: dict[int, int] = {}
    shown = []
    for each in found.images:
        counts[each.background] = counts.get(each.background, 0) + 1
        if counts[each.background] <= PICTURES:
            shown.append(each)
    return shown


def strengths(each: Occluded) -> list[tuple[int, int, str]]:
    """Return (column, row, opacity) of the cells whose covering lowers the answer; the strongest has 0.75."""
    most = max((value for row in each.drop for value in row), default=0.0)
    return [
        (column, row, f"{0.75 * value / most:.3f}")
        for row, values in enumerate(each.drop)
        for column, value in enumerate(values)
        if value > 0
    ]


def caption(each: Occluded) -> tuple[str, str]:
    """Return the truth and the answer, by their first names."""
    truth, answer = (classes()[label].name.split(",")[0] for label in (each.foreground, each.answer))
    return truth, answer


def _row(name: str, each: Attribution) -> tuple[str, ...]:
    return name, str(each.n), percent(each.share), _interval(each), percent(each.area)


def _interval(each: Attribution) -> str:
    text = between(each.ci95)
    return text + "*" * bool(text != "-" and each.doubts)


def _doubted(found: Attributed) -> bool:
    return any(each.doubts for each in found.attributions.values())
