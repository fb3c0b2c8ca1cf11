"""Inter-annotator agreement: Krippendorff's alpha for nominal answers, with a bootstrap interval. Pure.

Krippendorff, "Content Analysis" (2004), chapter 11: alpha = 1 - observed / expected disagreement, where an item with
m answers has weight m and every pair of its answers 1 / (m - 1). Items with fewer than two answers do not count.
"""

from collections.abc import Iterable, Sequence

import numpy as np

_RESAMPLES = 1000


def table(answers: Iterable[tuple[str, str]], options: Sequence[str]) -> np.ndarray:
    """Return the answer counts per item, int (items, options), from (item, answer) pairs."""
    rows: dict[str, np.ndarray] = {}
    column = {option: number for number, option in enumerate(options)}
    for item, answer in answers:
        rows.setdefault(item, np.zeros(len(options), int))[column[answer]] += 1
    return np.stack([rows[item] for item in sorted(rows)]) if rows else np.zeros((0, len(options)), int)


def alpha(counts: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return Krippendorff's alpha of a `table`; NaN where undefined (no pairs, or a single answer value).

    Args:
        counts: int (items, options).
        weights: weight per item, float (items,); None is 1 for all.
    """
    answers = counts.sum(1)
    pairable = answers >= 2
    counts, answers = counts[pairable], answers[pairable]
    weight = np.ones(len(counts)) if weights is None else weights[pairable]
    total = float((weight * answers).sum())
    if total == 0:
        return float("nan")
    disagreeing = (answers**2 - (counts**2).sum(1)) / (answers - 1)
    observed = float((weight * disagreeing).sum()) / total
    marginals = (weight[:, None] * counts).sum(0)
    expected = float(total**2 - (marginals**2).sum()) / (total * (total - 1))
    return 1 - observed / expected if expected > 0 else float("nan")


def interval(counts: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of alpha over 1,000 resamples of the items; NaN where undefined."""
    generator = np.random.default_rng(seed)
    items = len(counts)
    if items == 0:
        return float("nan"), float("nan")
    drawn = generator.multinomial(items, np.full(items, 1 / items), size=_RESAMPLES).astype(float)
    found = np.array([alpha(counts, weights) for weights in drawn])
    found = found[~np.isnan(found)]
    if not len(found):
        return float("nan"), float("nan")
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)
