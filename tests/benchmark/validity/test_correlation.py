"""Correlations equal independent formulas; the interval over families is stated, and holds what is true."""

import numpy as np
import pytest
from scipy import stats

from benchmark.validity import correlation
from benchmark.validity.correlation import Quantity, associate, both, log_odds, ranks, residuals, spearman

# Sizes of families: of the list `paper`, and of the list `realism` (families of one model among them).
PAPER = (11, 2, 2, 3, 3, 1, 2, 2)
REALISM = (12, 7, 6, 3, 3, 3, 3, 3, 2, 2, 2, 2, *[1] * 22)


def simulated(rng, sizes, shared: float, effect: float = 0.0) -> tuple[Quantity, Quantity, list[str]]:
    """Return two quantities that depend on ImageNet accuracy, and on each other's rest by `effect`.

    `shared` is the share of the rest's variance that models of a family have in common.
    """
    family = np.repeat(np.arange(len(sizes)), sizes)

    def rest() -> np.ndarray:
        own, common = rng.normal(size=len(family)), rng.normal(size=len(sizes))[family]
        return np.sqrt(1 - shared) * own + np.sqrt(shared) * common

    imagenet = 1.3 + 0.4 * rng.normal(size=len(sizes))[family] + 0.3 * rng.normal(size=len(family))
    first = rest()
    second = effect * first + np.sqrt(1 - effect**2) * rest()
    here = Quantity("top-1", 0.2 + 0.9 * imagenet + 0.2 * first, imagenet)
    there = Quantity("sketch", -2 + 1.5 * imagenet + 0.3 * second, imagenet)
    return here, there, [f"family-{each}" for each in family]


def test_ranks_and_spearman_equal_scipy_s_on_the_models_a_sample_holds():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, (20, 30)).astype(float), rng.normal(size=(20, 30))
    counts = rng.integers(0, 4, (20, 30))
    found, places = spearman(a, b, counts), ranks(a, counts)
    for row in range(20):
        held = np.repeat(np.arange(30), counts[row])
        assert found[row] == pytest.approx(stats.spearmanr(a[row, held], b[row, held]).statistic)
        np.testing.assert_allclose(places[row, held], stats.rankdata(a[row, held]))
    assert np.isnan(spearman(np.ones((1, 5)), np.arange(5.0)[None], np.ones((1, 5)))).all()


def test_residuals_are_those_of_a_line_fitted_to_each_sample():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 40))
    counts = rng.integers(0, 3, (6, 40))
    for found, row in zip(residuals(y, x, counts), counts, strict=True):
        line = np.polyfit(np.repeat(x, row), np.repeat(y, row), 1)
        np.testing.assert_allclose(found, y - np.polyval(line, x), atol=1e-10)
    raw, rest = both(np.stack([y, x, 2 * y + 3 * x, x], axis=1), counts)
    np.testing.assert_allclose(rest, 1)
    assert (raw < 1).all()
    assert (residuals(3 - 2 * x, x, counts) == 0).all()


def test_the_interval_is_that_of_families_drawn_one_after_the_other():
    """A plain loop over draws of families, each with all its models, and a line fitted by polyfit to each draw."""
    here, there, families = simulated(np.random.default_rng(8), REALISM, 0.5, effect=0.5)
    labels, rng, found = np.array(families), np.random.default_rng(9), []
    for _ in range(600):
        drawn = rng.choice(np.unique(labels), len(REALISM))
        rows = np.concatenate([np.flatnonzero(labels == each) for each in drawn])
        rest = []
        for each in (here, there):
            x, y = each.baseline[rows], each.values[rows]
            rest.append(y - np.polyval(np.polyfit(x, y, 1), x))
        found.append(stats.spearmanr(*rest).statistic)
    residual = associate(here, there, families).residual
    assert (residual.low, residual.high) == pytest.approx(np.percentile(found, [2.5, 97.5]), abs=0.04)


def test_log_odds_have_no_value_at_0_and_1():
    found = log_odds(np.array([0.0, 0.5, 0.75, 1.0, np.nan]))
    np.testing.assert_allclose(found, [np.nan, 0, np.log(3), np.nan, np.nan])


def test_models_without_a_value_are_left_out_and_too_few_have_no_correlation():
    here, there, families = simulated(np.random.default_rng(2), PAPER, 0.5)
    there.values[3] = np.nan
    found = associate(here, there, families)
    keep = np.arange(len(families)) != 3
    part = [Quantity(each.name, each.values[keep], each.baseline[keep]) for each in (here, there)]
    assert found == associate(*part, [each for each, kept in zip(families, keep, strict=True) if kept])
    assert (found.models, found.families) == (len(families) - 1, len(PAPER))
    assert found.residual.low < found.residual.value < found.residual.high
    there.values[:15] = np.nan
    assert np.isnan(associate(here, there, families).residual.value)


def test_a_raw_correlation_alone_shows_nothing():
    here, there, families = simulated(np.random.default_rng(3), REALISM, 0.5)
    found = associate(here, there, families)
    assert found.raw.low > 0.6
    assert found.residual.low < 0 < found.residual.high


def held(sizes, shared: float, repeats: int, seed: int, effect: float = 0.0) -> tuple[float, float]:
    """Return the shares of repeats whose residual's interval holds 0, and lies above 0."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(repeats):
        found.append(associate(*simulated(rng, sizes, shared, effect)).residual)
    return (
        float(np.mean([each.low <= 0 <= each.high for each in found])),
        float(np.mean([each.low > 0 for each in found])),
    )


@pytest.fixture
def fewer_resamples(monkeypatch):
    monkeypatch.setattr(correlation, "RESAMPLES", 150)


def test_the_interval_holds_0_where_only_imagenet_accuracy_matters(fewer_resamples):
    inside, _ = held(REALISM, 0.5, repeats=120, seed=4)
    assert 0.93 - 0.05 <= inside <= 1  # with 150 resamples about 93 %; two standard errors of 120 repeats


def test_a_planted_dependence_is_found(fewer_resamples):
    _, above = held(REALISM, 0.5, repeats=30, seed=5, effect=0.8)
    assert above >= 0.9


@pytest.mark.long
@pytest.mark.parametrize("shared", [0.0, 0.5, 0.8])
@pytest.mark.parametrize("sizes", [PAPER, REALISM], ids=["paper", "realism"])
def test_coverage_in_every_setting(monkeypatch, sizes, shared, capsys):
    monkeypatch.setattr(correlation, "RESAMPLES", 400)  # of fewer, the outer quantiles are too near
    inside, _ = held(sizes, shared, repeats=400, seed=6)
    _, above = held(sizes, shared, repeats=60, seed=7, effect=0.8)
    with capsys.disabled():
        print(f"\n{len(sizes)} families, shared {shared}: holds 0 in {inside:.3f}, 0.8 found in {above:.2f}")  # noqa: T201
    assert 0.90 <= inside <= 0.985  # 93.8 to 96.5 % of 800 repeats; three standard errors of 400 are 3.3 points
    assert above >= (0.99 if sizes is REALISM else 0.5)
