"""`make bench`: what each eraser leaves to read and what it keeps, on real features; README's tables, from scratch.

Each row is the mean over divisions of the 200 foreground photos, +- half the width of its 95 % interval over divisions
(Student). Divisions share photos, so it says how much the draw matters, not how other photos would behave.
"""

import time
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t as student

from benchmark import erasers
from tests.support.eraser_study import READERS, Study, background_split, divide, fit, kept, leakage, study

pytestmark = pytest.mark.bench
DIVISIONS = (1, 2, 3)
SETS = (70, 70, 60)  # photos of eraser, probe and test
CURVE = (20, 35, 50, 70, 100)  # photos of the eraser; probe and test have 50 each
KEPT = ("class", "recall", "head")


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Study:
    start = time.perf_counter()
    made = study(shared_data)
    print(f"\n{made.features.shape[0]} x {made.features.shape[1]} guides in {time.perf_counter() - start:.0f} s")
    return made


def one(real: Study, name: str, cut: str, division: int, sizes: tuple[int, int, int]) -> list[float]:
    """Return what the probes read, what is kept and the rank, in percent and dimensions."""
    first, probe, test = divide(division, *sizes)
    eraser = fit(real, name, first, background_split(real, cut, division)[0])
    read, weak = leakage(real, eraser, probe, test, cut, division)
    if weak:
        print(f"not converged, so lower bounds: {', '.join(weak)} after {name}, {cut}, division {division}", flush=True)
    left = kept(real, eraser, test, division)
    return [*(100 * read[kind] for kind in READERS), *(100 * left[kind] for kind in KEPT), eraser.rank]


def shown(values: list[list[float]]) -> str:
    """Return mean +- half width of each column."""
    table = np.array(values)
    half = table.std(0, ddof=1) / np.sqrt(len(table)) * student.ppf(0.975, len(table) - 1)
    return " | ".join(f"{mean:.1f} ± {width:.1f}" for mean, width in zip(table.mean(0), half, strict=True))


def test_the_table(real):
    print(f"\n| eraser | cut | {' | '.join((*READERS, *KEPT, 'rank'))} |")
    means = {}
    for name in erasers.ERASERS:
        for cut in ("unseen", "seen"):
            values = [one(real, name, cut, division, SETS) for division in DIVISIONS]
            means[name, cut] = np.mean(values, axis=0)
            print(f"| {name} | {cut} | {shown(values)} |", flush=True)
    for name in list(erasers.ERASERS)[1:]:
        for cut in ("unseen", "seen"):
            share, change = means[name, cut] / means["leace", cut], means[name, cut] - means["none", cut]
            shares = ", ".join(f"{kind} {share[place]:.2f}" for place, kind in enumerate(READERS))
            changes = ", ".join(f"{kind} {change[len(READERS) + place]:+.1f}" for place, kind in enumerate(KEPT))
            print(f"{name}, {cut}: of what LEACE leaves {shares}; kept {changes}")
    leace, band, noise = (means[name, "seen"] for name in ("leace", "band", "noise"))
    assert band[0] < 0.7 * leace[0]
    assert band[1] < 0.4 * leace[1]
    assert noise[0] < 0.6 * leace[0]


def test_the_curve(real):
    print("\n| eraser's photos | eraser | linear | mlp | knn | class | recall | head | rank |")
    for size in CURVE:
        for name in ("leace", "band", "noise"):
            values = one(real, name, "seen", 1, (size, 50, 50))
            print(f"| {size} | {name} | {' | '.join(f'{value:.1f}' for value in values)} |", flush=True)
