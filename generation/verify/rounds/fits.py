"""Dawid-Skene's posteriors while votes come in: fitted anew, beside the page, whenever they have grown by a twentieth.

Between two fits an image keeps its posterior, so a study by Dawid-Skene hands out a few votes more than it needs.
"""

import threading
from collections.abc import Callable, Mapping, Sequence

from generation.verify.aggregate.votes_to_verdicts import posteriors
from generation.verify.votes.vote import Vote

_GROWTH, _FEWEST = 1.05, 50  # answers since the last fit that make a new one


class Fits:
    """Posteriors of all items by the votes of the last fit.

    Args:
        arrived: number of answers that are there at the first fit.
    """

    def __init__(self, arrived: int) -> None:
        self._at = arrived
        self._running: threading.Thread | None = None
        self._found: Mapping[str, float] | None = None

    def fit(self, votes: Sequence[Vote]) -> Mapping[str, float]:
        """Return the posteriors by some votes: item -> probability that it is right."""
        return posteriors(votes)

    def fresh(self, arrived: int, votes: Callable[[], Sequence[Vote]]) -> Mapping[str, float] | None:
        """Return new posteriors where a fit has ended since the last call; begin one where it is time.

        Args:
            arrived: number of answers that came so far.
            votes: returns those that count.
        """
        found, self._found = self._found, None
        if self._running is None and arrived >= max(self._at * _GROWTH, self._at + _FEWEST):
            self._at, given = arrived, votes()
            self._running = threading.Thread(target=self._fit, args=(given,), name="posteriors", daemon=True)
            self._running.start()
        return found

    def _fit(self, votes: Sequence[Vote]) -> None:
        try:
            self._found = self.fit(votes)
        finally:
            self._running = None
