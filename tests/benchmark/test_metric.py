"""The metric of `evaluate`: offline, and the same numbers as the benchmark's own."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score

from benchmark.metric import D3SMetric
from d3s_dataset.taxonomy import background_names


@given(seed=st.integers(0, 1000), n=st.integers(1, 50))
@settings(max_examples=10, deadline=None)
def test_numbers_are_scikit_learns(seed, n):
    rng = np.random.default_rng(seed)
    truth, guess, background = rng.integers(0, 3, n), rng.integers(0, 3, n), rng.integers(0, 10, n)
    found = D3SMetric().compute(predictions=guess, references=truth, backgrounds=background)
    assert found["top1"] == pytest.approx(accuracy_score(truth, guess))
    lowest = []
    for label, name in enumerate(background_names()):
        own = background == label
        assert found[f"n_{name}"] == own.sum()
        if own.any():
            lowest.append(accuracy_score(truth[own], guess[own]))
            assert found[f"top1_{name}"] == pytest.approx(lowest[-1])
        else:
            assert math.isnan(found[f"top1_{name}"])
    assert found["gap"] == pytest.approx(found["top1"] - min(lowest))
    assert found["top1_mean_of_backgrounds"] == pytest.approx(np.mean(lowest))
    assert found[f"top1_{found['worst_background']}"] == pytest.approx(min(lowest))


def test_batches_add_up_and_a_wrong_background_is_refused():
    metric = D3SMetric()
    metric.add_batch(predictions=[1, 2], references=[1, 1], backgrounds=[0, 9])
    metric.add_batch(predictions=[3], references=[3], backgrounds=[9])
    found = metric.compute()
    assert (found["top1"], found["top1_grass"], found["top1_cave"]) == (pytest.approx(2 / 3), 1, 0.5)
    countries = metric.compute(predictions=[1], references=[1], backgrounds=[1], names=["australia", "brazil"])
    assert (countries["top1_brazil"], countries["n_australia"], "top1_grass" in countries) == (1, 0, False)
    with pytest.raises(ValueError, match=r"background labels in 0\.\.9, got 10"):
        metric.compute(predictions=[1], references=[1], backgrounds=[10])
