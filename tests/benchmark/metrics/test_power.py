"""Power: the difference that is named as detectable is found in 80 % of simulated comparisons."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm
from scipy.stats import t as student_

from benchmark.metrics.intervals import Sample, difference_intervals
from benchmark.metrics.power import shown
from d3s_dataset.utils.power import Photos, planned, student

DISCORDANCE, BACKGROUNDS = 0.2, 10
LATENT = {"independent": (0.0, 0.0), "clustered": (0.3, 0.15)}  # share of the latent variance that photos have


def draw(rng, photos: int, templates: int, delta: float, latent: tuple[float, float]) -> tuple[np.ndarray, Sample]:
    """Return (n,) differences of two models with a known mean, each photo of an object once on every background."""
    photo, background = np.repeat(np.arange(photos), BACKGROUNDS), np.tile(np.arange(BACKGROUNDS), photos)
    template = background * templates + (photo + rng.integers(templates, size=BACKGROUNDS)[background]) % templates
    one, two = latent
    score = np.sqrt(one) * rng.normal(size=photos)[photo]
    score += np.sqrt(two) * rng.normal(size=BACKGROUNDS * templates)[template]
    score += np.sqrt(1 - one - two) * rng.normal(size=len(photo))
    up, down = cuts(delta)
    sample = Sample(photo, template, background, background, BACKGROUNDS, np.ones((1, BACKGROUNDS)))
    return (score > up) * 1.0 - (score < down), sample


def cuts(delta: float) -> tuple[float, float]:
    return norm.isf((DISCORDANCE + delta) / 2), norm.ppf((DISCORDANCE - delta) / 2)


def correlation(share: float, delta: float) -> float:
    """Return how two differences correlate whose scores do by `share`: from the bivariate normal distribution."""
    if not share:
        return 0.0
    up, down = cuts(delta)
    below = multivariate_normal([0, 0], [[1, share], [share, 1]], seed=0).cdf
    both = below([-up, -up]) + below([down, down]) - 2 * (norm.cdf(down) - below([down, up]))
    return (both - delta**2) / (DISCORDANCE - delta**2)


def expected(photos: int, templates: int, latent: tuple[float, float], which: int) -> float:
    """Return what a plan names as detectable, the correlations being those at that difference."""
    at: Photos = planned(photos * BACKGROUNDS, BACKGROUNDS, photos, templates)[which]
    delta = 0.0
    for _ in range(5):
        found = at.detectable(DISCORDANCE, (correlation(latent[0], delta), correlation(latent[1], delta)))
        assert found is not None
        delta = found
    return delta


def power(photos: int, templates: int, latent: tuple[float, float], repeats: int) -> tuple[float, float, float]:
    """Return the power at the named difference on a background, on all images, and the named over the measured."""
    rng, one, every, ratio = np.random.default_rng(0), [], [], []
    deltas = [expected(photos, templates, latent, which) for which in range(2)]
    for delta, kept in zip(deltas, (one, every), strict=True):
        for _ in range(repeats // BACKGROUNDS if kept is one else repeats):
            change, sample = draw(rng, photos, templates, delta, latent)
            found = difference_intervals(change, sample, resamples=200)
            kept.append((found.p[:-1] <= 0.05).mean() if kept is one else found.p[-1] <= 0.05)
            if kept is one:
                group = sample.group == 0
                named = shown(found, 0, int(group.sum()), float((change != 0)[group].mean()))
                ratio.append((named or np.nan) / delta)
    return float(np.mean(one)), float(np.mean(every)), float(np.nanmedian(ratio))


def test_a_detectable_difference_is_found_in_four_of_five_comparisons():
    """Three standard errors of 200 repeats; the long form has the bounds that count."""
    one, every, ratio = power(120, 30, LATENT["clustered"], 200)
    assert 0.8 - 0.085 <= one <= 0.8 + 0.085
    assert 0.8 - 0.085 <= every <= 0.8 + 0.085
    assert 0.9 <= ratio <= 1.2


@pytest.mark.long
@pytest.mark.parametrize("latent", LATENT)
def test_a_detectable_difference_is_found_in_four_of_five_comparisons_long(latent, capsys):
    one, every, ratio = power(200, 30, LATENT[latent], 600)
    with capsys.disabled():
        print(f"\n{latent}: power {one:.3f} on a background, {every:.3f} on all images; measured/named {ratio:.2f}")  # noqa: T201
    assert 0.76 <= one <= 0.84
    assert 0.76 <= every <= 0.84
    assert 0.95 <= ratio <= 1.1


def test_student_s_quantiles_are_scipy_s():
    for freedom in (1, 2, 7, 29, 1000, 10**6):
        for p in (0.8, 0.975):
            assert student(p, freedom) == pytest.approx(student_.ppf(p, freedom), rel=1e-6)
