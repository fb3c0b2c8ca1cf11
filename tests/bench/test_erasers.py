"""`make bench`: what each eraser leaves to read and what it keeps, on real features of two backbones, from scratch.

Each eraser's constants are chosen on one backbone, among those of `CURVES`, and reported on the other. *Readable* is
what the probe reads that is best on held-out photos, *upper* the most that any reads of the test; the null is that of
the same probe. Curves and the means over divisions are by the closed forms of the family, the first division by all of
it. `bags`: K test images of one background photo, read together; `query`: 16 erasures of copies of an image
averaged, and without noise. Rows are means over divisions of the 200 foreground photos, which share photos: that says
how much the draw matters, not how other photos would behave.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest

from benchmark.erasers.registry import Eraser
from benchmark.probing import leakage, threats
from benchmark.training import adapter
from tests.support.eraser_study import (
    BACKBONES,
    READERS,
    Draw,
    Map,
    Study,
    background_split,
    bagged,
    best,
    divide,
    fit,
    kept,
    null_of,
    read,
    rows_of,
    study,
)  # fmt: skip

pytestmark = pytest.mark.bench
DIVISIONS = (1, 2, 3)
SETS = (70, 70, 60)  # photos of eraser, probe and test
PHOTOS = (20, 35, 50, 70, 100)  # photos of the eraser; probe and test have 50 each
NULLS = 20
KEPT = ("class", "recall", "head")
QUICK = ("lda", "knn", "kernel")  # closed forms, for the curves
NECKS = (("hsic", 1.0), ("pair", 10.0), ("pair", 100.0))  # objective and weight
Options = Mapping[str, float]
# Name and label to erase -> the constants that its curve is over.
CURVES: dict[tuple[str, str], list[Options]] = {
    ("none", "background"): [{}],
    ("leace", "background"): [{}],
    ("leace", "photo"): [{}],
    ("qleace", "background"): [{"components": each} for each in (32, 128)],
    ("kernel", "background"): [{"width": each} for each in (0.3, 1.0, 3.0)],
    ("splince", "background"): [{}],
    ("splince", "photo"): [{}],
    ("nuisance", "background"): [{"share": each} for each in (0.04, 0.08, 0.16)],
    ("band", "background"): [{}],
    ("noise", "photo"): [{"strength": each} for each in (0.6, 1.1, 1.6)],
    ("shaped-noise", "photo"): [{"strength": each} for each in (0.5, 1.0, 2.0)],
    ("photo-mean", "background"): [{"shrinkage": each} for each in (0.03, 0.1, 0.3)],
    ("photo-lda", "background"): [{"directions": each} for each in (30, 45, 60)],
    ("kernel-lda", "background"): [{"directions": each} for each in (30, 45, 60)],
    ("code-answer", "photo"): [{"directions": each} for each in (40, 50, 60)],
}


@dataclass(frozen=True)
class Row:
    """One eraser on one cut and division, in percent."""

    readable: float
    by: str
    upper: float
    kept: dict[str, float]

    def short(self, raw: dict[str, float]) -> float:
        """Return the points that what is kept falls more than 1 below that of raw features, added up."""
        return sum(max(0.0, raw[each] - 1 - self.kept[each]) for each in KEPT)


@cache
def real(shared: Path, backbone: str) -> Study:
    start = time.perf_counter()
    made = study(shared, backbone)
    print(f"\n{backbone}: {made.features.shape[:2]} guides in {time.perf_counter() - start:.0f} s", flush=True)
    return made


def draw_of(cut: str, division: int) -> tuple[np.ndarray, Draw]:
    first, probe, test = divide(division, *SETS)
    return first, Draw(probe, test, cut, division)


def fitted(of: Study, name: str, label: str, options: Options, cut: str, division: int) -> tuple[Eraser, Draw]:
    first, draw = draw_of(cut, division)
    seen = background_split(of, cut, division)[0]
    return fit(of, name, first, seen, label=label, options=options), draw


def most(found: Mapping[str, leakage.Tested]) -> float:
    """Return the most that any probe reads of the test."""
    return max(float(each.right.mean()) for each in found.values())


def row(of: Study, eraser: Eraser, draw: Draw, readers: tuple[str, ...]) -> Row:
    found = read(of, eraser(rows_of(of, draw)), draw, readers)
    left = kept(of, eraser, draw.test, draw.seed)
    by = best(found)
    percent = {name: 100 * value for name, value in left.items()}
    return Row(100 * float(found[by].right.mean()), by, 100 * most(found), percent)


def curve(
    of: Study, name: str, label: str, cut: str, divisions: tuple[int, ...] = DIVISIONS[:1]
) -> list[tuple[Options, list[Row]]]:
    """Return the rows of each constant, one per division, printed as they come."""
    answer = []
    for options in CURVES[name, label]:
        fits = [fitted(of, name, label, options, cut, division) for division in divisions]
        rows = [row(of, *each, QUICK) for each in fits]
        answer.append((options, rows))
        print(f"| {name} | {label} | {cut} | {constants(options)} | {shown(rows)} |", flush=True)
    return answer


def constants(options: Options) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in options.items()) or "-"


def shown(rows: list[Row]) -> str:
    by = "/".join(dict.fromkeys(each.by for each in rows))
    means = [np.mean([each.kept[name] for each in rows]) for name in KEPT]
    leaks = f"{np.mean([each.readable for each in rows]):.1f} ({by}) | {np.mean([each.upper for each in rows]):.1f}"
    return f"{leaks} | {' | '.join(f'{value:.1f}' for value in means)}"


def chosen(points: list[tuple[Options, list[Row]]], raw: dict[str, float]) -> Options:
    """Return the constants of least readable background plus points by which what is kept falls short."""
    return min(points, key=lambda each: np.mean([row.readable + row.short(raw) for row in each[1]]))[0]


def numbers(of: Study, eraser: Map, draw: Draw, readers: tuple[str, ...], limit: Map | None) -> list[float]:
    """Return readable, upper, null, bags, and what queries and the limit without noise give, NaN if nothing is random.

    Args:
        of: the study.
        eraser: of features, or a neck.
        draw: photos of probe and test.
        readers: of the family.
        limit: a random eraser without its noise, which queries come close to; None for any other.
    """
    rows = rows_of(of, draw)
    erased = eraser(rows)
    found = read(of, erased, draw, readers)
    by = best(found)
    null = null_of(of, erased, draw, found[by], NULLS)
    bags = [max(bagged(of, draw, each, count) for each in found.values()) for count in threats.BAGS]
    queries = [float("nan")] * 2
    if limit is not None:
        queries = [most(read(of, each, draw, QUICK)) for each in (threats.queried(eraser, rows), limit(rows))]
    return [float(found[by].right.mean()), most(found), null, *bags, *queries]


def limit_of(of: Study, name: str, label: str, options: Options, cut: str) -> Eraser | None:
    """Return a random eraser without its noise; None for any other."""
    if not threats.is_random(name, options):
        return None
    return fitted(of, name, label, threats.noiseless(options), cut, DIVISIONS[0])[0]


def in_percent(values: Iterable[float]) -> list[str]:
    return ["-" if np.isnan(each) else f"{100 * each:.1f}" for each in values]


def held(of: Study, name: str, label: str, options: Options, cut: str) -> list[str]:
    """Return `numbers` by the whole family on the first division, as text."""
    eraser, draw = fitted(of, name, label, options, cut, DIVISIONS[0])
    return in_percent(numbers(of, eraser, draw, READERS, limit_of(of, name, label, options, cut)))


def line(of: Study, eraser: Map, draw: Draw, limit: Map | None = None) -> str:
    """Return `numbers` by the closed forms of the family, and what is kept, as cells of a table."""
    left = kept(of, eraser, draw.test, draw.seed).values()
    return " | ".join(in_percent([*numbers(of, eraser, draw, QUICK, limit), *left]))


def line_of_defaults(of: Study, name: str, label: str, cut: str) -> str:
    """Return an eraser's line of the table of defaults, on the first division."""
    eraser, draw = fitted(of, name, label, {}, cut, DIVISIONS[0])
    return f"| {name} | {label} | {cut} | {line(of, eraser, draw, limit_of(of, name, label, {}, cut))} |"


def line_of_neck(of: Study, objective: str, weight: float, cut: str) -> str:
    """Return the line of a neck trained on the eraser's photos, on the first division."""
    photos, draw = draw_of(cut, DIVISIONS[0])
    seen = background_split(of, cut, DIVISIONS[0])[0]
    sources = np.stack(np.meshgrid(photos, seen, indexing="ij")).reshape(2, -1)
    labels = np.unique(sources[0], return_inverse=True)[1]
    rows = adapter.Labelled(of.rows(photos, seen), labels, of.labels(photos, seen), sources)
    part = partial(adapter.train(rows, objective, weight, DIVISIONS[0]).part, name="foreground")
    return f"| neck, {objective} {weight:g} | background | {cut} | {line(of, part, draw)} |"


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_defaults(shared_data: Path, backbone: str):
    """Each eraser with its default constants, and necks: the tables of RESULTS.md."""
    head = "readable | upper | null | bags 5 | 20 | 60 | query | limit | class | same | head"
    print(f"\n{backbone}\n| eraser | erases | cut | {head} |")
    for cut in ("seen", "unseen"):
        for name, label in CURVES:
            print(line_of_defaults(real(shared_data, backbone), name, label, cut), flush=True)
        for neck in NECKS:
            print(line_of_neck(real(shared_data, backbone), *neck, cut), flush=True)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_table(shared_data: Path, backbone: str):
    (other,) = set(BACKBONES) - {backbone}
    head = "eraser | erases | cut | constants | readable | upper | class | same photo | own head"
    head += " | readable by all | upper by all | null | bags 5 | 20 | 60 | query | limit"
    for cut in ("unseen", "seen"):
        raw = curve(real(shared_data, other), "none", "background", cut)[0][1][0].kept
        print(f"\n{backbone}, constants of {other}\n| {head} |")
        for name, label in CURVES:
            options = chosen(curve(real(shared_data, other), name, label, cut), raw)
            of = real(shared_data, backbone)
            rows = [row(of, *fitted(of, name, label, options, cut, division), QUICK) for division in DIVISIONS]
            more = held(of, name, label, options, cut)
            print(
                f"| {name} | {label} | {cut} | {constants(options)} | {shown(rows)} | {' | '.join(more)} |", flush=True
            )
            means = np.mean([each.upper for each in rows])
            if (name, label, cut) == ("leace", "background", "seen"):
                assert means > 60  # a family that finds what linear readers do not
            if (name, cut) == ("code-answer", "seen"):
                assert means < 30


def test_the_curve_over_photos(shared_data: Path):
    print("\n| eraser's photos | eraser | readable | upper | class | same photo | own head |")
    of = real(shared_data, "mobilenetv2_100")
    for size in PHOTOS:
        for name in ("leace", "photo-lda", "code-answer"):
            first, probe, test = divide(1, size, 50, 50)
            eraser = fit(of, name, first, background_split(of, "seen", 1)[0], label="background")
            found = row(of, eraser, Draw(probe, test, "seen", 1), QUICK)
            print(f"| {size} | {name} | {shown([found])} |", flush=True)
