"""Worst-group accuracy: the split-sample estimate, and the simultaneous interval."""

import math
from dataclasses import replace

import numpy as np
import pytest

from benchmark.metrics.accuracy import group_means, mean, worst
from benchmark.metrics.groups import clusters, ranks
from benchmark.metrics.intervals import Sample, accuracy_intervals
from benchmark.metrics.worst_group import SplitSample, split_sample, worst_interval

TEN = np.arange(10)
TRUTHS = {"equal": np.full(10, 0.6), "one lower": np.r_[0.5, np.full(9, 0.6)], "spread": np.linspace(0.45, 0.72, 10)}


def biases(simulate, truth: np.ndarray, photos: int, templates: int, repeats: int) -> np.ndarray:
    """Return the mean errors: of the split-sample estimate, for the groups it picked; of the plug-in, for the worst."""
    rng, errors = np.random.default_rng(0), np.empty((repeats, 2))
    for index in range(repeats):
        right, sample = simulate(rng, photos, templates, truth, 0.7, 0.7)
        found = split_sample(right, sample, TEN, splits=10, seed=index)
        plug_in = group_means(right, sample.group, 10)[0].min()
        errors[index] = found.estimate - found.picked @ truth, plug_in - truth.min()
    return errors.mean(0)


@pytest.mark.parametrize("truth", TRUTHS)
def test_split_sample_has_no_bias(simulate, truth):
    """Half a point at most, beside the Monte-Carlo error; the plug-in among equals is points too low."""
    split, plug_in = biases(simulate, TRUTHS[truth], 100, 30, repeats=150)
    assert abs(split) <= 0.005 + 2 * 0.003
    if truth == "equal":
        assert plug_in < -0.04


@pytest.mark.long
@pytest.mark.parametrize("truth", TRUTHS)
@pytest.mark.parametrize(("photos", "templates", "repeats"), [(200, 30, 1500), (1000, 100, 400)])
def test_split_sample_has_no_bias_long(simulate, truth, photos, templates, repeats, capsys):
    split, plug_in = biases(simulate, TRUTHS[truth], photos, templates, repeats)
    with capsys.disabled():
        print(f"\n{photos} photos, {templates} templates, {truth}: {100 * split:+.2f}, plug-in {100 * plug_in:+.2f}")  # noqa: T201
    assert abs(split) <= 0.005


def test_a_clear_worst_is_found():
    group = np.tile(np.arange(3), 100)
    foregrounds, none = np.repeat(np.arange(100), 3), np.full(300, -1)
    right = group != 1
    sample = Sample(foregrounds, none, group, group, 3, np.ones((1, 3)))
    found = split_sample(right, sample, np.arange(3))
    assert found.estimate == 0
    assert found.picked.tolist() == [0, 1, 0]
    assert split_sample(right, sample, np.array([0, 2])).estimate == 1
    low, high = worst_interval(accuracy_intervals(right, sample, resamples=50), np.arange(3))
    assert low == 0
    assert high < 0.15


def test_too_little_to_split_is_nan():
    one = np.zeros(1, int)
    sample = Sample(one, one, one, one, 1, np.ones((1, 1)))
    assert math.isnan(split_sample(np.array([True]), sample, one).estimate)
    assert math.isnan(split_sample(np.array([True]), sample, one[:0]).estimate)
    assert all(math.isnan(end) for end in worst_interval(accuracy_intervals(np.array([True]), sample), one[:0]))


def _literal(right, sample: Sample, groups: np.ndarray, splits: int, folds: int) -> SplitSample:
    """Choose and judge by masks over the images, split after split."""
    kept = np.isin(sample.group, groups)
    right, group = right[kept], sample.group[kept]
    photos = ranks(sample.foreground_source[kept]), clusters(sample.background_source[kept], sample.background[kept])
    alone = np.bincount(photos[1])[photos[1]] == 1
    rng, picked, scores = np.random.default_rng(0), np.zeros(sample.groups), []
    for _ in range(splits):
        counts = [each.max() + 1 for each in photos]
        order = [n - 1 - rng.permutation(n) for n in counts]
        fold = [
            np.searchsorted([-(-n * k // folds) for k in range(1, folds)], each, side="right")[photo]
            for n, each, photo in zip(counts, order, photos, strict=True)
        ]
        for one in range(folds)[::-1]:
            for other in range(folds)[::-1]:
                choose = (fold[0] != one) & ((fold[1] != other) | alone)
                judge = (fold[0] == one) & ((fold[1] == other) | alone)
                lowest = worst(group_means(right[choose], group[choose], sample.groups)[0])
                if lowest is not None and (judge & (group == lowest)).any():
                    picked[lowest] += 1
                    scores.append(mean(right[judge & (group == lowest)]))
    return SplitSample(mean(np.array(scores)), picked / len(scores))


@pytest.mark.parametrize("share", [0, 0.3, 1])
@pytest.mark.parametrize("kind", [bool, float])
@pytest.mark.parametrize("folds", [2, 5])
def test_the_split_sample_estimate_is_that_of_masks(simulate, share, kind, folds):
    """To the last bit, whatever share of images have a background photo of their own."""
    rng = np.random.default_rng(1)
    right, sample = simulate(rng, 40, 10, 0.6, 0.7, 0.7)
    own = rng.random(len(right)) < share
    sample = replace(sample, background_source=np.where(own, -1, sample.background_source))
    values = right if kind is bool else np.where(right, rng.random(len(right)), 0.1)
    groups, splits = np.arange(1, 10), 50 if folds == 2 else 8
    found = split_sample(values, sample, groups, splits=splits, folds=folds)
    expected = _literal(values, sample, groups, splits, folds)
    assert found.estimate == expected.estimate
    np.testing.assert_array_equal(found.picked, expected.picked)
