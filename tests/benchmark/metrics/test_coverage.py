"""95 % means 95 %: intervals, tests and the worst background against simulated truth, effects of photos included."""

import numpy as np
import pytest

from benchmark.metrics.intervals import accuracy_intervals, difference_intervals
from benchmark.metrics.statistics import holm
from benchmark.metrics.worst_group import worst_interval

RESAMPLES = 200  # fewer than the benchmark's: the quantile is noisier, which costs a little coverage
EFFECTS = {"none": (0, 0), "both": (0.7, 0.7), "background photos": (0, 1)}
ACCURACIES = (0.1, 0.3, 0.5, 0.8, 0.95)


def coverage(simulate, photos: int, templates: int, p: float, effects: str, repeats: int, seed: int) -> np.ndarray:
    """Return the share of repeats whose intervals hold p: on a background, on all images, of the worst background."""
    rng, held = np.random.default_rng(seed), np.empty((repeats, 3))
    for index in range(repeats):
        found = accuracy_intervals(*simulate(rng, photos, templates, p, *EFFECTS[effects]), resamples=RESAMPLES)
        inside = (found.low <= p) & (p <= found.high)
        low, high = worst_interval(found, np.arange(10))
        held[index] = inside[:-1].mean(), inside[-1], low <= p <= high
    return held.mean(0)


@pytest.mark.parametrize(
    ("photos", "p", "effects"),
    [(60, 0.95, "background photos"), (60, 0.5, "none"), (200, 0.1, "background photos")],
)
def test_hard_settings_are_covered(simulate, photos, p, effects):
    background, overall, worst = coverage(simulate, photos, 30, p, effects, repeats=200, seed=0)
    # 2,000 intervals on backgrounds and 200 on all images: two standard errors are 1 and 3 points.
    assert 0.93 - 0.01 <= background <= 0.97 + 0.01
    assert 0.93 - 0.03 <= overall <= 1
    assert worst >= 0.95 - 0.045


@pytest.mark.long
@pytest.mark.parametrize(("photos", "templates", "repeats"), [(60, 30, 250), (200, 30, 150), (200, 50, 150)])
@pytest.mark.parametrize("effects", EFFECTS)
def test_every_setting_is_covered(simulate, photos, templates, repeats, effects, capsys):
    found = np.array([coverage(simulate, photos, templates, p, effects, repeats, seed=1) for p in ACCURACIES])
    with capsys.disabled():
        print(f"\n{photos} photos, {templates} templates, {effects}: {np.round(100 * found, 1).tolist()}")  # noqa: T201
    error = np.sqrt(0.05 * 0.95 / repeats)
    # Ten intervals a repeat on backgrounds; over the five accuracies, five a repeat on all images.
    assert (found[:, 0] >= 0.93 - 2 * error / np.sqrt(10)).all()
    assert (found[:, 0] <= 0.97 + 2 * error / np.sqrt(10)).all()
    assert 0.93 - 2 * error / np.sqrt(5) <= found[:, 1].mean() <= 0.97 + 2 * error / np.sqrt(5)
    assert (found[:, 2] >= 0.95 - 3 * error).all()


@pytest.mark.parametrize(
    ("photos", "effects", "share"),
    [(60, "none", 0.4), (100, "background photos", 0.4), (200, "background photos", 1.0)],
)
def test_two_equal_models_are_rarely_told_apart(simulate, photos, effects, share):
    """Two models of equal accuracy that differ on a share of the images, each with effects of photos of its own."""
    rng, rejected, any_rejected = np.random.default_rng(2), [], []
    for _ in range(100):
        first, sample = simulate(rng, photos, 30, 0.6, *EFFECTS[effects])
        second = simulate(rng, photos, 30, 0.6, *EFFECTS[effects], template=sample.background_source)[0]
        differs = rng.random(len(first)) < share
        p = difference_intervals(np.where(differs, second, first) * 1 - first * 1, sample, resamples=RESAMPLES).p
        rejected.append(p <= 0.05)
        any_rejected.append((holm(p[:-1]) <= 0.05).any())
    # 1,000 tests on backgrounds, 100 on all images, 100 families: two standard errors are 1.4 and 4.4 points.
    assert np.mean(rejected, axis=0)[:-1].mean() <= 0.05 + 0.014
    assert np.mean(rejected, axis=0)[-1] <= 0.05 + 0.044
    assert np.mean(any_rejected) <= 0.05 + 0.044


def test_a_few_images_gained_and_none_lost_are_noticed(simulate):
    """Eleven gained and none lost among 200: McNemar's exact test gives 0.001."""
    rng = np.random.default_rng(0)
    _, sample = simulate(rng, 200, 50, 0.5, 0, 0, backgrounds=1)
    change = np.zeros(200)
    change[rng.permutation(200)[:11]] = 1
    assert difference_intervals(change, sample).p[0] < 0.02


def test_differences_are_covered(simulate):
    rng, held = np.random.default_rng(3), []
    for _ in range(80):
        first, sample = simulate(rng, 60, 30, 0.5, 0.7, 0.7)
        second = first ^ (rng.random(len(first)) < np.where(first, 0.3, 0.1))
        found = difference_intervals(second * 1 - first * 1, sample, resamples=RESAMPLES)
        held.append(((found.low <= -0.1) & (found.high >= -0.1)).mean())
    assert 0.925 <= np.mean(held) <= 0.985
