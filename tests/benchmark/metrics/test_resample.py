"""The resampling kernel against statsmodels' two-way clustered variance and loops over photos."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.sandwich_covariance import cov_cluster_2groups

from benchmark.metrics import bootstrap
from benchmark.metrics.bootstrap import cells, observed, resampled
from benchmark.metrics.groups import clusters


def _images(rng: np.random.Generator, n: int, n_foregrounds: int, n_backgrounds: int) -> tuple[np.ndarray, ...]:
    """Values, foreground and background photos, backgrounds (fixed by the photo), and groups; some images in none."""
    backgrounds = rng.integers(0, n_backgrounds, n)
    return rng.random(n), rng.integers(0, n_foregrounds, n), backgrounds, backgrounds % 3, rng.integers(-1, 2, n)


@given(seed=st.integers(0, 10_000), n=st.integers(5, 80))
@settings(max_examples=25, deadline=None)
def test_variance_is_statsmodels_two_way_clustered_variance(seed, n):
    import statsmodels.api as sm

    values, foregrounds, backgrounds, background, _ = _images(np.random.default_rng(seed), n, 6, 7)
    here = observed(cells(values, foregrounds, backgrounds, background, np.zeros(n, int), 1), np.ones((1, 1)))
    model = sm.OLS(values, np.ones(n)).fit()
    expected = cov_cluster_2groups(model, foregrounds, backgrounds, use_correction=False)[0].item()
    for row in range(2):  # the group of all images, and the mix of that one group
        np.testing.assert_allclose(here.mean[row], values.mean())
        np.testing.assert_allclose(here.variance[row], expected, atol=1e-12)
        np.testing.assert_allclose(here.size[row], n)


def test_many_photos_through_columns_give_what_rows_give(monkeypatch):
    """Photos that are more than a core's cache holds take the other layout of matrices; some values are zero."""
    rng = np.random.default_rng(0)
    values, foregrounds, backgrounds, background, group = _images(rng, 600, 200, 7)
    table = (np.where(rng.random(600) < 0.5, 0, values), foregrounds, backgrounds, background, group, 2)
    kinds, found = [], []
    for block in (bootstrap._BLOCK, 1):
        monkeypatch.setattr(bootstrap, "_BLOCK", block)
        made = cells(*table)
        kinds.append(type(made.kernel.total).__name__)
        found.append(observed(made, np.ones((1, 2))))
    assert kinds == ["csr_array", "csc_array"]
    for name in vars(found[0]):
        np.testing.assert_allclose(getattr(found[1], name), getattr(found[0], name), rtol=1e-12)


def _loop(values, foregrounds, backgrounds, group, groups, mix, foreground_weights, background_weights):
    """One bootstrap sample, taken literally: how often each photo is drawn -> means and variances."""
    weight = foreground_weights[foregrounds] * background_weights[backgrounds]
    sizes = [weight[group == g].sum() for g in range(groups)]
    means = [(weight * values)[group == g].sum() / sizes[g] if sizes[g] else np.nan for g in range(groups)]
    share = np.array([m if size else 0 for m, size in zip(mix, sizes, strict=True)])
    share = share / share.sum()
    influences = [np.where(group == g, (values - means[g]) / sizes[g], 0) if sizes[g] else None for g in range(groups)]
    influences.append(sum(s * i for s, i in zip(share, influences, strict=True) if i is not None))
    means.append(sum(s * m for s, m in zip(share, means, strict=True) if s))
    variances = []
    for influence in influences:
        if influence is None:
            variances.append(np.nan)
            continue
        total = sum(
            foreground_weights[f] * (background_weights[backgrounds] * influence)[foregrounds == f].sum() ** 2
            for f in set(foregrounds)
        )
        total += sum(
            background_weights[b] * (foreground_weights[foregrounds] * influence)[backgrounds == b].sum() ** 2
            for b in set(backgrounds)
        )
        for f, b in set(zip(foregrounds.tolist(), backgrounds.tolist(), strict=True)):
            total -= (
                foreground_weights[f]
                * background_weights[b]
                * influence[(foregrounds == f) & (backgrounds == b)].sum() ** 2
            )
        variances.append(total)
    return means, variances


@pytest.mark.parametrize("seed", range(5))
def test_every_sample_is_that_of_a_loop(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    values, foregrounds, _, background, _ = _images(rng, 60, 8, 9)
    backgrounds = background * 3 + rng.integers(0, 3, 60)
    group = background - (background == 2) * 3  # one background belongs to no group
    kept = group >= 0
    drawn = []
    real = bootstrap._draw
    monkeypatch.setattr(bootstrap, "_draw", lambda *args: drawn.append(real(*args)) or drawn[-1])
    mix = np.array([0.3, 0.7])
    found = resampled(cells(values, foregrounds, backgrounds, background, group, 2), mix[None], 6, seed)
    foreground_weights, background_weights = drawn
    codes = np.unique(foregrounds[kept], return_inverse=True)[1], clusters(backgrounds[kept], background[kept])
    for sample in range(6):
        means, variances = _loop(
            values[kept], *codes, group[kept], 2, mix, foreground_weights[:, sample], background_weights[:, sample]
        )
        np.testing.assert_allclose(found.mean[:, sample], means)
        np.testing.assert_allclose(found.variance[:, sample], variances, atol=1e-12)


def test_photos_are_drawn_within_their_background():
    rng = np.random.default_rng(0)
    backgrounds = np.array([0, 0, 1, 2, 10, 11, 11])
    table = cells(np.ones(7), np.arange(7), backgrounds, backgrounds // 10, np.zeros(7, int), 1)
    drawn = bootstrap._draw(table.backgrounds, 2000, rng)
    assert (drawn[:3].sum(0) == 3).all()
    assert (drawn[3:].sum(0) == 2).all()
    np.testing.assert_allclose(drawn.mean(1), 1, atol=0.1)


def test_an_image_without_a_background_photo_shares_none():
    assert len(set(clusters(np.array([-1, -1, 4, 4]), np.zeros(4, int)))) == 3


def test_memory_does_not_grow_with_resamples(simulate):
    right, sample = simulate(np.random.default_rng(0), 200, 40, 0.5, 1, 1)
    table, peaks = sample.cells(right), []
    for resamples in (50, 500):
        tracemalloc.start()
        resampled(table, sample.mixes, resamples, 0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    answer = 4 * 8 * 11 * 450  # the numbers asked for, twice while they are joined
    assert peaks[1] - peaks[0] < 2 * answer + 200_000


def test_memory_per_image_is_that_of_the_cells(simulate):
    """Never resamples x images: 1,000 samples of 17,000 images would be 136 MB."""
    right, sample = simulate(np.random.default_rng(0), 1700, 40, 0.5, 1, 1)
    table = sample.cells(right)
    tracemalloc.start()
    resampled(table, sample.mixes, 20, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


@pytest.mark.parametrize(("step", "resamples"), [(7, 100), (7, 99), (9, 1000), (1, 5)])
def test_draws_that_are_kept_change_no_number(simulate, step, resamples, monkeypatch):
    """Neither where the last block is a single sample, whose sums have an order of their own, nor where all are."""
    right, sample = simulate(np.random.default_rng(step), 100, 40, 0.5, 1, 1)
    tables = sample.cells(right), sample.cells(right - 0.5)
    rows = len(tables[0].kernel.group)
    monkeypatch.setattr(bootstrap, "_BLOCK", step * (100 + rows))
    alone = [resampled(each, sample.mixes, resamples, step) for each in tables]
    with bootstrap.draws_kept():
        kept = [resampled(tables[0], sample.mixes, resamples, step)]
        monkeypatch.setattr(bootstrap, "_draw", None)  # the second table's draws are there
        kept.append(resampled(tables[1], sample.mixes, resamples, step))
    for one, other in zip(alone, kept, strict=True):
        for name, values in vars(one).items():
            np.testing.assert_array_equal(values, getattr(other, name))
