"""Checks of the values of predictions, piece by piece as a file is read, in this order."""

from collections.abc import Callable

import numpy as np

from d3s_dataset.taxonomy import classes

ROWS = "expected at least one row, got none"
KEYS = "the same key stands in two rows"
WIDTHS = "expected as many probabilities as classes in a row"
LEVELS = "expected levels of severity in [0, 1], and a ladder with each"
_SLACK = 1e-5  # of sums in float32

Fine = Callable[[np.ndarray], bool]


class Problems:
    """Problems of the columns of a file."""

    def __init__(self) -> None:
        last = len(classes()) - 1
        share = _within(0, 1 + _SLACK)
        self._checks: dict[str, tuple[str | None, Fine]] = {
            ROWS: (None, bool),
            KEYS: (None, bool),
            f"expected foreground labels in 0..{last}": ("foreground", _within(0, last)),
            "expected background labels of 0 or more": ("background", _within(0, np.inf)),
            f"expected predicted classes in 0..{last}": ("prediction", _within(0, last)),
            "a row predicts the same class twice": ("prediction", _different),
            WIDTHS: (None, bool),
            "expected probabilities in [0, 1]": ("probability", share),
            "expected the best prediction first": ("probability", _falls),
            "expected sums of squared probabilities in [0, 1]": ("squares", share),
            "expected sizes in [0, 1]": ("size", share),
            "expected places in [0, 1], or none": ("place", _or_none(share)),
            LEVELS: ("severity", share),
            "expected finite losses of 0 or more": ("loss", _within(-1e-6, float(np.finfo(np.float32).max))),
        }
        self._found: set[str] = set()

    def see(self, text: str, fine: bool) -> None:
        """Keep a problem unless all is fine."""
        if not fine:
            self._found.add(text)

    def of(self, name: str) -> Callable[[np.ndarray], None]:
        """Return what looks at pieces of a column."""
        own = {text: check for text, (column, check) in self._checks.items() if column == name}

        def look(values: np.ndarray) -> None:
            for text, check in own.items():
                self.see(text, check(values))

        return look

    @property
    def first(self) -> str | None:
        """The first problem, None where there is none."""
        return next((text for text in self._checks if text in self._found), None)


def _within(low: float, high: float) -> Fine:
    # NaN compares false, so it is out of every range.
    return lambda values: bool(((values >= low) & (values <= high)).all())


def _or_none(check: Fine) -> Fine:
    return lambda values: check(values[~np.isnan(values)])


def _different(prediction: np.ndarray) -> bool:
    return bool((np.diff(np.sort(prediction, axis=1), axis=1) > 0).all())


def _falls(probability: np.ndarray) -> bool:
    return bool((np.diff(probability, axis=1) <= 1e-6).all())
