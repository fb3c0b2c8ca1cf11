"""Shrunk accuracies of superclass x background: nearer to the truth than plain ones, and covered, by simulation."""

import numpy as np
import pytest
from scipy.stats import norm

from benchmark.metrics.intervals import Sample, accuracy_intervals
from benchmark.metrics.shrunk import shrink

ROWS, COLUMNS = 9, 10
ROW, COLUMN = np.divmod(np.arange(ROWS * COLUMNS), COLUMNS)
# Foreground photos of a row, background photos of a column; probit scale: deviation of cells, effects of either photo.
SETTINGS = {
    "additive": (8, 30, 0.0, 0.7, 0.7),
    "photos": (30, 30, 0.2, 0.7, 0.7),
    "no photo effects": (30, 30, 0.2, 0.0, 0.0),
    "cells differ": (8, 30, 0.5, 0.7, 0.7),
    "background photos": (8, 30, 0.2, 0.0, 1.0),
    "many": (40, 50, 0.5, 0.5, 1.0),
}


def trial(rng, photos: int, templates: int, deviation: float, foregrounds: float, backgrounds: float):
    """Return right or wrong, the sample, and the cells' true accuracies; each photo stands once on each background."""
    photo, column = np.repeat(np.arange(ROWS * photos), COLUMNS), np.tile(np.arange(COLUMNS), ROWS * photos)
    template = column * templates + rng.integers(0, templates, len(photo))
    level = norm.ppf(0.6) + 0.5 * rng.normal(size=(ROWS, 1)) + 0.5 * rng.normal(size=(1, COLUMNS))
    level = level + deviation * rng.normal(size=(ROWS, COLUMNS))
    score = foregrounds * rng.normal(size=ROWS * photos)[photo] + rng.normal(size=len(photo))
    score += backgrounds * rng.normal(size=COLUMNS * templates)[template]
    row = photo // photos
    right = level[row, column] * np.sqrt(1 + foregrounds**2 + backgrounds**2) + score > 0
    sample = Sample(photo, template, column, row * COLUMNS + column, len(ROW), np.ones((1, len(ROW))))
    return right, sample, norm.cdf(level).ravel()


def run(setting: str, repeats: int) -> np.ndarray:
    """Return the squared errors of plain and of shrunk accuracies, coverage of shrunk intervals, their width."""
    rng, found = np.random.default_rng(0), []
    for _ in range(repeats):
        right, sample, truth = trial(rng, *SETTINGS[setting])
        plain = np.bincount(sample.group, right) / np.bincount(sample.group)
        each = shrink(right, sample, ROW, COLUMN)
        assert each is not None
        errors = [((mean - truth) ** 2).mean() for mean in (plain, each.mean)]
        found.append([*errors, ((each.low <= truth) & (truth <= each.high)).mean(), (each.high - each.low).mean()])
    return np.mean(found, axis=0)


@pytest.mark.parametrize("setting", ["additive", "cells differ"])
def test_shrunk_accuracies_are_nearer_and_covered(setting):
    """Twenty tables of 90 cells: the intervals of a table move together, so that two standard errors are 2 points."""
    plain, shrunk, covered, _ = run(setting, 20)
    assert shrunk < 0.8 * plain
    assert 0.93 - 0.02 <= covered <= 0.97 + 0.02


@pytest.mark.long
@pytest.mark.parametrize("setting", SETTINGS)
def test_shrunk_accuracies_are_nearer_and_covered_long(setting, capsys):
    plain, shrunk, covered, width = run(setting, 100)
    with capsys.disabled():
        print(f"\n{setting}: squared error {plain:.4f}, shrunk {shrunk:.4f}; covered {covered:.3f}, {width:.3f} wide")  # noqa: T201
    assert shrunk < plain
    assert 0.93 - 0.005 <= covered <= 0.97 + 0.005


def test_intervals_are_narrower_than_plain_ones():
    right, sample, _ = trial(np.random.default_rng(1), *SETTINGS["additive"])
    plain, each = accuracy_intervals(right, sample, resamples=100), shrink(right, sample, ROW, COLUMN)
    assert each is not None
    assert (each.high - each.low).mean() < 0.8 * (plain.high - plain.low)[:-1].mean()


def test_many_images_are_not_pulled_and_an_empty_cell_has_no_number():
    """Cells of 400 images, far from additive: the shrunk accuracy is the plain one, up to a point."""
    cell = np.repeat(np.arange(6), 400)
    right = np.random.default_rng(0).random(2400) < np.array([0.2, 0.8, 0.5, 0.8, 0.2, 0.5])[cell]
    alone = np.full(2400, -1)
    sample = Sample(np.arange(2400), alone, cell % 3, cell, 7, np.ones((1, 7)))
    found = shrink(right, sample, np.array([0, 0, 0, 1, 1, 1, 2]), np.array([0, 1, 2, 0, 1, 2, 0]))
    assert found is not None
    np.testing.assert_allclose(found.mean[:6], right.reshape(6, 400).mean(1), atol=0.01)
    assert np.isnan([found.mean[6], found.low[6], found.high[6]]).all()
    assert 0.2 < found.deviation < 0.5


def test_one_row_leaves_nothing_to_compare_with():
    cell = np.repeat(np.arange(3), 20)
    sample = Sample(np.arange(60), np.full(60, -1), cell, cell, 3, np.ones((1, 3)))
    assert shrink(np.arange(60) % 2 == 0, sample, np.zeros(3, int), np.arange(3)) is None


def test_extremes_stay_in_range():
    for value in (False, True):
        right, sample, _ = trial(np.random.default_rng(2), *SETTINGS["additive"])
        each = shrink(np.full_like(right, value), sample, ROW, COLUMN)
        assert each is not None
        np.testing.assert_allclose(each.mean, float(value), atol=1e-9)
        assert (each.low >= 0).all()
        assert (each.high <= 1).all()
        assert (each.high - each.low > 0.01).all()
