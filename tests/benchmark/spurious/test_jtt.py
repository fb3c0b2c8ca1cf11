"""Just train twice: errors of a first head count more often for a second one."""

import numpy as np
import pytest
import torch

from benchmark.probing.probes import logistic
from benchmark.spurious import last_layer


def shortcut(rows: int, conflicting: int, seed: int = 0):
    """Two classes by a weak feature of their own and a strong one that follows the class but on conflicting rows."""
    rng = np.random.default_rng(seed)
    labels, groups = np.arange(rows) % 2, np.zeros(rows, int)
    attribute = labels.copy()
    attribute[:conflicting] = 1 - attribute[:conflicting]
    groups = 2 * labels + (attribute == labels)
    features = np.stack([1.0 * (2 * labels - 1), 3.0 * (2 * attribute - 1)], 1) + rng.normal(size=(rows, 2))
    return np.hstack([features, rng.normal(size=(rows, 6))]).astype(np.float32), labels, groups


def test_a_weight_is_that_many_copies_of_the_row():
    features, labels, _ = shortcut(120, 10)
    weight = np.where(np.arange(120) % 3 == 0, 4, 1)
    copies = np.repeat(np.arange(120), weight)
    rows, truth = torch.from_numpy(features).double(), torch.from_numpy(labels)
    start = torch.zeros(9, 2, dtype=torch.float64)
    found = last_layer._weighted(rows, truth, torch.from_numpy(weight).double(), 2, 0.01, start)
    expected = logistic.solve(rows[copies], truth[copies], 2, 0.01)
    assert found.converged
    np.testing.assert_allclose(found.weights, expected.weights, atol=1e-3)
    assert found.loss == pytest.approx(expected.loss, abs=1e-6)


def test_the_worst_group_gains_where_some_rows_are_conflicting():
    features, labels, groups = shortcut(600, 40)
    test, truth, theirs = shortcut(4000, 2000, seed=1)
    heads = {
        "plain": last_layer.plain(features, labels, np.arange(600), 2, 0)(test).argmax(1),
        "jtt": last_layer.jtt(features, labels, groups, np.arange(600), 2, 0)(test),
    }
    worst = {name: min((said == truth)[theirs == each].mean() for each in range(4)) for name, said in heads.items()}
    assert worst["jtt"] > worst["plain"] + 0.1


def test_a_first_head_without_errors_leaves_a_plain_head():
    features, labels, groups = shortcut(300, 0)
    features[:, 1] *= 4  # no row is on the other side
    test = shortcut(500, 250, seed=1)[0]
    photo = np.arange(300)
    said = last_layer.jtt(features, labels, groups, photo, 2, 0)(test)
    assert (said == last_layer.plain(features, labels, photo, 2, 0)(test).argmax(1)).mean() > 0.99
    assert np.array_equal(said, last_layer.jtt(features, labels, groups, photo, 2, 0)(test))
