"""The best of a family of probes: chosen on held-out photos, read on the test photos.

A probe is only as good as its best competitor, so what is readable is what the best of several reads. The maximum on
the test rows themselves is too high by the luck of the choice: it is an upper bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics.bootstrap import cells, resampled
from benchmark.metrics.intervals import RESAMPLES, SEED, Sample

if TYPE_CHECKING:
    from jaxtyping import Bool, Shaped


@dataclass(frozen=True)
class Best:
    """The probe chosen, the share of resamples that choose it, and how much the choice widens the interval, >= 1."""

    probe: str
    picked: float
    wider: float


def best_of(
    held: Mapping[str, Bool[np.ndarray, " h"]],
    right: Mapping[str, Bool[np.ndarray, " m"]],
    sample: Sample,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Best:
    """Return the probe that reads most held-out rows (the first of equals), and what the choice does to its interval.

    Photos are drawn anew for held-out and test rows alike (two-way, as in `metrics.bootstrap`), the choice is repeated
    on each draw, and the probe chosen there is scored on the test rows of that draw. `wider` is the spread of these
    scores over that of the one probe's.

    Args:
        held: of each probe, (h,) whether the label of a held-out row was read.
        right: of each probe, (m,) the same of test rows.
        sample: the h held-out rows followed by the m test rows.
        resamples: how many.
        seed: of the draws.
    """
    kinds = list(held)
    means = np.array([held[kind].mean() for kind in kinds])
    at = int(means.argmax())
    if len(kinds) == 1:
        return Best(kinds[0], 1.0, 1.0)
    group = np.repeat([0, 1], [len(held[kinds[0]]), len(right[kinds[0]])])
    drawn = np.stack([_means(np.concatenate([held[k], right[k]]), group, sample, resamples, seed) for k in kinds])
    drawn = drawn[..., ~np.isnan(drawn).any((0, 1))]
    if drawn.shape[2] < 2:
        return Best(kinds[at], 1.0, 1.0)
    chosen = drawn[:, 0].argmax(0)
    scores, alone = drawn[chosen, 1, np.arange(len(chosen))], drawn[at, 1].std()
    wider = float(scores.std() / alone) if alone > 0 else 1.0
    return Best(kinds[at], float((chosen == at).mean()), max(wider, 1.0))


def _means(
    values: Shaped[np.ndarray, " n"], group: np.ndarray, sample: Sample, resamples: int, seed: int
) -> Shaped[np.ndarray, "2 r"]:
    table = cells(values, sample.foreground_source, sample.background_source, sample.background, group, 2)
    return resampled(table, np.zeros((0, 2)), resamples, seed).mean


def widened(value: float, ends: tuple[float, float], wider: float) -> tuple[float, float]:
    """Return an interval whose halves are that many times as long, within [0, 1]."""
    low, high = (value + wider * (end - value) for end in ends)
    return max(low, 0.0), min(high, 1.0)
