"""The linear probe beside scikit-learn's, on as many rows, features and classes as a release has: time and loss."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from benchmark.probing.probes import logistic
from tests.bench.compare import compare

pytestmark = pytest.mark.bench
ROWS, SIZE, CLASSES, L2 = 20_000, 1280, 200, 1e-3


def features() -> tuple[np.ndarray, np.ndarray]:
    """Return standardised float32 features like a network's (correlated, cut at 0), and labels."""
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(SIZE, SIZE)) * (np.arange(1, SIZE + 1) ** -0.5)[:, None]
    labels = rng.integers(0, CLASSES, ROWS)
    values = np.maximum((0.6 * rng.normal(size=(CLASSES, SIZE))[labels] + rng.normal(size=(ROWS, SIZE))) @ mix, 0)
    return ((values - values.mean(0)) / values.std(0)).astype(np.float32), labels


def loss(x: np.ndarray, y: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> float:
    logits = torch.as_tensor(x.astype(np.float64) @ weights + bias)
    return float(torch.nn.functional.cross_entropy(logits, torch.as_tensor(y)) + L2 / 2 * np.square(weights).sum())


def test_the_linear_probe_beside_scikit_learn():
    x, y = features()
    found: dict[str, float] = {}

    def ours() -> None:
        weights = logistic.solve(torch.as_tensor(x), torch.as_tensor(y), CLASSES, L2).weights.double().numpy()
        found["ours"] = loss(x, y, weights[:-1], weights[-1])

    def theirs() -> None:
        made = LogisticRegression(C=1 / (L2 * ROWS), tol=1e-6, max_iter=5000).fit(x, y)
        found["theirs"] = loss(x, y, made.coef_.T.astype(np.float64), made.intercept_.astype(np.float64))

    compare(
        f"logistic regression, {ROWS} x {SIZE}, {CLASSES} classes, float32",
        1,
        **{"scikit-learn, tol=1e-6": theirs, f"ours, gradient norm {logistic.TOLERANCE:g}": ours},
    )
    print(f"  loss: scikit-learn {found['theirs']:.7f}, ours {found['ours']:.7f}")
    assert found["ours"] - found["theirs"] < 1e-4


def test_the_linear_loss_in_float64_is_scikit_learn_s_at_its_end():
    x, y = features()
    found = logistic.solve(torch.as_tensor(x, dtype=torch.float64), torch.as_tensor(y), CLASSES, L2)
    made = LogisticRegression(C=1 / (L2 * ROWS), tol=1e-8, max_iter=5000).fit(x.astype(np.float64), y)
    theirs = loss(x, y, made.coef_.T, made.intercept_)
    print(f"\nloss in float64: scikit-learn at tol=1e-8 {theirs:.7f}, ours {found.loss:.7f}")
    assert found.converged
    assert found.loss - theirs == pytest.approx(0, abs=1e-4)
