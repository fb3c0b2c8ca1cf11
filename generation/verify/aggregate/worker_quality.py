"""How good is each worker: known pairs, agreement with the others, speed; who is left out, by stated rules. Pure."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from generation.verify.prepare.tasks import Tasks
from generation.verify.votes.store import Vote


@dataclass(frozen=True)
class Limits:
    """Who is left out. A rule holds only for those on whom there is enough to judge by.

    Attributes:
        gold: least share of known pairs right, for who has answered at least `known` of them.
        agreement: least share of answers that are also the others' most frequent one, over at least `compared` answers.
        seconds: least median time an image, for who has given at least `compared` answers.
    """

    gold: float = 0.7
    agreement: float = 0.5
    seconds: float = 1.0
    known: int = 4
    compared: int = 20

    def lines(self) -> list[str]:
        """Return the rules in words."""
        return [
            f"less than {self.gold:.0%} of the known pairs right, of {self.known} answers or more",
            f"less than {self.agreement:.0%} of the answers as most others gave them, of {self.compared} or more",
            f"a median of less than {self.seconds:g} s an image, over {self.compared} answers or more",
        ]


@dataclass(frozen=True)
class Quality:
    """What is known about one worker; shares are None where there is nothing to judge by."""

    answers: int
    known: int
    known_right: int
    compared: int
    agreed: int
    seconds: float | None

    @property
    def gold(self) -> float | None:
        """The share of known pairs that were answered right."""
        return self.known_right / self.known if self.known else None

    @property
    def agreement(self) -> float | None:
        """The share of answers that most others gave, too."""
        return self.agreed / self.compared if self.compared else None

    def why_not(self, limits: Limits) -> str | None:
        """Return why this worker's votes are left out; None where they count."""
        if self.gold is not None and self.known >= limits.known and self.gold < limits.gold:
            return f"{self.known_right} of {self.known} known pairs right"
        if self.agreement is not None and self.compared >= limits.compared and self.agreement < limits.agreement:
            return f"{self.agreed} of {self.compared} answers as most others gave them"
        if self.seconds is not None and self.answers >= limits.compared and self.seconds < limits.seconds:
            return f"a median of {self.seconds:.1f} s an image"
        return None


def qualities(tasks: Tasks, votes: Sequence[Vote]) -> dict[str, Quality]:
    """Return what is known about every worker, from the votes that count."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    own: dict[str, list[Vote]] = defaultdict(list)
    for vote in votes:
        counts[vote.item, vote.question][vote.answer] += 1
        own[vote.worker].append(vote)
    return {worker: _quality(tasks, own[worker], counts) for worker in sorted(own)}


def _quality(tasks: Tasks, votes: list[Vote], counts: dict[tuple[str, str], Counter[str]]) -> Quality:
    known = right = compared = agreed = 0
    for vote in votes:
        item = tasks.by_id[vote.item]
        if vote.question in item.expected:
            known += 1
            right += item.expected[vote.question] == vote.answer
        others = counts[vote.item, vote.question] - Counter([vote.answer])
        best = [answer for answer, count in others.items() if count == max(others.values())]
        if item.key is not None and len(best) == 1:
            compared += 1
            agreed += best[0] == vote.answer
    return Quality(len(votes), known, right, compared, agreed, seconds_per_item(votes))


def seconds_per_item(votes: list[Vote]) -> float | None:
    """Return the median time that one person had an item in view until its last answer; None where not measured."""
    longest: dict[str, float] = {}
    for vote in votes:
        if vote.seconds is not None:
            longest[vote.item] = max(vote.seconds, longest.get(vote.item, 0.0))
    return statistics.median(longest.values()) if longest else None
