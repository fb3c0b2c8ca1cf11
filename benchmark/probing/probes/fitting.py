"""Fitting one of the probes on arrays. Probes are independent of releases.

Torch half. Every probe standardises features on its training rows, chooses what there is to choose on held-out rows by
their cross-entropy, takes from the same rows the temperature that calibrates it (Guo et al., arXiv 1706.04599), and is
then fitted once more, to all training rows. Held-out rows must differ from the others in what test rows will differ in:
where tests are on unseen photos, whole photos are held out (`folds`).

A weak probe looks like absence, so each reports how it ended: `Report.converged` is false where a linear probe's
gradient is above `logistic.TOLERANCE`, where a network was still getting better at its last epoch, and where the best
L2, shrinkage, ridge, width or number of neighbours lies on its grid's edge (`base.on_edge`): the optimum may be beyond.
`against_linear` marks a network that reads less than the linear probe on the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmark.probing.probes.base import Reader, Refit
from benchmark.probing.registry import PROBES
from d3s_dataset.errors import ResultError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

_ROUNDING = 1e-6


@dataclass(frozen=True)
class Report:
    """Report of a fit: what was chosen on held-out rows, and one line on convergence."""

    kind: str
    converged: bool
    chosen: str
    ending: str
    temperature: float


@dataclass(frozen=True, eq=False)
class Refitter:
    """Refit of a probe to other labellings of its training rows, which it does not hold itself."""

    _mean: torch.Tensor
    _scale: torch.Tensor
    _again: Refit

    def __call__(
        self,
        train: Float[np.ndarray, "n d"],
        labels: Int[np.ndarray, "r n"],
        learn: Bool[np.ndarray, " n"],
        held: Bool[np.ndarray, " n"],
        test: Float[np.ndarray, "m d"],
    ) -> Int[np.ndarray, "r m"]:
        """Return the classes read from test rows after a fit to each labelling, with the hyperparameters of the probe.

        LDA alone chooses its shrinkage anew for each labelling.

        Args:
            train: (n, d) the training rows of the probe.
            labels: (r, n) int in 0..classes-1.
            learn: (n,) bool, the rows to learn from while choosing.
            held: (n,) bool, the rows to choose on.
            test: (m, d) features.
        """
        truth = torch.as_tensor(labels, dtype=torch.int64, device=self._mean.device)
        one, other = (torch.as_tensor(each, device=self._mean.device) for each in (learn, held))
        return self._again(self.standard(train), truth, one, other, self.standard(test)).cpu().numpy()

    def standard(self, features: Float[np.ndarray, "m d"]) -> torch.Tensor:
        """Return (m, d) features by mean and deviation of the training rows."""
        rows = torch.as_tensor(features, dtype=self._mean.dtype, device=self._mean.device)
        return (rows - self._mean) / self._scale


@dataclass(frozen=True, eq=False)
class Probe:
    """A fitted probe of k classes; `held` is the (h,) classes read from the held-out rows by the fit to the others."""

    report: Report
    held: Int[np.ndarray, " h"]
    again: Refitter
    _read: Reader

    def __call__(self, features: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "m k"]:
        """Return calibrated probabilities, (m, k) float64, of (m, d) features."""
        logits = self._read(self.again.standard(features)).double() / self.report.temperature
        return logits.softmax(1).cpu().numpy()


def fit(
    kind: str,
    features: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"],
    held: Bool[np.ndarray, " n"],
    *,
    classes: int,
    learn: Bool[np.ndarray, " n"] | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> Probe:
    """Fit a probe.

    Args:
        kind: one of `registry.PROBES`.
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
    found = PROBES[kind](parts[0], parts[1], (rows, truth), classes, seed)
    chosen = found.choice
    report = Report(kind, chosen.converged, chosen.name, chosen.ending, chosen.temperature)
    return Probe(report, found.held.argmax(1).cpu().numpy(), Refitter(mean, scale, found.again), found.read)


def check(kind: str) -> None:
    """Raise ResultError for an unknown kind of probe."""
    if kind not in PROBES:
        raise ResultError(f"unknown probe {kind!r}: expected {', '.join(PROBES)}")


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
