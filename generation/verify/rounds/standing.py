"""Index of the open images, in memory: updated by votes and exclusions, asked for the next assignment.

An image in round r takes at most as many annotators as the rounds up to r have in sum: those whose votes count and
those who are at it. A vote of an excluded annotator does not count: an exclusion opens images, its undo closes them.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from itertools import chain, islice

from d3s_dataset.identity import digest
from generation.verify.aggregate.rules import ASKED, Tally, tallies
from generation.verify.aggregate.stopping import still_open
from generation.verify.aggregate.worker_quality import Limits
from generation.verify.prepare.rounds import Rule, room
from generation.verify.prepare.tasks import Tasks
from generation.verify.rounds.running import Running
from generation.verify.votes.vote import Vote


class Standing:
    """State of every image of a study.

    Args:
        tasks: all tasks, with their rounds and rule.
        limits: exclusion thresholds.
    """

    def __init__(self, tasks: Tasks, limits: Limits | None = None) -> None:
        self.tasks, self.rule, self.limits = tasks, tasks.rule or Rule(), limits or Limits()
        self.plan = tasks.rounds or [tasks.workers]
        self.posterior: Mapping[str, float] = {}
        self._asked = set(ASKED[self.rule.name])
        self._running = Running(tasks)
        self._given: dict[str, dict[str, dict[str, str]]] = defaultdict(dict)  # item -> worker -> question -> answer
        self._of: dict[str, set[str]] = defaultdict(set)  # worker -> items with an answer
        self._failed: set[str] = set()
        self._fast: set[str] = set()
        self._left_out: set[str] = set()
        self._complete = {item.id: 0 for item in tasks.images}
        self._tallies: dict[str, tuple[Tally, ...]] = dict.fromkeys(self._complete, ((0, 0),) * len(self._asked))
        # In an order that says nothing, so that images with equally many votes come in a random one.
        order = sorted(self._complete, key=lambda item: digest([tasks.release, "rounds", item]))
        self._levels: list[dict[str, None]] = [dict.fromkeys(order), *({} for _ in range(tasks.workers))]

    @property
    def excluded(self) -> set[str]:
        """Annotators whose votes do not count."""
        return self._failed | self._fast | self._left_out

    def add(self, votes: Iterable[Vote]) -> None:
        """Take in new votes; of two by one annotator to one question the later one in order counts."""
        items, people = set[str](), set[str]()
        for vote in votes:
            people |= self._running.add(vote)
            self._given[vote.item].setdefault(vote.worker, {})[vote.question] = vote.answer
            self._of[vote.worker].add(vote.item)
            items.add(vote.item)
        self._sort_out(people, self.excluded, items)

    def exclude(self, fast: Collection[str], left_out: Collection[str]) -> None:
        """Exclude exactly these annotators, beside those who miss a threshold.

        Args:
            fast: annotators with a submission below the floor.
            left_out: annotators whom the owner excluded.
        """
        before, changed = self.excluded, set[str]()
        for worker in self._left_out ^ set(left_out):
            changed |= self._running.exclude(worker, self._of[worker], undo=worker in self._left_out)
        self._fast, self._left_out = set(fast), set(left_out)
        self._sort_out(changed, before, ())

    def _sort_out(self, people: Iterable[str], before: set[str], items: Iterable[str]) -> None:
        """Look at some annotators' figures again; judge some items, and those of who was excluded, or is, since."""
        for worker in people:
            passes = self._running.quality(worker).why_not(self.limits) is None
            (self._failed.discard if passes else self._failed.add)(worker)
        self._judge(set(items).union(*(self._of[worker] for worker in before ^ self.excluded)))

    def judge_all(self, posterior: Mapping[str, float]) -> None:
        """Judge every image by new posteriors of Dawid-Skene."""
        self.posterior = posterior
        self._judge(self._complete)

    def _judge(self, items: Iterable[str]) -> None:
        for item in items:
            if item in self._complete:
                self._levels[self._level(item)].pop(item, None)
                self._complete[item] = sum(self._whole(item, worker) for worker in self._counted(item))
                to_come, self._tallies[item] = self.tasks.workers - self._complete[item], self._tally(item)
                if still_open(self._tallies[item], to_come, self.rule, self.posterior.get(item)):
                    self._levels[self._level(item)][item] = None

    def _level(self, item: str) -> int:
        return min(self._complete[item], self.tasks.workers)

    def _counted(self, item: str) -> list[str]:
        out = (self._failed, self._fast, self._left_out)
        return [worker for worker in self._given.get(item, {}) if not any(worker in each for each in out)]

    def _whole(self, item: str, worker: str) -> bool:
        return self._asked <= self._given.get(item, {}).get(worker, {}).keys()

    def _tally(self, item: str) -> tuple[Tally, ...]:
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for worker in self._counted(item):
            for question, answer in self._given[item][worker].items():
                counts[question][answer] += 1
        return tallies(counts, self.rule)

    def open(self) -> dict[str, int]:
        """Return the open images and how many annotators' votes each of them has."""
        return {item: complete for complete, items in enumerate(self._levels) for item in items}

    def tallies(self) -> dict[str, tuple[Tally, ...]]:
        """Return the open images' (supporting, all) answers that count, per question that the rule asks."""
        return {item: self._tallies[item] for items in self._levels for item in items}

    def counted(self) -> list[Vote]:
        """Return the votes that count."""
        return [
            Vote(worker, item, question, answer)
            for item in self._given
            for worker in self._counted(item)
            for question, answer in self._given[item][worker].items()
        ]

    def seen(self, worker: str) -> set[str]:
        """Return the items that an annotator has answered, in part at least."""
        return self._of.get(worker, set())

    def places(self, under_way: Iterable[tuple[str, str]]) -> Counter[str]:
        """Return how many annotators are at each image, from (worker, item) of assignments in progress."""
        out, given = self.excluded, self._given
        return Counter(
            item
            for worker, item in under_way
            if worker not in out and not (item in given and self._whole(item, worker))
        )

    def choose(self, places: Mapping[str, int], without: Collection[str], most: int) -> list[str]:
        """Return up to `most` open images with a free place, those with the fewest votes first.

        Args:
            places: annotators who are at an item at this moment, as `places` returns them.
            without: items that this annotator must not get.
            most: number of images.
        """
        found: list[str] = []
        taken: dict[int, list[str]] = {}
        for number, items in enumerate(self._levels[:-1]):
            if number == 1:  # nobody is at an image that has no annotator: most arrivals end before this
                taken = self._taken(places)
            free = chain((item for item in items if not places.get(item)), taken.get(number, ()))
            found += islice((item for item in free if item not in without), most - len(found))
            if len(found) == most:
                break
        return found

    def _taken(self, places: Mapping[str, int]) -> dict[int, list[str]]:
        """Return the open images with people at them and a free place, by the number of all their annotators."""
        found: dict[int, list[str]] = defaultdict(list)
        for item in places.keys() & self._complete.keys():
            complete, people = self._complete[item], places[item]
            if item in self._levels[self._level(item)] and complete + people < room(self.plan, complete):
                found[complete + people].append(item)
        return found
