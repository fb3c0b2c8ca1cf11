"""Audits of simulated releases: coverage of the 95 % intervals, and their width against the plain ones.

Each cell is repeated on releases of 20,000 images, 10 backgrounds; `-s` prints the tables as Markdown.
"""

from functools import partial

import numpy as np
import pytest

from d3s_dataset.utils.tables import markdown_table
from generation.verify.aggregate.screens import predictions
from tests.support.audits import ROWS, Measured, Release, measure, noisy, screened

pytestmark = pytest.mark.bench
SHARES, CORRELATIONS, VOTES = (0.6, 0.7, 0.8, 0.9, 0.97), (0.0, 0.3, 0.5, 0.7, 0.8), (200, 600, 2000)
REPEATS = 1000
HEADINGS = ["share", "correlation", "votes", *(f"{what}: {each}" for what in ("overall", "per background")
                                              for each in ("covered", "plain", "width"))]  # fmt: skip
EXPECTED = {0.5: 0.866, 0.7: 0.714}  # sqrt(1 - r^2)


def line(*of: object, cells: tuple[Measured, Measured]) -> list[str]:
    numbers = [f"{value:.1%}" for each in cells for value in (each.covered, each.plain, each.width)]
    return [str(each) for each in of] + numbers


def within(cells: tuple[Measured, Measured], slack: float) -> bool:
    """Whether both cover 93 to 97 %, give or take three standard errors of what was repeated."""
    return all(0.93 - slack <= each.covered <= 0.97 + slack for each in cells)


@pytest.mark.parametrize("draw", [screened, noisy], ids=lambda draw: draw.__name__)
def test_coverage_and_width(draw):
    rows, odd = [], []
    for share in SHARES:
        for correlation in CORRELATIONS:
            for votes in VOTES:
                cells = measure(partial(draw, share, correlation), votes, REPEATS)
                rows.append(line(share, correlation, votes, cells=cells))
                wide = 1.02 if correlation == 0 else EXPECTED.get(correlation, 1) + 0.05
                if not within(cells, 0.01) or max(each.width for each in cells) > wide:
                    odd.append(rows[-1])
    print(f"\n{draw.__name__}, {REPEATS} repeats\n\n{markdown_table(HEADINGS, rows)}")
    assert not odd


def three(share: float, correlation: float, generator: np.random.Generator) -> Release:
    """Return verdicts, and three screens of which the first two carry the correlation together, the third nothing."""
    right, screen = screened(share, correlation, generator)
    known = np.clip(screen, 1e-12, 1 - 1e-12)
    noise = generator.normal(size=(2, ROWS))
    first = np.log(known / (1 - known)) + noise[0]
    return right, np.stack([first, -noise[0] + 0.3 * noise[1], generator.normal(size=ROWS)], axis=1)


def fitted(screens: np.ndarray, drawn: np.ndarray, verdicts: np.ndarray):
    return predictions({str(number): each for number, each in enumerate(screens.T)}, drawn, verdicts)


def test_coverage_of_screens_combined_by_cross_fitting():
    rows, odd = [], []
    for share, correlation in ((0.7, 0.0), (0.7, 0.7), (0.9, 0.0), (0.9, 0.5), (0.9, 0.7), (0.97, 0.7)):
        for votes in VOTES:
            cells = measure(partial(three, share, correlation), votes, REPEATS, fitted)
            rows.append(line(share, correlation, votes, cells=cells))
            if not within(cells, 0.01) or max(each.width for each in cells) > 1.02:
                odd.append(rows[-1])
    print(f"\nthree screens, cross-fitted, {REPEATS} repeats\n\n{markdown_table(HEADINGS, rows)}")
    assert not odd
