"""Audits of simulated releases whose true share of right images is known: coverage and width of the intervals."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from generation.verify.aggregate.prediction_powered import Estimate, Interval, Predictions, estimates

Release = tuple[np.ndarray, np.ndarray]  # verdicts (N,), and a screen (N,) or several (N, c)
GROUPS, ROWS = 10, 20_000


@dataclass(frozen=True)
class Measured:
    """Coverage of the powered and of the plain interval, and the ratio of their mean widths."""

    covered: float
    plain: float
    width: float


def screened(share: float, correlation: float, generator: np.random.Generator) -> Release:
    """Return verdicts, and a screen whose correlation with them is given: a calibrated probability.

    A beta variable of variance r^2 share (1 - share) has it with verdicts that are right with that probability. At 0 it
    is one of .5 that was dealt to other rows.
    """
    sums = 1 / (correlation or 0.5) ** 2 - 1
    screen = generator.beta(share * sums, (1 - share) * sums, ROWS)
    right = (generator.random(ROWS) < screen).astype(float)
    return right, screen if correlation else generator.permutation(screen)


def noisy(share: float, correlation: float, generator: np.random.Generator) -> Release:
    """Return verdicts, and a screen with Gaussian noise of the same size on both."""
    right = (generator.random(ROWS) < share).astype(float)
    unit = (right - share) / np.sqrt(share * (1 - share))
    mixed = correlation * unit + np.sqrt(1 - correlation**2) * generator.normal(size=ROWS)
    return right, share + (correlation or 0.5) * np.sqrt(share * (1 - share)) * mixed


def measure(draw: Callable[[np.random.Generator], Release], votes: int, repeats: int,
            predict: Callable[..., Predictions | None] | None = None) -> tuple[Measured, Measured]:  # fmt: skip
    """Return what intervals of repeated audits do, overall and per background.

    Args:
        draw: generator -> release.
        votes: images in a sample.
        repeats: number of releases, each with a sample.
        predict: (screens, drawn, verdicts) -> predictions; by default the screen itself.
    """
    generator = np.random.default_rng(0)
    group, one = np.arange(ROWS) % GROUPS, np.zeros(ROWS, int)
    overall: list[tuple[float, Estimate | None]] = []
    each: list[tuple[float, Estimate | None]] = []
    for _ in range(repeats):
        right, screens = draw(generator)
        drawn = generator.choice(ROWS, votes, replace=False)
        verdicts = right[drawn]
        given = predict(screens, drawn, verdicts) if predict else Predictions(screens[None], np.zeros(votes, int))
        overall += zip([right.mean()], estimates(verdicts, drawn, one, 1, given), strict=True)
        truth = [right[group == number].mean() for number in range(GROUPS)]
        each += zip(truth, estimates(verdicts, drawn, group, GROUPS, given), strict=True)
    return _measured(overall), _measured(each)


def _measured(found: list[tuple[float, Estimate | None]]) -> Measured:
    powered = [(truth, each.powered) for truth, each in found if each is not None]
    plain = [(truth, each.plain) for truth, each in found if each is not None]
    return Measured(_covered(powered), _covered(plain), _width(powered) / _width(plain))


def _covered(found: list[tuple[float, Interval]]) -> float:
    return float(np.mean([each.low - 1e-9 <= truth <= each.high + 1e-9 for truth, each in found]))


def _width(found: list[tuple[float, Interval]]) -> float:
    return float(np.mean([each.high - each.low for _, each in found]))
