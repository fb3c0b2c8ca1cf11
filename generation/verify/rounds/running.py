"""Annotator quality while votes come in: the figures of `aggregate.worker_quality`, one vote at a time. Pure.

The whole of it takes seconds on 300,000 votes; a vote changes the figures of those who answered the same question.
"""

from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from generation.verify.aggregate.worker_quality import Quality, majority
from generation.verify.prepare.questions import NAMES
from generation.verify.prepare.tasks import Tasks
from generation.verify.votes.vote import Vote


class Running:
    """Quality of every annotator by the final votes so far, equal to `worker_quality.qualities` of them.

    Args:
        tasks: all tasks.
    """

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._answers: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)  # (item, question) -> worker -> answer
        self._figures: dict[str, Counter[str]] = defaultdict(Counter)
        self._seconds: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)  # (worker, item) -> question
        self._paces: dict[str, list[float]] = defaultdict(list)  # worker -> longest of each item, sorted
        self._excluded: set[str] = set()

    def add(self, vote: Vote) -> set[str]:
        """Count a vote, in place of the same annotator's earlier one; return whose figures changed."""
        item, given = self._tasks.by_id[vote.item], self._answers[vote.item, vote.question]
        figures, before = self._figures[vote.worker], given.get(vote.worker)
        if expected := item.expected.get(vote.question):
            figures["known"] += before is None
            figures["right"] += (vote.answer == expected) - (before == expected)
        figures["answers"] += before is None
        self._time(vote)
        if item.key is None:
            given[vote.worker] = vote.answer
            return {vote.worker}
        self._compare(given, -1)
        given[vote.worker] = vote.answer
        self._compare(given, 1)
        return set(given)

    def _time(self, vote: Vote) -> None:
        """Keep the annotator's seconds per item, sorted: their median is asked for after every vote."""
        seconds, paces = self._seconds[vote.worker, vote.item], self._paces[vote.worker]
        if seconds:
            paces.pop(bisect_left(paces, max(seconds.values())))
        seconds.pop(vote.question, None)
        if vote.seconds is not None:
            seconds[vote.question] = vote.seconds
        if seconds:
            insort(paces, max(seconds.values()))

    def exclude(self, worker: str, items: Iterable[str], *, undo: bool = False) -> set[str]:
        """Take an annotator out of the others' majority, or back in; return whose figures changed.

        Args:
            worker: annotator whom the owner excluded.
            items: the items that this annotator has answered.
            undo: back in.
        """
        changed = {worker}
        theirs = [self._answers[item, name] for item in items if self._tasks.by_id[item].key for name in NAMES]
        for given in theirs:
            self._compare(given, -1)
        (self._excluded.discard if undo else self._excluded.add)(worker)
        for given in theirs:
            self._compare(given, 1)
            changed |= given.keys()
        return changed

    def _compare(self, given: Mapping[str, str], sign: int) -> None:
        """Add or take away one question's comparison of every answer with the others' majority."""
        counts = Counter(answer for worker, answer in given.items() if worker not in self._excluded)
        best = {own: majority(counts, own) for own in counts}
        for worker, answer in given.items():
            others = best[answer] if worker not in self._excluded else majority(counts)
            if others is not None:
                figures = self._figures[worker]
                figures["compared"] += sign
                figures["agreed"] += sign * (others == answer)

    def quality(self, worker: str) -> Quality:
        """Return an annotator's figures."""
        paces = self._paces[worker]
        middle = len(paces) // 2
        pace = (paces[middle] if len(paces) % 2 else (paces[middle - 1] + paces[middle]) / 2) if paces else None
        of = self._figures[worker]
        return Quality(of["answers"], of["known"], of["right"], of["compared"], of["agreed"], pace)
