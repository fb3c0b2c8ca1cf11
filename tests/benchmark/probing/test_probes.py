"""Probes against scikit-learn, on data whose answer is known, and in what may not change them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from benchmark.probing import probes
from benchmark.probing.probes import logistic, mlp
from benchmark.probing.registry import PROBES
from d3s_dataset.errors import ResultError


def blobs(seed: int = 0, rows: int = 600, size: int = 12, classes: int = 4, apart: float = 1.0):
    """Gaussian classes around random centres: float32 features, labels, and a fifth of the rows held out."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    features = apart * rng.normal(size=(classes, size))[labels] + rng.normal(size=(rows, size))
    return features.astype(np.float32), labels, rng.random(rows) < 0.2


def objective(features, labels, weights, bias, l2) -> float:
    logits = torch.as_tensor(features @ weights + bias, dtype=torch.float64)
    loss = torch.nn.functional.cross_entropy(logits, torch.as_tensor(labels))
    return float(loss + l2 / 2 * np.square(weights).sum())


@pytest.mark.parametrize("l2", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_the_linear_loss_is_scikit_learn_s(l2, kind):
    x, y, _ = blobs(rows=800, size=40, classes=6, apart=0.3)
    x = x.astype(np.float64)
    found = logistic.solve(torch.as_tensor(x, dtype=kind), torch.as_tensor(y), 6, l2)
    theirs = LogisticRegression(C=1 / (l2 * len(x)), tol=1e-8, max_iter=5000).fit(x, y)
    weights = found.weights.double().numpy()
    ours = objective(x, y, weights[:-1], weights[-1], l2)
    assert found.converged
    assert ours == pytest.approx(found.loss, abs=1e-5)
    assert ours - objective(x, y, theirs.coef_.T, theirs.intercept_, l2) == pytest.approx(0, abs=1e-4)


def test_a_linear_probe_that_may_not_finish_says_so(monkeypatch):
    x, y, held = blobs()
    assert probes.fit("linear", x, y, held, classes=4).report.converged
    monkeypatch.setattr(logistic, "LIMIT", 2)
    report = probes.fit("linear", x, y, held, classes=4).report
    assert not report.converged
    assert "after 2 iterations" in report.ending


def test_a_network_still_getting_better_says_so(monkeypatch):
    x, y, held = blobs(rows=300, apart=0.5)
    assert probes.fit("mlp", x, y, held, classes=4).report.converged
    monkeypatch.setattr(mlp, "EPOCHS", 2)
    assert not probes.fit("mlp", x, y, held, classes=4).report.converged


@pytest.mark.parametrize(
    ("kind", "grid", "narrow"),
    [("linear", "L2", (1e-4, 1e-5)), ("linear", "L2", (1e3, 1e2)), ("knn", "NEIGHBOURS", (1, 3))],
)
def test_a_choice_at_the_edge_of_its_grid_is_no_optimum(monkeypatch, kind, grid, narrow):
    """Weak signals: the best L2 and number of neighbours lie inside the full grids, and beyond the narrow ones."""
    x, y, held = blobs(rows=400, size=60, apart=0.2)
    report = probes.fit(kind, x, y, held, classes=4).report
    assert report.converged
    monkeypatch.setattr(f"benchmark.probing.probes.{kind}.{grid}", narrow)
    report = probes.fit(kind, x, y, held, classes=4).report
    assert not report.converged
    assert "at the edge of its grid" in report.ending


def test_an_edge_beyond_which_nothing_lies_is_none():
    assert probes.on_edge([1.0, 1.1, 1.2])
    assert probes.on_edge([1.2, 1.1, 1.0])
    assert not probes.on_edge([1.2, 1.0, 1.1])
    assert not probes.on_edge([1.0, 1.0005, 1.2])  # levelled off
    assert not probes.on_edge([1.0, 1.1, 1.2], 0)
    assert probes.on_edge([1.2, 1.1, 1.0], 0)
    assert not probes.on_edge([1.0])
    weights = torch.ones(5, 4)
    assert probes.negligible(weights, 1e-6)
    assert not probes.negligible(weights, 1e-3)


@pytest.mark.parametrize("apart", [0.0, 5.0])
def test_neither_noise_nor_what_is_far_apart_ends_at_an_edge(apart):
    """No L2 is too strong for noise, none too weak for classes that nothing mixes: that is convergence."""
    x, y, held = blobs(rows=500, size=30, apart=apart)
    assert probes.fit("linear", x, y, held, classes=4).report.converged


def test_nearest_neighbours_are_scikit_learn_s():
    x, y, held = blobs(apart=0.6)
    probe = probes.fit("knn", x[:500], y[:500], held[:500], classes=4)
    count = int(probe.report.chosen.split()[1])
    z = (x - x[:500].mean(0)) / x[:500].std(0, ddof=1)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    theirs = KNeighborsClassifier(count, algorithm="brute").fit(z[:500], y[:500])
    votes = theirs.predict_proba(z[500:])
    best = probe(x[500:]).argmax(1)
    # Ties between classes may fall either way.
    np.testing.assert_allclose(votes[np.arange(100), best], votes.max(1), atol=1e-6)


@pytest.mark.parametrize("kind", list(PROBES))
def test_a_probe_reads_what_is_there_and_not_what_is_not(kind):
    x, y, held = blobs(rows=1200, apart=1.5)
    rng = np.random.default_rng(1)
    for labels, least, most in ((y, 0.9, 1.0), (rng.integers(0, 4, len(y)), 0.15, 0.35)):
        probe = probes.fit(kind, x[:900], labels[:900], held[:900], classes=4)
        made = probe(x[900:])
        np.testing.assert_allclose(made.sum(1), 1, atol=1e-9)
        assert least <= (made.argmax(1) == labels[900:]).mean() <= most
        loss = -np.log(made[np.arange(300), labels[900:]]).mean()
        assert loss < np.log(4) + 0.03  # calibrated: knowing nothing costs no more than chance


@pytest.mark.parametrize("kind", list(PROBES))
def test_the_same_seed_gives_the_same_probe_and_the_library_s_state_stays(kind):
    x, y, held = blobs()
    before = torch.random.get_rng_state()
    one, two = (probes.fit(kind, x, y, held, classes=4, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one(x), two(x))
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_network_beats_a_line_where_only_it_can():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1500, 6)).astype(np.float32)
    y, held = (x[:, 0] * x[:, 1] > 0).astype(int), rng.random(1500) < 0.2
    right = {}
    for kind in ("linear", "mlp"):
        made = probes.fit(kind, x[:1100], y[:1100], held[:1100], classes=2)(x[1100:])
        right[kind] = (made.argmax(1) == y[1100:]).mean()
    assert right["linear"] < 0.6
    assert right["mlp"] > 0.85


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-100, 100))
def test_scale_and_shift_of_features_do_not_matter(scale, shift):
    x, y, held = blobs(rows=200)
    wide = (x.astype(np.float64) * scale + shift * scale).astype(np.float32)
    one, two = (probes.fit("linear", each, y, held, classes=4)(each) for each in (x, wide))
    np.testing.assert_allclose(one, two, atol=0.02)


def test_a_constant_feature_and_a_class_without_rows_do_no_harm():
    x, y, held = blobs()
    x[:, 0] = 0.1
    for kind in PROBES:
        made = probes.fit(kind, x, y, held, classes=6)(x)
        assert np.isfinite(made).all()
        assert made.shape == (600, 6)
        assert made[:, 4:].max() < 0.2


def test_calibration_is_the_best_of_a_grid():
    rng = np.random.default_rng(0)
    logits = torch.as_tensor(rng.normal(size=(400, 5)) * 8)
    labels = torch.as_tensor(rng.integers(0, 5, 400))
    labels[:150] = logits[:150].argmax(1)
    loss, temperature = probes.calibrate(logits, labels)
    grid = [float(torch.nn.functional.cross_entropy(logits / t, labels)) for t in np.geomspace(0.1, 100, 400)]
    assert loss <= min(grid) + 1e-6
    assert loss == pytest.approx(float(torch.nn.functional.cross_entropy(logits / temperature, labels)), abs=1e-9)


@pytest.mark.parametrize("bad", ["kind", "held", "classes"])
def test_what_no_probe_can_be_fitted_on_is_refused(bad):
    x, y, held = blobs()
    expected = {
        "kind": "expected linear, lda, knn, kernel, mlp",
        "held": "rows to learn from",
        "classes": "two classes",
    }[bad]
    with pytest.raises(ResultError, match=expected):
        probes.fit(
            "svm" if bad == "kind" else "knn",
            x,
            np.zeros_like(y) if bad == "classes" else y,
            np.zeros_like(held) if bad == "held" else held,
            classes=4,
        )
