"""Size and place of the object and levels of severity, which a release varies by plan: figures, tables, sentences."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.reports import figures
from benchmark.reports.sections import Measured, Table
from benchmark.reports.text import failure_point, percent, worst_cells
from benchmark.schemas.metrics import Binned, GroupScore, LadderScore

ALL = "all images"
_TITLES = {
    "size": "object size, share of the image's side",
    "place": "distance of the object from the centre, share of the room",
    "severity": "level of severity",
}
FAILURES = ("model", "background", "ladders", "right at every level", "median failure point", "95 % interval")


def there(about: Sequence[Measured]) -> bool:
    """Return whether the images vary in any of it."""
    return any(each.metrics.factors or each.metrics.severity for each in about)


def drawn(about: Sequence[Measured]) -> dict[str, Any]:
    """Return the figures by name: accuracy against size, place and severity, where they vary."""
    made = {}
    for name, title in _TITLES.items():
        found = [(each.label, scores) for each in about if (scores := _scores(each, name))]
        if found:
            bins = list(found[0][1][ALL])
            series = [_series(label, scores, bins) for label, scores in found]
            made[name] = figures.ranges(bins, series, title)
    return made


def _series(label: str, scores: Mapping[str, Mapping[str, GroupScore]], bins: Sequence[str]) -> figures.Range:
    whole = np.array([(scores[ALL][name].top1, *scores[ALL][name].ci95) for name in bins], dtype=np.float64)
    own = np.array([[one[name].top1 for name in bins] for key, one in scores.items() if key != ALL], dtype=np.float64)
    mean, low, high = 100 * whole.T
    return figures.Range(label, mean, low, high, 100 * own)


def tables(about: Sequence[Measured]) -> list[Table]:
    """Return top-1 by size, place and severity on each background, and the failure points, as tables."""
    answer = []
    for name, title in _TITLES.items():
        found = [(each.label, scores) for each in about if (scores := _scores(each, name))]
        if found:
            bins = list(found[0][1][ALL])
            columns = [text for key in bins for text in (f"{key}: top-1 %", "95 % interval")]
            rows = [
                (label, background, *(text for key in bins for text in cell(own[key])))
                for label, scores in found
                for background, own in scores.items()
            ]
            answer.append(Table(name, f"Top-1 by {title}", ("model", "background", *columns), rows))
    points = [row for each in about for row in _failures(each)]
    return answer + ([Table("failures", "Failure points", FAILURES, points)] if points else [])


def cell(score: GroupScore) -> tuple[str, str]:
    """Return top-1 and its interval as text, with a star where the interval is in doubt."""
    ends = tuple(map(percent, score.ci95))
    return percent(score.top1), "-" if "-" in ends else f"{ends[0]} to {ends[1]}{'*' * bool(score.doubts)}"


def sentences(about: Sequence[Measured]) -> list[str]:
    """Return for each model the worst group of background, size and place."""
    answer = []
    for each in about:
        lowest = each.metrics.factors.worst_group if each.metrics.factors else None
        if lowest:
            shown, split, name = worst_cells(lowest)
            answer.append(
                f"{each.label}: worst group with 30 images or more: {name}, {shown} %; split-sample {split} %."
            )
    return answer


def _scores(each: Measured, name: str) -> dict[str, dict[str, GroupScore]]:
    """Return background (all images last) -> bin -> score; empty where the images are alike."""
    if name == "severity":
        found = each.metrics.severity
        return {key: _levels(one) for key, one in _ladders(each)} if found else {}
    binned: Binned | None = getattr(each.metrics.factors, name, None)
    return {**binned.by_background, ALL: binned.all_images} if binned else {}


def _levels(found: LadderScore) -> dict[str, GroupScore]:
    return {f"{each.level:g}": each for each in found.levels}


def _ladders(each: Measured) -> Iterator[tuple[str, LadderScore]]:
    if each.metrics.severity:
        yield from each.metrics.severity.by_background.items()
        yield ALL, each.metrics.severity.all_images


def _failures(each: Measured) -> Iterator[tuple[str, ...]]:
    for name, found in _ladders(each):
        yield each.label, name, str(found.n), str(found.censored), *failure_point(found)
