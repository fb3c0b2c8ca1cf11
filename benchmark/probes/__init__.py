"""Probes on arrays: what can be read from features, by readers of three kinds. They know nothing of releases.

Torch half. Every probe standardises features on its training rows, chooses what there is to choose on held-out rows by
their cross-entropy, takes from the same rows the temperature that calibrates it (Guo et al., arXiv 1706.04599), and is
then fitted once more, to all training rows. Held-out rows must differ from the others in what test rows will differ in:
where tests are on unseen photos, whole photos are held out (`folds`).

A weak probe looks like absence, so each reports how it ended: `Report.converged` is false where a linear probe's
gradient is above `logistic.TOLERANCE`, where a network was still getting better at its last epoch, and where the best
L2 or number of neighbours lies on its grid's edge (`on_edge`): the optimum may lie beyond. `against_linear` marks a
network that reads less than the linear probe on the same rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch.nn import functional

from benchmark.probes import logistic, mlp
from d3s_dataset.errors import ResultError

L2 = tuple(10.0**power for power in range(3, -9, -1))  # of a linear probe, strongest first
NEIGHBOURS = (1, 3, 5, 10, 20, 50, 100, 200, 500)
BETTER = 1e-3  # nats by which an edge must beat what lies next to it
_CHUNK = 1024  # rows compared with all others at once
_ROUNDING = 1e-6
_COLDEST, _HOTTEST = -4.0, 6.0  # natural logarithm of a temperature

_EDGE = ", at the edge of its grid"

Reader = Callable[[torch.Tensor], torch.Tensor]
_Rows = tuple[torch.Tensor, torch.Tensor]  # features, labels
_Fit = Callable[[_Rows, _Rows, _Rows, int, int], tuple["_Choice", Reader]]


@dataclass(frozen=True)
class Report:
    """How a fit ended: what was chosen on held-out rows, and one line on convergence."""

    kind: str
    converged: bool
    chosen: str
    ending: str
    temperature: float


@dataclass(frozen=True, eq=False)
class Probe:
    """A fitted probe of k classes."""

    report: Report
    _mean: torch.Tensor
    _scale: torch.Tensor
    _read: Reader

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return calibrated probabilities, (m, k) float64, of (m, d) features."""
        rows = torch.as_tensor(features, dtype=self._mean.dtype, device=self._mean.device)
        logits = self._read((rows - self._mean) / self._scale).double() / self.report.temperature
        return logits.softmax(1).cpu().numpy()


def fit(
    kind: str,
    features: np.ndarray,
    labels: np.ndarray,
    held: np.ndarray,
    *,
    classes: int,
    learn: np.ndarray | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> Probe:
    """Fit a probe.

    Args:
        kind: one of `KINDS`.
        features: (n, d) floats of the training rows.
        labels: (n,) int in 0..classes-1.
        held: (n,) bool, the rows to choose on.
        classes: k; some may have no row.
        learn: (n,) bool, the rows to learn from while choosing; without, those not held out.
        seed: of the network's weights and order.
        device: where.

    Raises:
        ResultError: an unknown kind, nothing held out or nothing left, or fewer than two classes.
    """
    check(kind)
    learn = ~held if learn is None else learn
    if not held.any() or not learn.any() or len(np.unique(labels)) < 2:
        raise ResultError(
            f"a probe needs two classes, and rows to learn from and to choose on: got {len(np.unique(labels))} "
            f"classes, {int(learn.sum())} and {int(held.sum())} rows"
        )
    rows = torch.as_tensor(features, dtype=torch.float32, device=device)
    truth = torch.as_tensor(labels, dtype=torch.int64, device=device)
    mean, scale = rows.mean(0), rows.std(0)
    # What is left of a constant feature is rounding, which must not become as large as the others.
    scale = torch.where(scale > _ROUNDING * mean.abs(), scale, torch.ones_like(scale))
    rows = (rows - mean) / scale
    parts = [(rows[each], truth[each]) for each in (torch.as_tensor(learn), torch.as_tensor(held))]
    chosen, read = _FITS[kind](parts[0], parts[1], (rows, truth), classes, seed)
    report = Report(kind, chosen.converged, chosen.name, chosen.ending, chosen.temperature)
    return Probe(report, mean, scale, read)


def check(kind: str) -> None:
    """Raise ResultError for an unknown kind of probe."""
    if kind not in KINDS:
        raise ResultError(f"unknown probe {kind!r}: expected {', '.join(KINDS)}")


@dataclass(frozen=True)
class _Choice:
    name: str
    loss: float
    temperature: float
    converged: bool = True
    ending: str = ""


def _linear(learn: _Rows, held: _Rows, whole: _Rows, classes: int, seed: int) -> tuple[_Choice, Reader]:
    best, chosen, start, near = _Choice("", float("inf"), 1.0), L2[0], None, None
    losses, least = [], False
    for l2 in L2:
        start = logistic.solve(*learn, classes, l2, start).weights
        loss, temperature = calibrate(torch.addmm(start[-1], held[0], start[:-1]), held[1])
        losses.append(loss)
        if loss < best.loss:
            best, chosen, near = _Choice(f"l2 {l2:g}", loss, temperature), l2, start
        if least := negligible(start, l2):
            break
    found = logistic.solve(*whole, classes, chosen, near)
    edge = on_edge(losses, len(losses) - 1 if least else None)
    ending = f"gradient norm {found.gradient:.1e} after {found.iterations} iterations" + _EDGE * edge
    return _Choice(best.name, best.loss, best.temperature, found.converged and not edge, ending), found.logits


def _knn(learn: _Rows, held: _Rows, whole: _Rows, classes: int, seed: int) -> tuple[_Choice, Reader]:
    best, chosen, losses = _Choice("", float("inf"), 1.0), NEIGHBOURS[0], []
    near = _nearest(held[0], learn, NEIGHBOURS[-1])
    for count in NEIGHBOURS:
        loss, temperature = calibrate(_votes(near, count, classes), held[1])
        losses.append(loss)
        if loss < best.loss:
            best, chosen = _Choice(f"k {count}", loss, temperature, ending="nothing to converge"), count
    if on_edge(losses, 0):  # fewer than one neighbour there cannot be
        best = replace(best, converged=False, ending=best.ending + _EDGE)
    return best, lambda rows: _votes(_nearest(rows, whole, chosen), chosen, classes)


def _nearest(rows: torch.Tensor, among: _Rows, count: int) -> torch.Tensor:
    """Return the (m, count) labels of the rows most alike by cosine, nearest first."""
    others = functional.normalize(among[0], dim=1).T
    alike = (functional.normalize(part, dim=1) @ others for part in rows.split(_CHUNK))
    return torch.cat([among[1][part.topk(min(count, len(among[1]))).indices] for part in alike])


def _votes(near: torch.Tensor, count: int, classes: int) -> torch.Tensor:
    """Return log shares of the votes of the first `count` neighbours; one vote more is spread over all classes."""
    near = near[:, :count]
    one = torch.ones(near.shape, device=near.device)
    votes = torch.zeros(len(near), classes, device=near.device).scatter_add_(1, near, one)
    return ((votes + 1 / classes) / (near.shape[1] + 1)).log()


def _mlp(learn: _Rows, held: _Rows, whole: _Rows, classes: int, seed: int) -> tuple[_Choice, Reader]:
    found = mlp.train(*learn, classes, seed, held)
    loss, temperature = calibrate(found.logits(held[0]), held[1])
    epochs = max(1, found.epochs)
    ending = f"held-out loss {found.loss:.3f} at epoch {found.epochs}, {'' if found.stopped else 'still '}the lowest"
    again = mlp.train(*whole, classes, seed, epochs=epochs)
    return _Choice(f"{epochs} epochs", loss, temperature, found.stopped, ending), again.logits


def on_edge(losses: Sequence[float], natural: int | None = None) -> bool:
    """Return whether the lowest of a grid's losses is its first or last one, and falls towards it by `BETTER` or more.

    Where the last two are equally good the loss has levelled off: nothing lies beyond.

    Args:
        losses: two or more, in nats, in the grid's order.
        natural: number of an end beyond which nothing can lie.
    """
    at = int(np.argmin(losses))
    inner = {0: 1, len(losses) - 1: len(losses) - 2}.get(at)
    return inner is not None and at != natural and losses[inner] - losses[at] >= BETTER


def negligible(weights: torch.Tensor, l2: float) -> bool:
    """Return whether a penalty's gradient is below the solver's tolerance: weaker ones add nothing."""
    return l2 * float(weights[:-1].norm()) < logistic.TOLERANCE


def against_linear(report: Report, right: float, linear: float) -> Report:
    """Return a network's report, not converged where it reads less than the linear probe on the same rows.

    A network contains every linear reader, so it has not found what is there to be found.

    Args:
        report: of a probe of any kind; only a network's changes.
        right: its accuracy.
        linear: that of the linear probe, on the same rows.
    """
    if report.kind != "mlp" or right >= linear:
        return report
    ending = (
        f"{report.ending}, below the linear probe on the same rows ({100 * right:.1f} against {100 * linear:.1f} %)"
    )
    return replace(report, converged=False, ending=ending)


def calibrate(logits: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
    """Return the lowest cross-entropy in nats that a temperature gives (m, k) logits, and that temperature."""
    logits = logits.double()

    def loss(heat: float) -> float:
        return float(functional.cross_entropy(logits / np.exp(heat), labels))

    found = minimize_scalar(loss, bounds=(_COLDEST, _HOTTEST), method="bounded")
    return float(found.fun), float(np.exp(found.x))


_FITS: dict[str, _Fit] = {"linear": _linear, "knn": _knn, "mlp": _mlp}
KINDS = tuple(_FITS)
