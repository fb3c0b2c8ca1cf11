"""Assignments of a study with rounds: open images and gold questions, made up when somebody arrives.

The index of open images is kept in memory and brought up to date from the database inside the transaction in which the
assignment is recorded, so two servers on one database hand out nothing twice.
"""

import random

from sqlalchemy import Connection, select

from generation.verify.aggregate.worker_quality import Limits
from generation.verify.prepare.tasks import Tasks
from generation.verify.rounds.fits import Fits
from generation.verify.rounds.next_votes import Next, next_votes
from generation.verify.rounds.standing import Standing
from generation.verify.votes.annotators import excluded_in
from generation.verify.votes.seating import Draw
from generation.verify.votes.store import Store, all_arrived, arrived
from generation.verify.votes.tables import VISITS

_CHANCE = random.SystemRandom()
_FAST = select(VISITS.c.worker).where(VISITS.c.fast.is_not(None)).distinct()


class AdaptiveAssigner:
    """Makes up assignments of open images.

    Args:
        tasks: all tasks, with their rounds and rule.
        store: the votes; all of them are read once.
        limits: exclusion thresholds.
    """

    def __init__(self, tasks: Tasks, store: Store, limits: Limits | None = None) -> None:
        self.tasks, self._store, self._limits = tasks, store, limits
        self._gold = [item.id for item in tasks.items if item.key is None]
        with store.transaction() as base:
            self._read_all(base)
        self._fits = Fits(self._seen) if self.standing.rule.name == "dawid-skene" else None
        if self._fits:
            self.standing.judge_all(self._fits.fit(self.standing.counted()))

    def _read_all(self, base: Connection) -> None:
        self.standing = Standing(self.tasks, self._limits)
        self._seen, votes = all_arrived(base)
        self.standing.add(votes)
        self._exclude(base)

    def next_votes(self) -> list[Next]:
        """Return the open images, those on which a further vote changes most first."""
        with self._store.transaction() as base:
            self.refresh(base)
            now = self.standing
            given, votes, posterior = now.tallies(), now.open(), now.posterior
        return next_votes(given, votes, self.tasks.workers, now.rule, posterior)

    def refresh(self, base: Connection) -> None:
        """Take in what came since, by this server or another."""
        self._seen, votes = arrived(base, self._seen)
        if votes is None:
            posterior = self.standing.posterior
            self._read_all(base)
            self.standing.judge_all(posterior)
        elif votes:
            self.standing.add(votes)
        self._exclude(base)
        if self._fits and (fresh := self._fits.fresh(self._seen, self.standing.counted)) is not None:
            self.standing.judge_all(fresh)

    def _exclude(self, base: Connection) -> None:
        fast = base.execute(_FAST).scalars()
        self.standing.exclude(set(fast), excluded_in(base).keys())

    def draws(self, base: Connection, under_way: list[tuple[str, str]]) -> Draw:
        """Return what draws assignments in a transaction, as `votes.seating.Assigner`."""
        self.refresh(base)
        places = self.standing.places(under_way)

        def draw(worker: str, had: set[str]) -> list[str]:
            without = had | self.standing.seen(worker)
            images = self.standing.choose(places, without, self.tasks.per_task)
            if not images:
                return []
            places.update(self.standing.places([(worker, item) for item in images]))
            # By chance, not by the worker's id: somebody who is forgotten must not be found again by trying ids.
            fresh = [item for item in self._gold if item not in without]
            shown = images + _CHANCE.sample(fresh, min(len(fresh), self.tasks.gold))
            return _CHANCE.sample(shown, len(shown))

        return draw
