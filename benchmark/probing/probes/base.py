"""Shared parts of probes: the report of a choice, calibration, and the test for an optimum on the edge of a grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch.nn import functional

if TYPE_CHECKING:
    from jaxtyping import Float, Int

BETTER = 1e-3  # nats by which an edge must beat what lies next to it
AT_EDGE = ", at the edge of its grid"
_COLDEST, _HOTTEST = -6.0, 6.0  # natural logarithm of a temperature

Reader = Callable[[torch.Tensor], torch.Tensor]  # (m, d) standardised features -> (m, k) logits
Labelled = tuple[torch.Tensor, torch.Tensor]  # (n, d) standardised features, (n,) labels
# (n, d) training rows, (r, n) labellings, (n,) rows to learn from and held out, (m, d) rows -> (r, m) classes read
Refit = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Choice:
    """Hyperparameter chosen on held-out rows: its name, the loss there in nats, the temperature, how the fit ended."""

    name: str
    loss: float
    temperature: float
    converged: bool = True
    ending: str = ""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted probe.

    Attributes:
        choice: of hyperparameters.
        held: (h, k) logits of the held-out rows, from the fit to `learn` with that choice.
        read: the fit to all training rows.
        again: fits other labellings of those rows with the same choice, without a search: for permutation nulls. LDA
            alone chooses anew, which costs little in closed form.
    """

    choice: Choice
    held: Float[torch.Tensor, "h k"]
    read: Reader
    again: Refit


class Fit(Protocol):
    """A function that fits one kind of probe."""

    def __call__(self, learn: Labelled, held: Labelled, whole: Labelled, classes: int, seed: int) -> Fitted:
        """Choose by learning from `learn` and looking at `held`, then fit to `whole`.

        Args:
            learn: rows to learn from while choosing.
            held: rows to choose on.
            whole: all training rows.
            classes: k; some may have no row.
            seed: of whatever is drawn.
        """
        ...


def one_by_one(fit: Callable[[Labelled], Reader]) -> Refit:
    """Return a refit that fits each labelling anew.

    Args:
        fit: rows and labels to a reader.
    """
    return lambda features, labels, _learn, _held, rows: torch.stack(
        [fit((features, each))(rows).argmax(1) for each in labels]
    )


def one_hot(labels: Int[torch.Tensor, "*shape"], classes: int) -> Float[torch.Tensor, "*shape k"]:
    """Return (..., k) float64 indicators of labels."""
    return functional.one_hot(labels, classes).double()


def on_edge(losses: Sequence[float], natural: int | None = None) -> bool:
    """Return whether the lowest of a grid's losses is its first or last one, and falls towards it by `BETTER` or more.

    Where the last two are equally good the loss has levelled off: nothing lies beyond.

    Args:
        losses: two or more, in nats, in the grid's order.
        natural: number of an end beyond which nothing can lie.
    """
    at = int(np.argmin(losses))
    inner = {0: 1, len(losses) - 1: len(losses) - 2}.get(at)
    return inner is not None and at != natural and bool(losses[inner] - losses[at] >= BETTER)


def calibrate(logits: Float[torch.Tensor, "m k"], labels: Int[torch.Tensor, " m"]) -> tuple[float, float]:
    """Return the lowest cross-entropy in nats that a temperature gives (m, k) logits, and that temperature."""
    logits = logits.double()

    def loss(heat: float) -> float:
        return float(functional.cross_entropy(logits / np.exp(heat), labels))

    found = minimize_scalar(loss, bounds=(_COLDEST, _HOTTEST), method="bounded")
    return float(found.fun), float(np.exp(found.x))
