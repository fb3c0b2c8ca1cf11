"""LDA and kernel ridge against scikit-learn, and refits to other labels against fits from scratch."""

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.kernel_ridge import KernelRidge

from benchmark.probing import probes
from benchmark.probing.probes import kernel, lda, logistic
from benchmark.probing.probes.base import one_hot
from tests.benchmark.probing.test_probes import blobs


def tensors(*arrays):
    return [torch.as_tensor(each) for each in arrays]


@pytest.mark.parametrize("size", [12, 60])
@pytest.mark.parametrize("shrinkage", [1.0, 0.3, 1e-3])
def test_lda_is_scikit_learn_s_for_every_labelling(size, shrinkage):
    """Also of fewer rows (40) than features, where the other Gram matrix is decomposed."""
    x, y, _ = blobs(rows=40, size=size, apart=0.5)
    x, rows = x.astype(np.float64), np.random.default_rng(1).normal(size=(15, size))
    labellings = np.stack([y, y[::-1]])
    found = lda.scatter(torch.as_tensor(x))
    weights, bias = lda.discriminant(found, torch.as_tensor(labellings.copy()), 4, shrinkage)
    for index, labels in enumerate(labellings):
        theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(x, labels)
        ours = (found(torch.as_tensor(rows)) @ weights[index] + bias[index]).softmax(1).numpy()
        np.testing.assert_allclose(ours, theirs.predict_proba(rows), atol=1e-6)


def test_kernel_ridge_is_scikit_learn_s():
    x, y, held = blobs(rows=120, size=5)
    learn, rest = tensors(x[~held], y[~held]), tensors(x[held], y[held])
    found = kernel.kernel(tuple(learn), tuple(rest), tuple(learn), 4, 0)
    width, ridge = (float(each.split()[1]) for each in found.choice.name.split(", "))
    wide = width * kernel._median(learn[0])
    share = one_hot(learn[1], 4).mean(0).numpy()
    theirs = KernelRidge(alpha=ridge, kernel="rbf", gamma=1 / (2 * wide**2))
    theirs.fit(learn[0].double().numpy(), one_hot(learn[1], 4).numpy() - share)
    expected = theirs.predict(rest[0].double().numpy()) + share
    np.testing.assert_allclose(found.read(rest[0]).numpy(), expected, atol=1e-7)
    np.testing.assert_allclose(found.held.numpy(), expected, atol=1e-7)  # by the eigendecomposition


def test_kernel_ridge_learns_from_some_rows_where_there_are_many_and_says_so(monkeypatch):
    x, y, held = blobs(rows=400)
    assert "learnt from" not in probes.fit("kernel", x, y, held, classes=4).report.ending
    monkeypatch.setattr(kernel, "MOST", 100)
    report = probes.fit("kernel", x, y, held, classes=4).report
    assert "learnt from 100 of 400 rows, drawn by the seed" in report.ending


def test_several_labellings_are_fitted_together_as_one_by_one():
    x, y, _ = blobs(rows=200, size=20, apart=0.4)
    labels = torch.as_tensor(np.stack([y, np.roll(y, 7), y[::-1]]))
    together = logistic.solve_all(torch.as_tensor(x), labels, 4, 1e-2)
    for index, each in enumerate(labels):
        alone = logistic.solve(torch.as_tensor(x), each, 4, 1e-2).weights
        assert float((together[:, index] - alone).abs().max()) < 0.02


@pytest.mark.parametrize("kind", ["linear", "lda", "knn", "kernel"])
def test_a_refit_to_other_labels_is_a_fit_of_the_same_choice(kind, monkeypatch):
    x, y, held = blobs(rows=240, apart=0.7)
    probe = probes.fit(kind, x[:200], y[:200], held[:200], classes=4)
    other = np.roll(y, 3)[:200]
    found = probe.again(x[:200], np.stack([y[:200], other]), ~held[:200], held[:200], x[200:])
    assert found.shape == (2, 40)
    assert (found[0] == probe(x[200:]).argmax(1)).mean() >= 0.97  # linear: to a looser gradient
    if kind == "lda":  # which chooses anew
        assert (found[1] == probes.fit(kind, x[:200], other, held[:200], classes=4)(x[200:]).argmax(1)).all()
        return
    grid = {"linear": "L2", "knn": "NEIGHBOURS", "kernel": "WIDTHS"}[kind]
    first, *rest = (float(part.split()[1]) for part in probe.report.chosen.split(", "))
    monkeypatch.setattr(f"benchmark.probing.probes.{kind}.{grid}", (int(first) if kind == "knn" else first,))
    if rest:
        monkeypatch.setattr(kernel, "RIDGES", tuple(rest))
    anew = probes.fit(kind, x[:200], other, held[:200], classes=4)
    assert (found[1] == anew(x[200:]).argmax(1)).mean() >= 0.97
